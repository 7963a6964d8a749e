"""The mint: certifies one key for one approved command. It is a process of its own, the only one with the upstream CA's
key.

Theory of operation. The daemon sends one line of JSON for each command that it is about to start: the request's id, the
digest that was approved, and a public key made for this one use. The mint believes none of it. It looks the request up
in the ledger, computes the digest anew from the stored content, and wants a `command.started` entry for that digest
that is fresh and was not used before. Then it signs an OpenSSH user certificate (PROTOCOL.certkeys) for the request's
login, whose critical option `force-command` is the command as the ledger holds it: the target's own sshd refuses to run
anything else with that key. No forward, agent or rc file is permitted by it, and a terminal only to what has one. For
a transfer the command is `internal-sftp`. For an approved forward it is `false`, and forwards are permitted: a
certificate cannot say where to, so PermitOpen on the target does.

    {"request": "r-…", "digest": "…", "public": "ssh-ed25519 …"}  ->  {"certificate": "…"} or {"refused": "…"}
    {"shell": "s-…", "mark": "…", "name": "…", "terminal": "tty", "public": "…"}
                                                                  ->  one for the programs of a governed shell
    {"script": "s-…", "path": "…", "public": "…"}                 ->  one that prints that file
    {"probe": "LOGIN", "public": "ssh-ed25519 …"}                  ->  a certificate that only prints constants

Each question can name a `source`: the bastion's address as the connection to the target has it. The certificate is good
from there only (`source-address`), or from where bastion.toml says, whatever the question names.

Before a shell there is `shell.opened` in the ledger, before a script is read `script.read`: each with the hash of the
forced command, which the mint makes anew, and good for one certificate. A line of a shell gets a certificate of its own
only where policy let it through and it means the same beside the shell (policy/aside.py); with a terminal, see
gate/dispatch.py.

No statement is certified twice, not by another mint either (`spent.py`): the ledger says what runs, and what runs is
one thing.

Not protected: who controls the daemon's account can read the key file, unless the two run as different accounts; a
certificate can be used more than once while it lasts.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import sys
import time
from pathlib import Path
from typing import Any

import asyncssh

from bastion import cakeys
from bastion.config import ANYWHERE, AUTO
from bastion.control.archive import Archive
from bastion.control.wire import RequestInfo
from bastion.errors import BastionError
from bastion.gate import dispatch
from bastion.gate.frames import FrameError
from bastion.model import RequestKind, State, script_hash
from bastion.names import LOGIN
from bastion.policy.aside import aside, there
from bastion.policy.dialects import QUESTION
from bastion.policy.running_files import pinned
from bastion.policy.scripts import question
from bastion.publickey import parse_key
from bastion.spent import Spent
from recorder.entry import Entry
from recorder.errors import RecorderError
from recorder.reader import Reader

VALID_SECONDS = 60
"""Of a certificate, from its making; it is used at once."""

CLOCK_SECONDS = 60
"""How far a target's clock may be behind ours."""

FRESH_SECONDS = 60
"""How old the entry may be that says that the command starts."""

COMMAND_LIMIT = 120_000
"""Bytes of a command in a certificate. sshd takes packets of 256 KiB and a certificate of less; 120 kB were tried."""

FORCED_LIMIT = 130_000
"""Bytes of a forced command, with what stands round the approved one. OpenSSH 9.2 took 130,505 and dropped the
connection at 131,071, which is also the longest argument that Linux gives a login shell (MAX_ARG_STRLEN)."""

LINE_LIMIT = 4096
"""Bytes of one question."""

SFTP = "internal-sftp"
"""Forced for a transfer: sshd's own SFTP server (sshd_config(5), ForceCommand). What is done with it is the daemon's to
keep to what was approved."""


class Refused(Exception):
    """Nothing is signed, and why."""


class Mint:
    """One daemon's. `archive` reads its ledger, `spent` knows what was certified."""

    def __init__(self, key: asyncssh.SSHKey, archive: Archive, spent: Spent, name: str, source: str = AUTO) -> None:
        self._key, self._archive, self._spent, self._name, self._source = key, archive, spent, name, source
        self._from: tuple[str, ...] = ()
        """Addresses from which the next certificate is good; empty: any."""

    def answer(self, line: bytes, now: float) -> dict[str, str]:
        """The answer to one question at `now`, seconds since the epoch."""
        try:
            asked = json.loads(line) if len(line) <= LINE_LIMIT else None
            if not isinstance(asked, dict) or not all(isinstance(value, str) for value in asked.values()):
                raise Refused("that is no question")
            return {"certificate": self._certify(asked, now)}
        except (BastionError, RecorderError) as error:
            return {"refused": error.message}
        except (Refused, ValueError, KeyError) as error:
            return {"refused": str(error) or type(error).__name__}

    def _certify(self, asked: dict[str, Any], now: float) -> str:
        self._from = sources(self._source, asked.pop("source", ""))
        public = asyncssh.import_public_key(parse_key(asked["public"]).line)
        if set(asked) == {"probe", "public"}:
            login = asked["probe"]
            if not LOGIN.fullmatch(login):
                raise Refused("that is no account")
            return self._sign(public, QUESTION.decode(), login, "target check", now)
        if set(asked) == {"shell", "mark", "name", "terminal", "public"}:
            programs = dispatch.Dispatched(asked["mark"], asked["name"], asked["terminal"] == "tty")
            return self._announced(asked["shell"], "shell.opened", programs.forced(), public, now, programs.terminal)
        if set(asked) == {"script", "path", "public"}:
            return self._announced(asked["script"], "script.read", question(asked["path"]).decode(), public, now, False)
        if set(asked) != {"request", "digest", "public"}:
            raise Refused("that is no question")
        info = self._archive.request_now(asked["request"])
        if info.id != asked["request"] or asked["digest"] != info.digest or info.to_model().digest != info.digest:
            raise Refused(f"the ledger does not hold that as {info.id}")
        started = self._archive.started_now(info.id)
        if started is None or started.body.get("digest") != info.digest:
            raise Refused(f"the ledger has no start of {info.id}")
        self._of_now(started, f"the start of {info.id}", now)
        terminal = info.kind == RequestKind.EXEC.value and bool(info.terminal)
        forced = self._forced(info, terminal=terminal)
        self._once(started, f"the start of {info.id}")
        label = f"{info.identity} {info.id} {info.digest[:16]}"
        forwards = info.kind == RequestKind.FORWARD.value
        return self._sign(public, forced, info.login, label, now, terminal=terminal, forwards=forwards)

    def _forced(self, info: RequestInfo, *, terminal: bool) -> str:
        if len(info.command) > COMMAND_LIMIT and info.kind != RequestKind.TRANSFER.value:
            raise Refused(f"a command in a certificate has at most {COMMAND_LIMIT:,} bytes")
        if info.kind == RequestKind.FORWARD.value:
            return "false"
        if info.kind == RequestKind.TRANSFER.value:
            return SFTP
        command = pinned(info.command, info.script, script_hash(info.script_code))
        if info.kind == RequestKind.LINE.value:
            beside = info.cwd.startswith("/") and not info.parent and aside(info.command)
            if info.state != State.ALLOWED.value or not beside:
                raise Refused(f"{info.id} does not run beside its shell")
            command = there(info.cwd, command)
        elif info.kind != RequestKind.EXEC.value:
            raise Refused(f"{info.id} is no command")
        try:
            forced = dispatch.command(command) if terminal else command.decode()
        except UnicodeDecodeError:
            raise Refused("a command in a certificate is UTF-8 text") from None
        except FrameError as error:
            raise Refused(str(error)) from None
        if len(forced) > FORCED_LIMIT:
            raise Refused(f"{info.id} is too long for a certificate")
        return forced

    def _announced(
        self, session: str, kind: str, forced: str, public: asyncssh.SSHKey, now: float, terminal: bool
    ) -> str:
        """For what the daemon said in the ledger that it would do in a session, just now."""
        entry = self._archive.newest_now(session, kind)
        if entry is None or entry.body.get("program") != hashlib.sha256(forced.encode()).hexdigest():
            raise Refused(f"the ledger has no {kind} of {session} with this program")
        self._of_now(entry, f"the {kind} of {session}", now)
        login = str(entry.body.get("login"))
        if not LOGIN.fullmatch(login):
            raise Refused("that is no account")
        self._once(entry, f"the {kind} of {session}")
        return self._sign(public, forced, login, f"{session} {kind}", now, terminal=terminal)

    def _once(self, entry: Entry, what: str) -> None:
        """The last look before it is signed."""
        if not self._spent.spend(entry.leaf, entry.t):
            raise Refused(f"{what} was certified already, or can have been")

    def _of_now(self, entry: Entry, what: str, now: float) -> None:
        if not -CLOCK_SECONDS <= now - entry.t / 1e6 <= FRESH_SECONDS:
            raise Refused(f"{what} is not of now")

    def _sign(
        self,
        public: asyncssh.SSHKey,
        command: str,
        login: str,
        label: str,
        now: float,
        *,
        terminal: bool = False,
        forwards: bool = False,
    ) -> str:
        certificate = self._key.generate_user_certificate(
            public,
            f"{label} by {self._name}",
            principals=[login],
            valid_after=now - CLOCK_SECONDS,
            valid_before=now + VALID_SECONDS,
            force_command=command,
            permit_x11_forwarding=False,
            permit_agent_forwarding=False,
            permit_port_forwarding=forwards,
            permit_pty=terminal,
            permit_user_rc=False,
            source_address=self._from or None,
        )
        return certificate.export_certificate().decode().strip()


def sources(setting: str, seen: str) -> tuple[str, ...]:
    """From where a certificate is good: as `source_address` of bastion.toml says, `auto` from `seen`, the bastion's own
    address on that connection. Raises ValueError."""
    if setting == ANYWHERE:
        return ()
    if setting == AUTO:
        return (str(ipaddress.ip_address(seen.partition("%")[0])),) if seen else ()
    return tuple(str(ipaddress.ip_network(each.strip())) for each in setting.split(","))


def main(store: str, key: str, spent: str, name: str, source: str) -> None:
    """Answer questions on stdin until it ends."""
    reader = Reader.open(Path(store))
    mint = Mint(cakeys.load(Path(key)), Archive(reader), Spent(Path(spent)), name, source)
    for line in iter(lambda: sys.stdin.buffer.readline(LINE_LIMIT + 2), b""):
        sys.stdout.buffer.write(json.dumps(mint.answer(line, time.time())).encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
