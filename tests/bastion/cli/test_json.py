"""docs/json.md against reality: the fields of every verb's output are those that are documented, in both directions."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bastion.cli import output
from bastion.control import wire
from tests.bastion.cli.conftest import ROOT, Shell
from tests.bastion.control.conftest import request_info, session_info

DOCS = ROOT / "docs" / "json.md"


def documented() -> dict[str, list[tuple[str, str]]]:
    """Fields and types by verb."""
    found: dict[str, list[tuple[str, str]]] = {}
    verbs: list[str] = []
    for line in DOCS.read_text().splitlines():
        if line.startswith("## "):
            verbs = line.removeprefix("## ").replace("`", "").split(", ")
            assert not set(verbs) & set(found)
            found |= {verb: [] for verb in verbs}
        elif line.startswith("| `"):
            name, kind = (cell.strip().strip("`") for cell in line.strip("|").split("|")[:2])
            for verb in verbs:
                found[verb].append((name, kind))
    return found


TYPES = {
    "text": str,
    "number": int,
    "boolean": bool,
    "object": dict,
    "array of text": list,
    "array of numbers": list,
    "array of arrays": list,
    "array of objects": list,
    "number or null": (int, type(None)),
    "object or null": (dict, type(None)),
}


def check(verb: str, value: dict[str, Any]) -> None:
    rows = documented()[verb]
    assert sorted(name for name, _ in rows) == sorted(value), verb
    for name, kind in rows:
        assert isinstance(value[name], TYPES[kind]), f"{verb}: {name} is {value[name]!r}"
        if kind == "number":
            assert not isinstance(value[name], bool)


def infos() -> dict[str, msgspec.Struct]:
    """One of each struct that is printed."""
    vote = wire.VoteInfo(by="ana", choice="approve", reason="", at=1)
    request = request_info(votes=[vote])
    whitelist = wire.WhitelistInfo(id="w-1", command=b"\xff", identity="a", target="t", login="l", by="ana", expires=0)
    return {
        **dict.fromkeys(
            (
                "request list",
                "request show",
                "request approve",
                "request deny",
                "request watch",
                "request edit",
                "request escalate",
                "request snooze",
            ),
            request,
        ),
        **dict.fromkeys(("session list", "session show", "session kill"), session_info("s-1")),
        **dict.fromkeys(
            ("preferences show", "preferences set", "preferences clear"),
            wire.PreferencesInfo(identity="ana", text="theme = nord\n"),
        ),
        **dict.fromkeys(("whitelist list", "whitelist add", "whitelist remove"), whitelist),
        **dict.fromkeys(
            ("grant list", "grant add", "grant revoke"),
            wire.GrantInfo(
                id="g-1", identity="a", target="t", added=1, expires=2, reason="r", by="b", request="", in_force=True
            ),
        ),
        **dict.fromkeys(
            ("freeze", "unfreeze"),
            wire.FreezeInfo(id="f-1", scope="all", name="", mode="hold", reason="r", by="b", since=1),
        ),
        **dict.fromkeys(("group list", "group set", "group remove"), wire.GroupInfo(name="g", members=["ana"])),
        **dict.fromkeys(
            ("notify list", "notify test"),
            wire.ChannelInfo(name="n", kind="ntfy", state="ok", sent=1, lost=0, queued=0, error="", at=1),
        ),
        **dict.fromkeys(
            ("session hold", "session release", "session holds"),
            wire.HoldInfo(session="s-1", reason="r", by="ana", since=1),
        ),
        "retention run": wire.RetentionInfo(
            recordings=[wire.OldInfo(session="s-1", env="e", ended=1)], freed=0, whole=True
        ),
        "request background": wire.BackgroundInfo(
            past=[], same_approved=0, same_denied=0, looked_at=0, approved=None, terminal=[], access=None, damage=[]
        ),
        "policy show": wire.PolicyInfo(name="n", digest="d", texts=[], sentences=[], freezes=[]),
        "session watch": wire.FrameInfo(at=1, kind="output", data=b"\xff"),
        "target check": wire.CheckInfo(name="n", ok=True, detail="d"),
    }


@pytest.mark.parametrize(("verb", "info"), infos().items(), ids=lambda each: each if isinstance(each, str) else "")
def test_structs_are_as_documented(verb: str, info: msgspec.Struct) -> None:
    value = output.structure(info)
    if verb == "session show":
        value["screen"] = []
    if verb == "request background":
        value["approved"] = ""
    check(verb, value)


def test_votes_are_as_documented() -> None:
    (vote,) = output.structure(infos()["request show"])["votes"]
    (row,) = (line for line in DOCS.read_text().splitlines() if line.startswith("| `votes`"))
    assert list(vote) == [word.strip("`,.") for word in row.split() if word.strip("`,.") in vote]


def test_bytes_are_exact_beside_the_readable_form() -> None:
    value = output.structure(infos()["whitelist list"])
    assert (value["command"], value["command_base64"]) == ("\ufffd", "/w==")


def test_what_the_program_prints_is_as_documented(shell: Shell) -> None:
    for name in ("ana", "host", "credential"):
        shell.key(name)
    check("init", shell("init", ".", "--json").json)
    add = ["identity", "add", "ana", "--kind", "human", "--role", "approver", "--key", "ana.pub", "--json"]
    check("identity add", shell(*add).json)
    check("identity list", shell("identity", "list", "--json").json[0])
    check("identity revoke", shell("identity", "revoke", "ana", "--reason", "x", "--json").json)
    words = ["--address", "h", "--login", "l", "--env", "e", "--host-key", "host.pub", "--credential", "key:credential"]
    check("target add", shell("target", "add", "web-1", *words, "--json").json)
    check("target list", shell("target", "list", "--json").json[0])
    check("target remove", shell("target", "remove", "web-1", "--json").json)
    check("risk", shell("risk", "rm -r x", "--json").json)
    check("session search", shell("session", "search", "x", "--json").json)
    check("stats", shell("stats", "--since", "all", "--json").json)
    check("ledger list", shell("ledger", "list", "--json").json[0])
    check("ledger show", shell("ledger", "show", "1", "--json").json)
    check("ledger head", shell("ledger", "head", "--json").json)
    check("ledger export", shell("ledger", "export", "bundle", "--json").json)
    check("ledger verify", shell("ledger", "verify", "--json").json)


def test_every_verb_with_json_is_documented() -> None:
    from tests.bastion.cli.test_main import verbs

    with_json = {words for words, command in verbs() if any(param.name == "json" for param in command.params)}
    assert set(documented()) == with_json
