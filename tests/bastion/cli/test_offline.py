"""Administration and reading where no daemon runs, as transcripts of the real program."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import closing
from pathlib import Path

import asyncssh
import pytest

from bastion.cli.identity import KEY_FILE_LIMIT
from tests.bastion.cli.conftest import Shell
from tests.support.sshd import LOGIN, Sshd


def test_init_prints_what_to_type_next(shell: Shell) -> None:
    done = shell("init", "my bastion", "--listen", "0.0.0.0:2200", "--host", "b.example")
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    fingerprint = subprocess.run(
        ["ssh-keygen", "-lf", shell.work / "my bastion" / "state" / "host_key.pub"],
        capture_output=True, text=True, check=True,
    ).stdout.split()[1]  # fmt: skip
    assert lines[:4] == [
        f"made {shell.work}/my bastion/bastion.toml",
        f"made {shell.work}/my bastion/policy.bastion",
        f"made {shell.work}/my bastion/state",
        f"host key {fingerprint} (ssh-ed25519)",
    ]
    commands = [line.strip() for line in lines[lines.index("next:") + 1 :]]
    assert len(commands) == 3
    # the first of them works as it stands, with one's own name and key
    shell.key("me")
    words = commands[0].replace("YOU", "me").replace("~/.ssh/id_ed25519.pub", "me.pub")
    program = " ".join(shell.command())
    done_too = subprocess.run(
        ["bash", "-c", words.replace("bastion", program, 1)],
        cwd=shell.work, env=shell.env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done_too.stderr == ""
    assert done_too.stdout.startswith("added me (human, approver), key SHA256:")


def test_a_second_init_is_no(shell: Shell) -> None:
    assert shell("init", "b", "--json").json["kept"] is False
    again = shell("init", "b")
    assert (again.status, again.out) == (1, "")
    assert again.err == (
        f"bastion: {shell.work}/b/bastion.toml exists (nothing was changed; choose another directory)\n"
    )


def test_identities(made: Shell) -> None:
    added = made("identity", "add", "bot", "--kind", "agent", "--key", "bot.pub")
    assert (added.status, added.err) == (0, "")
    assert re.fullmatch(r"added bot \(agent\), key SHA256:[A-Za-z0-9+/]{43}\n", added.out)
    ana = made("identity", "add", "ana", "--kind", "human", "--role", "approver", "--role", "auditor",
               "--key", "ana.pub", "--json").json  # fmt: skip
    assert (ana["name"], ana["kind"], ana["roles"]) == ("ana", "human", ["approver", "auditor"])
    revoked = made("identity", "revoke", "bot", "--reason", "key lost")
    assert (revoked.status, revoked.out[:11]) == (0, "revoked bot")
    rows = made("identity", "list", "--json").json
    assert [(row["name"], row["revoked"]) for row in rows] == [("bot", "key lost"), ("ana", "")]
    listed = made("identity", "list").out.splitlines()
    assert listed[0].split() == ["NAME", "KIND", "ROLES", "KEY", "STATE"]
    assert any(line.startswith("bot ") and line.endswith("revoked: key lost") for line in listed)


@pytest.mark.parametrize(
    ("words", "status", "err"),
    [
        (["add", "bot", "--kind", "agent", "--key", "bot"], 2, "is a private key (its public half is wanted: bot.pub)"),
        (["add", "bot", "--kind", "agent", "--key", "none.pub"], 2, "cannot read none.pub: No such file or directory"),
        (["add", "bot", "--kind", "agent", "--key", "."], 2, "cannot read .: Is a directory"),
        (["add", "bot", "--kind", "agent", "--key", "two.pub"], 2, "two.pub holds 2 keys"),
        (["add", "bot", "--kind", "agent", "--key", "junk.pub"], 2, "no public key"),
        (["add", "bot", "--kind", "agent", "--key", "binary.pub"], 2, "is no public key file"),
        (["add", "bot", "--kind", "agent", "--key", "long.pub"], 2, "is no public key file"),
        (["add", "Bot", "--kind", "agent", "--key", "bot.pub"], 2, "is no name for an identity"),
        (["add", "bot", "--kind", "agent", "--role", "approver", "--key", "bot.pub"], 2, "cannot have a role"),
        (["add", "bot", "--kind", "robot", "--key", "bot.pub"], 2, "'robot'"),
        (["revoke", "bot", "--reason", "x"], 1, "no identity 'bot'"),
        (["revoke", "bot", "--reason", ""], 1, "no identity 'bot'"),
        (["revoke", "bot"], 2, "missing option '--reason'"),
    ],
)
def test_identities_that_are_refused(made: Shell, words: list[str], status: int, err: str) -> None:
    key = (made.work / "bot.pub").read_text()
    (made.work / "two.pub").write_text(key * 2)
    (made.work / "junk.pub").write_text("junk\n")
    (made.work / "binary.pub").write_bytes(b"\xff\xfe")
    (made.work / "long.pub").write_text(key + "#" * KEY_FILE_LIMIT)
    done = made("identity", *words)
    assert (done.status, done.out) == (status, "")
    assert err in done.err
    assert done.err.count("\n") == 1
    assert made("ledger", "head", "--json").json["size"] == 1


def target(*more: str) -> list[str]:
    words = ["target", "add", "web-1", "--address", "web-1.example:22", "--login", "deploy,root", "--env", "production"]
    return [*words, *more]


def test_targets(made: Shell) -> None:
    done = made(*target("--host-key", "host.pub", "--credential", "key:credential"))
    assert (done.status, done.err) == (0, "")
    mark = asyncssh.read_public_key(made.work / "host.pub").get_fingerprint()
    assert done.out == f"added web-1: deploy,root at web-1.example:22 (production), host key {mark}\n"
    (row,) = made("target", "list", "--json").json
    assert row["credential"] == f"key:{made.work}/credential"
    assert row["logins"] == ["deploy", "root"]
    again = made(*target("--host-key", "host.pub", "--credential", "key:credential"))
    assert (again.status, again.out) == (1, "")
    assert made("target", "remove", "web-1").status == 0
    assert made("target", "list", "--json").json == []
    assert made("target", "remove", "web-1").status == 1


@pytest.mark.parametrize(
    ("credential", "err"),
    [
        (None, "no credential"),
        ("cert", "--credential is ca, key:FILE or credential:NAME"),
        ("credential", "is ca, key:FILE or credential:NAME"),
        ("key:", "is ca, key:FILE or credential:NAME"),
        ("key:nothing", "No such file"),
        ("key:.", "is no file"),
        ("key:open", "is readable for others"),
        ("key:sealed", "is no private key without a passphrase"),
        ("key:host.pub", "readable for others"),
    ],
)
def test_credentials_that_are_refused(made: Shell, credential: str | None, err: str) -> None:
    made.key("open")
    (made.work / "open").chmod(0o640)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", made.work / "sealed"], check=True)
    words = target("--host-key", "host.pub", *(("--credential", credential) if credential else ()))
    done = made(*words)
    assert (done.status, done.out) == (2, "")
    assert err in done.err
    assert made("target", "list", "--json").json == []


@pytest.mark.e2e
def test_a_host_key_is_never_trusted_silently(made: Shell, tmp_path_factory: pytest.TempPathFactory) -> None:
    sshd = Sshd(tmp_path_factory.mktemp("sshd"))
    sshd.start()
    try:
        words = ["target", "add", "web-1", "--address", f"127.0.0.1:{sshd.port}", "--login", LOGIN, "--env", "e",
                 "--credential", f"key:{sshd.credential}"]  # fmt: skip
        mark = asyncssh.import_public_key(sshd.host_key).get_fingerprint()
        asked = made(*words)
        assert (asked.status, asked.out) == (1, "")
        assert f"shows host key {mark} (ssh-ed25519), not confirmed by anybody; nothing was added" in asked.err
        assert f"--accept {mark})" in asked.err
        wrong = made(*words, "--accept", "SHA256:" + "A" * 43)
        assert (wrong.status, wrong.out) == (1, "")
        assert "nothing was added" in wrong.err
        assert made("target", "list", "--json").json == []
        right = made(*words, "--accept", mark)
        assert right.status == 0, right.err
        assert made("target", "list", "--json").json[0]["fingerprints"] == [mark]
        checked = made("target", "check", "web-1")
        assert (checked.status, checked.err) == (0, "")
        assert checked.out.startswith("ok ")
        sshd.credential.chmod(0o644)
        bad = made("target", "check", "web-1", "--json")
        assert bad.status == 1
        assert not all(row["ok"] for row in bad.json)
        assert "readable" in bad.out
        sshd.credential.chmod(0o600)
    finally:
        sshd.stop()
    gone = made(*[("web-2" if word == "web-1" else word) for word in words])
    assert gone.status == 1
    assert "does not show its host key" in gone.err


def test_checking_a_target_that_is_not_there(made: Shell) -> None:
    done = made("target", "check", "web-1")
    assert (done.status, done.out) == (1, "")
    assert "no target 'web-1'" in done.err


def test_what_needs_a_daemon_says_so(made: Shell) -> None:
    for words in (
        ["request", "approve", "r-1"],
        ["request", "deny", "r-1", "--reason", "x"],
        ["request", "watch"],
        ["session", "kill", "s-1"],
        ["whitelist", "add", "id", "--identity", "bot", "--target", "web-1"],
        ["tui"],
    ):
        done = made(*words)
        assert (done.status, done.out) == (1, ""), words
        assert re.fullmatch(r"bastion: no daemon runs, and .* \(start it with `bastion serve`\)\n", done.err), done.err


def test_lists_of_nothing(made: Shell) -> None:
    for noun in ("identity", "target", "request", "session", "whitelist"):
        assert made(noun, "list", "--json").out == "[]\n"
        assert len(made(noun, "list").out.splitlines()) == 1
    for noun in ("request", "session"):
        done = made(noun, "show", "x-1")
        assert done.status == 1
        assert f"no {noun}" in done.err


def test_the_ledger(made: Shell) -> None:
    made("identity", "add", "ana", "--kind", "human", "--role", "approver", "--key", "ana.pub")
    head = made("ledger", "head")
    anchor = head.out.split()[-1]
    assert re.fullmatch(r"bastion\.example/[0-9a-f]{8}  2 entries  2:[0-9a-f]{64}\n", head.out)
    assert made("ledger", "head", "--json").json["anchor"] == anchor
    made("identity", "add", "ben", "--kind", "human", "--role", "approver", "--key", "ben.pub")
    checked = made("ledger", "verify", "--head", anchor)
    assert (checked.status, checked.err) == (0, "")
    assert re.fullmatch(r"ok: 3 entries, 0 sessions, head [0-9a-f]{12}…, signed by bastion\.example\n", checked.out)
    alone = made("ledger", "verify")
    assert alone.status == 0
    assert "\nnote: checked against itself only" in alone.out
    assert made("ledger", "verify", "--log-key", "state/ledger_key.pub", "--json").json["verdict"] == "OK"
    for path in ("state/store", "state", "."):
        assert made("ledger", "verify", path, "--head", anchor).out == checked.out
    types = [row["type"] for row in made("ledger", "list", "--json").json]
    assert types == ["store.created", "identity.added", "identity.added"]
    assert [row["seq"] for row in made("ledger", "list", "--json", "--limit", "2").json] == [1, 2]
    assert [row["seq"] for row in made("ledger", "list", "--json", "--limit", "1", "--after", "0").json] == [1]
    assert made("ledger", "list").out.splitlines()[2].split()[-3:] == ["identity.added", f"local:{os.geteuid()}", "ana"]
    entry = made("ledger", "show", "1", "--json").json
    assert (entry["seq"], entry["body"]["name"]) == (1, "ana")
    assert made("ledger", "show", "3").status == 1
    assert made("ledger", "show", "-1").status == 2


def test_an_exported_ledger_verifies(made: Shell) -> None:
    anchor = made("ledger", "head").out.split()[-1]
    done = made("ledger", "export", "bundle")
    assert (done.status, done.out, done.err) == (0, f"exported 1 entries to bundle; anchor {anchor}\n", "")
    assert made("ledger", "verify", "bundle", "--head", anchor).status == 0
    again = made("ledger", "export", "bundle")
    assert (again.status, again.out) == (1, "")
    assert "is not empty" in again.err
    (made.work / "file").touch()
    assert made("ledger", "export", "file").status == 1
    assert made("ledger", "export", "no/such/place").status == 2


def test_a_ledger_that_was_changed(made: Shell) -> None:
    import sqlite3

    made("identity", "add", "ana", "--kind", "human", "--role", "approver", "--key", "ana.pub")
    with closing(sqlite3.connect(made.work / "state" / "store" / "ledger.sqlite3")) as db, db:
        (data,) = db.execute("SELECT bytes FROM entries WHERE seq = 1").fetchone()
        assert b'"ana"' in data
        db.execute("UPDATE entries SET bytes = ? WHERE seq = 1", (data.replace(b'"ana"', b'"eve"'),))
    db.close()
    done = made("ledger", "verify")
    assert done.status == 1
    assert done.out == "TAMPER: entry 1: was changed\n"
    assert made("ledger", "verify", "--json").json["seq"] == 1


@pytest.mark.parametrize(
    ("words", "status", "err"),
    [
        (["--head", "nonsense"], 2, "not an anchor"),
        (["--head", "9:" + "0" * 64], 1, ""),
        (["--head", "1:" + "0" * 64], 1, ""),
        (["--log-key", "ana.pub"], 1, ""),
        (["--log-key", "nothing.pub"], 2, "cannot read"),
        (["/"], 2, "neither a store nor"),
        (["no/such/place"], 2, ""),
    ],
)
def test_verify_says_no_and_what_it_cannot_read(made: Shell, words: list[str], status: int, err: str) -> None:
    done = made("ledger", "verify", *words)
    assert done.status == status, done
    assert err in done.err
    assert (done.out == "") == (status == 2)


def test_a_directory_that_cannot_be_written(made: Shell) -> None:
    (made.work / "state" / "store").rename(made.work / "away")
    done = made("identity", "add", "ana", "--kind", "human", "--role", "approver", "--key", "ana.pub")
    assert done.status == 2
    assert done.err.count("\n") == 1
    assert not (made.work / "state" / "store" / "ledger.sqlite3").exists()


def test_who_holds_the_store_keeps_it(made: Shell) -> None:
    from bastion.admin import administering
    from bastion.config import load

    with administering(load(made.work / "bastion.toml"), "test"):
        done = made("identity", "add", "ana", "--kind", "human", "--role", "approver", "--key", "ana.pub")
        assert done.status == 1
        assert "another process writes" in done.err
        assert made("identity", "list", "--json").json == []  # reading goes on


def test_a_store_of_another_user_or_nothing(made: Shell) -> None:
    (made.work / "state" / "ledger_key").unlink()
    done = made("identity", "add", "ana", "--kind", "human", "--role", "approver", "--key", "ana.pub")
    assert done.status == 2
    assert "ledger_key" in done.err
    assert Path(made.work / "state" / "store").exists()
