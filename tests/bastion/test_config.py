"""bastion.toml: defaults, every range at its edges, and a line and a column for whatever is wrong."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.config import KEYS, Config, find, load, parse, xdg
from bastion.errors import ConfigError, NotFound
from bastion.outlets import DEFAULTS, Outlet
from bastion.settings import FILE_LIMIT, parse_duration, parse_listen
from recorder.cosignature import Witness

WHERE = Path("/etc/bastion/bastion.toml")
VKEY = Witness("w1", b"\1" * 32).verifier_key
DOCS = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_an_empty_file_is_all_defaults() -> None:
    config = parse("", WHERE, "d")
    assert (config.host, config.port) == ("127.0.0.1", 2222)
    assert config.state == Path("/etc/bastion/state")
    assert (config.timeout_seconds, config.ticket_seconds, config.approvals) == (60, 600, 1)
    assert (config.login_seconds, config.connections, config.failed_logins_per_minute) == (20, 200, 60)
    assert (config.keepalive_seconds, config.held_requests, config.connect_seconds) == (15, 1000, 10)
    assert config.host_name == "bastion"
    assert config.policy is None
    assert config.digest == "d"


def test_everything_can_be_said() -> None:
    config = parse(
        """
        [bastion]
        listen = "[::]:22"
        state = "/var/lib/bastion"
        policy = "/srv/policy.bastion"
        host = "bastion.example"
        [approval]
        timeout = "5m"
        ticket = "1h"
        approvals = 2
        [limits]
        login_seconds = 30
        connections = 50
        failed_logins_per_minute = 5
        keepalive_seconds = 60
        held_requests = 10
        [access]
        grants = ["live", "live", "two words"]
        longest = "1h"
        [targets]
        connect_seconds = 5
        source_address = "192.0.2.10, 2001:db8::/64"
        [shells]
        on_disconnect = "leave"
        idle = "1h"
        longest = "1d"
        [witness]
        url = "https://witness.example/w1"
        key = "VKEYHERE"
        every = "1m"
        [transfers]
        largest_mib = 64
        staging_mib = 128
        [anchor]
        directory = "/mnt/copies"
        git = "git@example.com:anchors.git"
        every = "2h"
        [retention]
        keep = "90d"
        environments = ["production=365d", "lab=forever"]
        every = "30m"
        [redaction]
        people = 1
        """.replace("VKEYHERE", VKEY),
        WHERE,
    )
    expected = {"listen": "[::]:22", "state": Path("/var/lib/bastion"), "host_name": "bastion.example"}
    expected |= {"timeout_seconds": 300, "ticket_seconds": 3600, "approvals": 2, "login_seconds": 30}
    expected |= {"connections": 50, "failed_logins_per_minute": 5, "keepalive_seconds": 60, "held_requests": 10}
    expected |= {"policy": Path("/srv/policy.bastion"), "connect_seconds": 5, "path": WHERE, "digest": ""}
    expected |= {"source_address": "192.0.2.10/32,2001:db8::/64"}
    expected |= {"grants": ("live", "two words"), "longest_grant_seconds": 3600}
    expected |= {"shell_leave_running": True, "shell_idle_seconds": 3600, "shell_seconds": 86_400}
    expected |= {"witness_url": "https://witness.example/w1", "witness_key": VKEY, "witness_seconds": 60}
    expected |= {"anchor_directory": Path("/mnt/copies"), "anchor_git": "git@example.com:anchors.git"}
    expected |= {"anchor_seconds": 7200, "transfer_file_bytes": 64 << 20, "staging_bytes": 128 << 20, "notify": ()}
    expected |= {"keep_days": 90, "keep_environments": (("production", 365), ("lab", 0))}
    expected |= {"retention_seconds": 1800, "redaction_people": 1}
    assert dataclasses.asdict(config) == expected
    assert (config.host, config.port) == ("::", 22)
    assert config.host_key == Path("/var/lib/bastion/host_key")
    assert config.ledger_key.parent == config.store.parent == config.socket.parent == config.state


def test_a_witness_has_an_address_and_a_key() -> None:
    for line in ('url = "http://h"', f'key = "{VKEY}"'):
        with pytest.raises(ConfigError, match="both url and key"):
            parse(f"[witness]\n{line}\n", WHERE)
    assert parse('[anchor]\ndirectory = "copies"', WHERE).anchor_directory == Path("/etc/bastion/copies")


def test_every_field_comes_from_a_key_or_from_the_file() -> None:
    fields = {field.name for field in dataclasses.fields(Config)}
    assert {key.field for keys in KEYS.values() for key in keys.values()} | {"path", "digest"} == fields


@pytest.mark.parametrize(
    ("section", "key", "good", "bad"),
    [
        ("bastion", "listen", ['"0.0.0.0:0"', '"h:65535"', '"[::1]:1"'], ['"h"', '":22"', '"h:65536"', '"::1:2"', "2"]),
        ("bastion", "state", ['"."', '"~/x"'], ['""', '"\\u0000"', "1"]),
        ("bastion", "policy", ['""', '"p"', '"/x"'], ['"\\u0000"', "1"]),
        ("bastion", "host", ['"a"', f'"{"a" * 255}"'], ['""', f'"{"a" * 256}"', '"-a"', '"a b"', '"ä"', "[]"]),
        ("approval", "timeout", ['"30s"', '"10m"', '"600s"'], ['"29s"', '"601s"', '"1h"', '"0s"', "60", '"60"']),
        ("approval", "ticket", ['"30s"', '"1h"'], ['"29s"', '"61m"', "true"]),
        ("approval", "approvals", ["1", "5"], ["0", "6", "-1", "1.0", "true", '"1"']),
        ("limits", "login_seconds", ["1", "600"], ["0", "601"]),
        ("limits", "connections", ["2", "10000"], ["1", "10001"]),
        ("limits", "failed_logins_per_minute", ["1", "10000"], ["0", "10001"]),
        ("limits", "keepalive_seconds", ["1", "3600"], ["0", "3601"]),
        ("limits", "held_requests", ["1", "10000"], ["0", "10001"]),
        ("access", "grants", ["[]", '["a", "b c"]'], ['"a"', "[1]", '[""]', '["\\u0000"]', "{}"]),
        ("access", "longest", ['"1s"', '"7d"'], ['"0s"', '"8d"', "1"]),
        ("targets", "connect_seconds", ["1", "60"], ["0", "61", "{}"]),
        (
            *("targets", "source_address", ['"auto"', '"anywhere"', '"192.0.2.1"', '"10.0.0.0/8,::1"']),
            ['""', '"192.0.2.1/8"', '"host.example"', '"auto,::1"', '"256.0.0.1"', "1", '["::1"]'],
        ),
        ("shells", "on_disconnect", ['"kill"', '"leave"'], ['"Kill"', '""', "true"]),
        ("shells", "idle", ['"10s"', '"1d"'], ['"9s"', '"25h"']),
        ("shells", "longest", ['"10s"', '"7d"'], ['"9s"', '"8d"']),
        ("transfers", "largest_mib", ["1", "1048576"], ["0", "1048577", '"1"']),
        ("transfers", "staging_mib", ["1", "16777216"], ["0", "16777217", "1.5"]),
        ("witness", "url", ['""', f'"http://h:1"\nkey = "{VKEY}"'], ['"h:1"', '"ftp://h"', '"http://"', '"http://a b"']),  # noqa: E501
        ("witness", "key", ['""', f'"{VKEY}"\nurl = "https://h"'], ['"x"', f'"{VKEY[:-4]}"', f'"w2{VKEY[2:]}"', "1"]),
        ("witness", "every", ['"10s"', '"1d"'], ['"9s"', '"25h"', "60"]),
        ("anchor", "directory", ['""', '"copies"', '"/mnt"'], ["1"]),
        ("anchor", "git", ['""', '"/srv/a.git"', '"git@h:a.git"'], ['"-x"', '"--upload-pack=x"', '"\\u0000"', "1"]),
        ("anchor", "every", ['"10s"', '"7d"'], ['"9s"', '"8d"']),
        ("retention", "keep", ['"1d"', '"99999d"', '"forever"'], ['"0d"', '"100000d"', '"24h"', '""', "90"]),
        ("retention", "environments", ["[]", '["a=1d", "b=c=forever"]'], ['"a=1d"', '["a"]', '["=1d"]', '["a=1d", "a=2d"]', '["a=0d"]']),  # noqa: E501
        ("retention", "every", ['"10s"', '"7d"'], ['"9s"', '"8d"']),
        ("redaction", "people", ["1", "2"], ["0", "3", '"2"']),
    ],
)  # fmt: skip
def test_every_range_at_its_edges(section: str, key: str, good: list[str], bad: list[str]) -> None:
    for value in good:
        parse(f"[{section}]\n{key} = {value}\n", WHERE)
    for value in bad:
        with pytest.raises(ConfigError, match=f"{key} must be") as caught:
            parse(f"[{section}]\n  {key} = {value}\n", WHERE)
        assert (caught.value.line, caught.value.column) == (2, 3), value


def test_the_table_of_edges_knows_every_key() -> None:
    rows = test_every_range_at_its_edges.pytestmark[0].args[1]  # type: ignore[attr-defined]
    assert {(row[0], row[1]) for row in rows} == {
        (section, key) for section, keys in KEYS.items() if section for key in keys
    }


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("[bastion]\nlisten 22\n", 2, 8, "expected '='"),
        ("[bastion\n", 1, 9, "expected ']'"),
        ('[bastion]\nlisten = "x', 2, 12, "unterminated string|expected"),
        ("[bastion]\nlisten =", 2, 9, "invalid value"),
        ("[limits]\nconnections = 5\nconnections = 6\n", 3, 16, "cannot overwrite"),
        ("\n[bastien]\n", 2, 2, r"unknown section \[bastien\] \(did you mean bastion\?\)"),
        ("timeout = 3", 1, 1, "unknown key timeout"),
        ("bastion = 3", 1, 1, "is a section"),
        ("[[bastion]]\nx = 1", 1, 3, "is a section"),
        ("[approval]\n\n  timeuot = '60s'", 3, 3, r"unknown key timeuot in \[approval\] \(did you mean timeout\?\)"),
        ("approval.x = 1", 1, 10, "unknown key x"),
        ("approval = {timeout = 1}", 1, 13, "timeout must be"),
        ("[approval.timeout]\nx = 1", 1, 11, "timeout must be"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse(text, WHERE)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert str(caught.value).startswith(f"{WHERE}:{line}:{column}: ")


@given(st.text() | st.lists(st.sampled_from(["[", "]", "bastion", "=", '"', "\n", "{", "}", ".", "1"])).map("".join))
def test_garbage_is_a_config_or_one_error(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(parse(text, WHERE), Config)


def test_nesting_without_end_is_one_error() -> None:
    for text in ("a = " + "[" * 100_000, "a = " + "[" * 200 + "]" * 200):
        with pytest.raises(ConfigError):
            parse(text, WHERE)


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "bastion.toml"
    path.write_bytes(b"[bastion]\r\nlisten = '127.0.0.1:1'\r\n")
    config = load(path)
    assert config.state == tmp_path / "state"
    assert config.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes("# später\n# \xff".encode("latin-1"))
    with pytest.raises(ConfigError, match="1:5: not UTF-8"):
        load(path)
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "other")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)
    path.write_bytes(b"#" * FILE_LIMIT)
    load(path)
    path.write_bytes(b"#" * (FILE_LIMIT + 1))
    with pytest.raises(ConfigError, match="longer"):
        load(path)


def test_where_it_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, home, etc = tmp_path / "here", tmp_path / "home", tmp_path / "etc"
    for path in (here, home / ".config" / "agent-bastion", etc):
        path.mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    with pytest.raises(NotFound, match="bastion init"):
        find(None, {}, etc)
    (etc / "bastion.toml").touch()
    assert find(None, {}, etc) == etc / "bastion.toml"
    (home / ".config" / "agent-bastion" / "bastion.toml").touch()
    assert find(None, {}, etc) == home / ".config" / "agent-bastion" / "bastion.toml"
    (here / "bastion.toml").touch()
    assert find(None, {}, etc) == here / "bastion.toml"
    assert find(None, {"BASTION_CONFIG": "a.toml"}, etc) == Path("a.toml")
    assert find("b.toml", {"BASTION_CONFIG": "a.toml"}, etc) == Path("b.toml")
    assert xdg({"XDG_CONFIG_HOME": "/x"}) == Path("/x/agent-bastion")
    assert xdg({"XDG_CONFIG_HOME": "relative"}) == home / ".config" / "agent-bastion"  # as the specification has it


@pytest.mark.parametrize(("text", "seconds"), [("0s", 0), ("30s", 30), ("10m", 600), ("8h", 28800), ("7d", 604800)])
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "s", "1w", "-1s", "1.5h", "1 h", " 1h", "1h30m", "1H", "٣s", "1s\n", "9" * 10 + "s"]
)
def test_what_is_no_duration(text: str) -> None:  # fmt: skip
    with pytest.raises(ValueError, match="whole number"):
        parse_duration(text)


@given(st.text())
def test_no_text_surprises_the_parsers(text: str) -> None:
    for parser in (parse_duration, parse_listen):
        with contextlib.suppress(ValueError):
            parser(text)


SPECIAL = ("events", "tiers", "detail", "approvers")
"""Keys of a channel whose default is no text."""


def test_every_key_is_documented_with_its_default() -> None:
    """docs/configuration.md has a row `| key | default | …` for every key, under its section, and no other."""
    section, rows = "", set()
    for line in DOCS.read_text().splitlines():
        if line.startswith("## `["):
            section = line.split("`")[1].strip("[]")
        elif line.startswith("| `"):
            cells = [cell.strip().strip("`") for cell in line.strip("|").split("|")]
            rows.add((section, cells[0], cells[1]))
    expected = set()
    expected |= {("notify", key, DEFAULTS[key] if key in SPECIAL else f'"{DEFAULTS[key]}"') for key in DEFAULTS}
    for name, keys in KEYS.items():
        for key, row in keys.items() if name else ():
            default = f'"{row.default}"' if isinstance(row.default, str) else str(row.default).replace("'", '"')
            expected.add((name, key, default))
    assert rows == expected


def channels(text: str) -> tuple[Outlet, ...]:
    return parse(text, Path("/x/bastion.toml")).notify


def test_channels() -> None:
    (hook, chat) = channels(
        '[[notify]]\nname = "hook"\nkind = "webhook"\nurl = "https://x"\nsecret_file = "s"\nafter = "10s"\n'
        'events = ["held", "expired"]\ntiers = ["high"]\ndetail = false\n'
        '[[notify]]\nname = "chat"\nkind = "slack"\ntoken_file = "t"\nto = "#ops"\napp_token_file = "a"\n'
        'approvers = ["U0123=ana"]\n'
    )
    assert (hook.after, hook.detail, hook.events, hook.tiers) == (10, False, ("held", "expired"), ("high",))
    assert hook.wants("held", "high")
    assert not hook.wants("held", "low")
    assert not hook.wants("freeze", "")
    assert hook.wants("test", "")
    assert chat.approvers == (("U0123", "ana"),)
    assert chat.wants("ledger", "")
    assert not chat.wants("policy", "")


BUTTONS = 'name = "{}"\nkind = "slack"\nto = "c"\ntoken_file = "t"\napp_token_file = "t"\napprovers = ["{}"]\n'


def test_one_person_in_two_chats() -> None:
    both = BUTTONS.format("a", "U0123=ana") + "[[notify]]\n" + BUTTONS.format("b", "U0456=ana")
    assert len(channels(f"[[notify]]\n{both}")) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('name = "a"\nkind = "pigeon"', "kind is one of"),
        ('name = "A B"\nkind = "desktop"', "small letters"),
        ('name = "a"\nkind = "webhook"\nurl = "https://x"', "needs secret_file"),
        ('name = "a"\nkind = "ntfy"\nurl = "https://x"', "needs to"),
        ('name = "a"\nkind = "desktop"\nsecret_file = "x"', "has no key secret_file"),
        ('name = "a"\nkind = "desktop"\nurk = "x"', "has no key urk"),
        ('name = "a"\nkind = "desktop"\nevents = ["hold"]', "events is a list of held"),
        ('name = "a"\nkind = "desktop"\ntiers = "low"', "tiers is a list of low"),
        ('name = "a"\nkind = "desktop"\nafter = "11m"', "after is a time"),
        ('name = "a"\nkind = "desktop"\nafter = 5', "after is a time"),
        ('name = "a"\nkind = "desktop"\ndetail = 1', "detail is true or false"),
        ('name = "a"\nkind = "slack"\ntoken_file = "t"', "to names"),
        ('name = "a"\nkind = "slack"\nurl = "https://x"\napp_token_file = "t"', "buttons need"),
        ('name = "a"\nkind = "slack"\nto = "c"\ntoken_file = "t"\napp_token_file = "t"\napprovers = ["ana"]', "USER"),
        ('name = "a"\nkind = "desktop"\n[[notify]]\nname = "a"\nkind = "desktop"', "names of their own"),
        (
            BUTTONS.format("a", "U0123=ana") + "[[notify]]\n" + BUTTONS.format("b", "U0123=ben"),
            "a user stands for one approver",
        ),
    ],
)
def test_what_is_no_channel(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as raised:
        channels(f"[[notify]]\n{text}\n")
    assert raised.value.line == 1


def test_the_number_of_channels_is_bounded() -> None:
    one = '[[notify]]\nname = "n{}"\nkind = "desktop"\n'
    assert len(channels("".join(one.format(number) for number in range(16)))) == 16
    with pytest.raises(ConfigError, match="16 at most"):
        channels("".join(one.format(number) for number in range(17)))
