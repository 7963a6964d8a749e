"""The whitelist, grants, freezes and groups from the command line, against a real daemon with a real target."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bastion.control import wire
from bastion.model import Choice
from tests.bastion.cli.conftest import Shell
from tests.bastion.cli.test_json import check
from tests.bastion.cli.test_live import away, run
from tests.support.house import House
from tests.support.sshd import LOGIN, Sshd

pytestmark = pytest.mark.e2e

HEADER = "# bastion whitelist 1\n"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    sshd = Sshd(tmp_path_factory.mktemp("target"))
    sshd.start()
    made = House(tmp_path_factory.mktemp("remembering"), grants=True)
    made.add_target("stage-1", sshd, env="staging")
    made.add_target("web-1", sshd)
    made.start()
    yield made
    made.stop()
    sshd.stop()


@pytest.fixture
def ana(house: House) -> Shell:
    return away(house, "ana")


@pytest.fixture
def local(house: House) -> Shell:
    return Shell(house.work, {"BASTION_CONFIG": str(house.config.path)})


@pytest.fixture(autouse=True)
async def _empty(ana: Shell) -> None:
    for row in (await run(ana, "whitelist", "list", "--json")).json:
        await run(ana, "whitelist", "remove", row["id"])


async def test_approve_and_remember(house: House, ana: Shell) -> None:
    """A generalisation that was proposed: other words in the holes run, anything else is held."""
    agent = await house.ssh("stage-1", "head -n 1 /etc/ssl/openssl.cnf")
    async with await house.remote("ana") as client:
        held = await house.held(client)
    proposed = await run(ana, "request", "approve", held.id, "--remember=")
    pattern = "head -n {number} {path below /etc/ssl}"
    assert pattern in proposed.out, proposed.err
    done = await run(ana, "request", "approve", held.id, "--remember", pattern)
    assert done.status == 0, done.err
    assert (await house.finish(agent)).status == 0
    free = await house.run("stage-1", "head -n 2 /etc/ssl/openssl.cnf")
    assert (free.status, "held" in free.stderr) == (0, False)
    for other in ("head -n 2 /etc/shells", "head -q -n 2 /etc/ssl/openssl.cnf", "head -n 2 /etc/ssl/../shells"):
        agent = await house.ssh("stage-1", other)
        async with await house.remote("ana") as client:
            await client.vote(await house.held(client, other.encode()), Choice.DENY, "no")
        assert (await house.finish(agent)).status == 126, other
    (row,) = (await run(ana, "whitelist", "list", "--json")).json
    assert (row["pattern"], row["identity"], row["target"], row["by"]) == (pattern, "agent-7", "stage-1", "ana")


async def test_what_may_not_be_remembered_is_not_approved_either(house: House, ana: Shell) -> None:
    for command, words in (
        ("rm -rf /srv/x", "tier high"),
        ("./deploy.sh", "content is not known"),
        ("uptime", "match"),
    ):
        agent = await house.ssh("stage-1", command)
        async with await house.remote("ana") as client:
            held = await house.held(client, command.encode())
            refused = await run(ana, "request", "approve", held.id, "--remember", "docker restart {container}")
            assert refused.status in (1, 2)
            assert words in refused.err, refused.err
            assert (await client.call(wire.ShowRequest, wire.RequestInfo, request=held.id)).state == "held"
            await client.vote(held, Choice.DENY, "no")
        assert (await house.finish(agent)).status == 126


async def test_export_import_diff_promote(house: House, ana: Shell) -> None:
    where = ["--identity", "agent-7", "--login", LOGIN]
    assert (await run(ana, "whitelist", "add", "uptime", *where, "--env", "staging")).status == 0
    made = ["whitelist", "add", "docker restart web", *where, "--env", "staging"]
    assert (await run(ana, *made, "--pattern", "docker restart {container}")).status == 0
    assert (await run(ana, "whitelist", "add", "echo x", *where, "--target", "stage-1")).status == 0

    text = (await run(ana, "whitelist", "export")).out
    assert text.startswith(HEADER)
    assert len(text.splitlines()) == 4
    listed = house.work / "home-ana" / "list"
    listed.write_text(text)
    assert (await run(ana, "whitelist", "diff", "list", "live")).status == 0
    staging = (await run(ana, "whitelist", "export", "--env", "staging", "--json")).json
    check("whitelist export", staging[0])
    assert {row["command"] for row in staging} == {"uptime", "docker restart web"}

    differs = await run(ana, "whitelist", "diff", "env:production", "env:staging")
    assert (differs.status, [line[0] for line in differs.out.splitlines()]) == (1, ["+", "+"])
    promoted = await run(ana, "whitelist", "promote", "--from", "staging", "--to", "production", "--json")
    assert promoted.status == 0, promoted.err
    assert [(row["env"], row["refused"]) for row in promoted.json] == [("production", "")] * 2
    check("whitelist promote", promoted.json[0])
    assert (await run(ana, "whitelist", "diff", "env:production", "env:staging")).status in (0, 1)
    again = await run(ana, "whitelist", "promote", "--from", "staging", "--to", "production")
    assert again.out == "nothing to do\n"

    for row in (await run(ana, "whitelist", "list", "--json")).json:
        await run(ana, "whitelist", "remove", row["id"])
    shown = await run(ana, "whitelist", "diff", "list", "live", "--json")
    assert [row["change"] for row in shown.json] == ["-"] * 3
    check("whitelist diff", shown.json[0])
    assert (await run(ana, "whitelist", "import", "list")).status == 0
    assert (await run(ana, "whitelist", "export")).out.count("\n") == 4


async def test_an_imported_list_is_believed_in_nothing(house: House, ana: Shell) -> None:
    """Tiers and ends are what the daemon says of the commands, whatever the file says."""
    start = f"agent-7 {LOGIN} env:staging low -"
    rows = [
        f'{start} exact "rm -rf /srv"',
        f'{start} exact "systemctl restart nginx"',
        f'{start} pattern "bash {{name}}" "bash x"',
        f'nobody {LOGIN} env:staging low - exact "uptime"',
    ]
    listed = house.work / "home-ana" / "bad"
    listed.write_text(HEADER + "\n".join(rows) + "\n")
    done = await run(ana, "whitelist", "import", "bad", "--json")
    assert done.status == 1
    by_command = {row["command"]: row for row in done.json}
    assert "high" in by_command["rm -rf /srv"]["refused"]
    assert by_command["bash x"]["refused"]
    assert by_command["uptime"]["refused"]
    kept = by_command["systemctl restart nginx"]
    assert (kept["refused"], kept["tier"], kept["expires"] > 0) == ("", "medium", True)
    for text in ("", "x", HEADER + "agent-7\n"):
        listed.write_text(text)
        assert (await run(ana, "whitelist", "import", "bad")).status == 2


async def test_nobody_but_an_approver_promotes(house: House, local: Shell) -> None:
    eve = away(house, "eve")
    for words in (["promote", "--from", "staging", "--to", "production"], ["import", "list"]):
        (house.work / "home-eve" / "list").write_text(f'{HEADER}agent-7 {LOGIN} env:staging low - exact "uptime"\n')
        done = await run(eve, "whitelist", *words)
        assert done.status != 0 or done.out == "nothing to do\n"
    assert (await run(local, "whitelist", "export")).out == HEADER


async def test_grants(house: House, ana: Shell, local: Shell) -> None:
    given = await run(local, "grant", "add", "agent-7", "web-1", "--for", "30m", "--reason", "deploy", "--json")
    assert given.status == 0, given.err
    check("grant add", given.json)
    assert [row["id"] for row in (await run(ana, "grant", "list", "--json")).json] == [given.json["id"]]
    assert "deploy" in (await run(ana, "grant", "list")).out
    for words in (
        ["agent-7", "web-1", "--for", "30d", "--reason", "x"],
        ["agent-7", "web-1", "--for", "9h", "--reason", "x"],
        ["agent-7", "nowhere", "--for", "1h", "--reason", "x"],
        ["ana", "web-1", "--for", "1h", "--reason", "x"],
        ["agent-7", "web-1", "--for", "0s", "--reason", "x"],
        ["agent-7", "web-1", "--for", "1h", "--reason", " "],
    ):
        assert (await run(local, "grant", "add", *words)).status in (1, 2), words
    assert (await run(ana, "grant", "add", "agent-7", "web-1", "--for", "1h", "--reason", "x")).status != 0
    assert (await run(ana, "grant", "revoke", given.json["id"], "--reason", "done")).status == 0
    assert (await run(ana, "grant", "list", "--json")).json == []


async def test_freezes(house: House, ana: Shell) -> None:
    frozen = await run(ana, "freeze", "--env", "staging", "--reason", "incident", "--json")
    assert frozen.status == 0, frozen.err
    check("freeze", frozen.json)
    assert [row["name"] for row in (await run(ana, "freeze", "--list", "--json")).json] == ["staging"]
    assert (await house.run("stage-1", "uptime")).status == 126
    for words in (["--all"], ["--reason", "x"], ["--all", "--env", "staging", "--reason", "x"]):
        assert (await run(ana, "freeze", *words)).status == 2
    assert (await run(ana, "freeze", "--target", "nowhere", "--reason", "x")).status == 1
    assert (await run(ana, "freeze", "--env", "staging", "--reason", "again")).status == 1
    assert (await run(ana, "unfreeze", frozen.json["id"][:6], "--reason", "over")).status == 0
    assert (await run(ana, "freeze", "--list", "--json")).json == []


async def test_access_and_blast(house: House, ana: Shell, local: Shell) -> None:
    """Who could, what is unused, what could be damaged: with a daemon, and where it can be known, without one."""
    where = ["--identity", "agent-7", "--login", LOGIN, "--env", "staging"]
    for command in ("uptime", "id"):
        assert (await run(ana, "whitelist", "add", command, *where)).status == 0
    given = (await run(local, "grant", "add", "agent-7", "web-1", "--for", "1h", "--reason", "x", "--json")).json
    assert (await house.run("stage-1", "uptime")).status == 0

    rows = (await run(ana, "access", "list", "--json")).json
    check("access list", rows[0])
    how = {(row["identity"], row["target"]): row["access"] for row in rows}
    assert how == {
        ("agent-7", "stage-1"): "open",
        ("agent-7", "web-1"): "granted",
        ("agent-8", "stage-1"): "open",
        ("agent-8", "web-1"): "asks",
    }
    assert "granted" in (await run(ana, "access", "list")).out

    unused = (await run(ana, "access", "review", "--unused", "1h", "--json")).json
    check("access review", unused[0])
    assert sorted((row["kind"], row["what"], row["used"]) for row in unused) == [
        ("grant", "x", 0),
        ("whitelist", "id", 0),
    ]

    blast = (await run(ana, "blast", "agent-7", "--json")).json
    check("blast", blast[0])
    assert [row["access"]["target"] for row in blast] == ["stage-1", "web-1"]
    assert {row["verdict"] for row in blast[0]["damage"]} == {"hold"}
    assert "drop data" in (await run(ana, "blast", "agent-7")).out
    assert (await run(ana, "blast", "nobody")).status == 1
    assert (await run(ana, "blast", "ana")).status == 2
    await run(ana, "grant", "revoke", given["id"], "--reason", "done")


async def test_groups(ana: Shell, local: Shell) -> None:
    made = await run(local, "group", "set", "oncall", "ben", "ana", "--json")
    assert made.json == {"name": "oncall", "members": ["ana", "ben"]}
    assert "oncall" in (await run(ana, "group", "list")).out
    assert (await run(local, "group", "set", "oncall", "eve")).status == 2
    assert (await run(local, "group", "set", "On Call", "ana")).status == 2
    assert (await run(local, "group", "remove", "oncall")).status == 0
    assert (await run(ana, "group", "list", "--json")).json == []
