"""`bastion.toml`: what a daemon is told, checked before anything starts.

Theory of operation. One table, KEYS, names every key with its default and the check that its value passes; `load` reads
a file, `parse` a text. A key that is not in the table, a value of another type or out of its range, and broken TOML are
ConfigErrors with line and column. Nothing is guessed: a misspelt limit must not fall back to its default in silence.

What policy decides (what runs unasked, who needs how many approvals for what) stands in a file of its own: `policy`.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bastion import credentials, outlets
from bastion.errors import ConfigError, NotFound
from bastion.outlets import Outlet
from bastion.settings import (
    Key,
    Wrong,
    between,
    lasting,
    mebibytes,
    parse_duration,
    parse_listen,
    read,
    read_file,
    text,
)

FILE = "bastion.toml"

PORT = 2222
"""Where agents connect unless told otherwise: sshd keeps 22."""


@dataclass(frozen=True, slots=True)
class Config:
    """One bastion's configuration."""

    path: Path
    """The file it came from, absolute."""
    digest: str
    """SHA-256 (hex) of the file's bytes; the ledger notes it when the daemon starts."""
    listen: str
    """Address for agents and approvers, as written."""
    policy: Path | None
    """The policy's file, absolute; None: everything is held that is not whitelisted."""
    state: Path
    """Directory of keys and store, absolute; mode 0700."""
    host_name: str
    """What the ledger calls this bastion. Read once, when the store is made."""
    timeout_seconds: float
    """A held request is denied after this long."""
    ticket_seconds: float
    """An approval whose agent has gone is good for the identical request for this long."""
    approvals: int
    """Distinct humans for each held request."""
    login_seconds: int
    """From connecting to having logged in."""
    connections: int
    """SSH connections at once."""
    failed_logins_per_minute: int
    """From one address; more are turned away before they cost anything."""
    keepalive_seconds: int
    """Between probes of an idle connection, to agents and to targets."""
    held_requests: int
    """Requests held at once."""
    source_address: str
    """From where certificates for targets are good: AUTO, ANYWHERE, or addresses and networks with commas between."""
    connect_seconds: int
    """For reaching a target, its login included."""
    shell_leave_running: bool
    """What runs in a shell whose agent goes away goes on to its end."""
    shell_idle_seconds: float
    """A shell in which nothing happens for this long is ended."""
    shell_seconds: float
    """A shell is ended after this long, whatever happens in it."""
    transfer_file_bytes: int
    """In one file that an agent writes over SFTP."""
    staging_bytes: int
    """In all files together that wait for a decision."""
    witness_url: str
    """Of the witness; empty: none."""
    witness_key: str
    """Its verifier key."""
    witness_seconds: float
    """Between two heads that it signs on its own time."""
    anchor_directory: Path | None
    """Where heads and sealed segments are copied to."""
    anchor_git: str
    """Remote of a git repository that takes heads; empty: none."""
    anchor_seconds: float
    """Between two copies."""
    grants: tuple[str, ...]
    """Environments in which a target takes a grant."""
    longest_grant_seconds: float
    """That a grant may last."""
    keep_days: int
    """That recordings are kept; 0: for ever."""
    keep_environments: tuple[tuple[str, int], ...]
    """The same for targets in these environments."""
    retention_seconds: float
    """Between two looks for recordings whose time is over."""
    redaction_people: int
    """Who must sign that something is taken out of a recording."""
    notify: tuple[Outlet, ...]
    """Channels that tell people."""

    @property
    def host(self) -> str:
        """Of `listen`."""
        return parse_listen(self.listen)[0]

    @property
    def port(self) -> int:
        """Of `listen`; 0: any free one."""
        return parse_listen(self.listen)[1]

    @property
    def host_key(self) -> Path:
        """The bastion's SSH host key."""
        return credentials.place(self.state, "host_key")

    @property
    def host_authority(self) -> Path:
        """The key that certifies host keys for jumps."""
        return credentials.place(self.state, "host_authority")

    @property
    def upstream_ca(self) -> Path:
        """The key that certifies commands for targets."""
        return credentials.place(self.state, "upstream_ca")

    @property
    def ledger_key(self) -> Path:
        """The key that signs the ledger."""
        return credentials.place(self.state, "ledger_key")

    @property
    def store(self) -> Path:
        """Directory of the ledger and the recordings."""
        return self.state / "store"

    @property
    def staging(self) -> Path:
        """Directory of files that wait for a decision."""
        return self.state / "staging"

    @property
    def socket(self) -> Path:
        """Where the daemon listens for the tools of its own host."""
        return self.state / "control.sock"


AUTO, ANYWHERE = "auto", "anywhere"
"""Words for `source_address`: the bastion's own address on each connection; no restriction."""


def _listen(value: object) -> str:
    try:
        parse_listen(text(value))
    except ValueError as error:
        raise Wrong(str(error)) from None
    return text(value)


def _path(value: object) -> str:
    if not text(value) or "\0" in text(value):
        raise Wrong("a directory")
    return text(value)


def _policy(value: object) -> str:
    if "\0" in text(value):
        raise Wrong("a file")
    return text(value)


def _host_name(value: object) -> str:
    if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,253}[A-Za-z0-9])?", text(value), re.ASCII):
        raise Wrong("a host name: letters, digits, dots and hyphens")
    return text(value)


def _source(value: object) -> str:
    if text(value) in (AUTO, ANYWHERE):
        return text(value)
    try:
        networks = [ipaddress.ip_network(each.strip()) for each in text(value).split(",")]
    except ValueError:
        raise Wrong(f'"{AUTO}", "{ANYWHERE}", or addresses and networks with commas between') from None
    return ",".join(map(str, networks))


def _on_disconnect(value: object) -> bool:
    if text(value) not in ("kill", "leave"):
        raise Wrong('"kill" or "leave"')
    return text(value) == "leave"


def _url(value: object) -> str:
    if text(value) and not re.fullmatch(r"https?://[!-~]+", text(value), re.ASCII):
        raise Wrong("http://HOST:PORT or https://HOST, or empty")
    return text(value)


def _witness_key(value: object) -> str:
    from recorder.cosignature import parse_verifier_key
    from recorder.errors import NoteError

    if text(value):
        try:
            parse_verifier_key(text(value))
        except NoteError:
            raise Wrong("what `bastion witness init` printed: NAME+8 hex digits+base64") from None
    return text(value)


def _remote(value: object) -> str:
    if text(value).startswith("-") or "\0" in text(value):
        raise Wrong("a remote as git takes it: a path or an address")
    return text(value)


def _labels(value: object) -> tuple[str, ...]:
    wanted = "a list of environment labels: 1-1024 printable characters each, 100 of them at most"
    if not isinstance(value, list) or len(value) > 100:
        raise Wrong(wanted)
    if any(not isinstance(each, str) or not 0 < len(each) <= 1024 or not each.isprintable() for each in value):
        raise Wrong(wanted)
    return tuple(dict.fromkeys(value))


def _notify(value: object) -> tuple[Outlet, ...]:
    try:
        return outlets.parse(value, parse_duration)
    except ValueError as error:
        raise Wrong(str(error)) from None


def _keep(value: object) -> int:
    match = re.fullmatch(r"forever|([1-9][0-9]{0,4})d", text(value), re.ASCII)
    if match is None:
        raise Wrong('"forever" or whole days: "90d"')
    return int(match[1] or 0)


def _keeps(value: object) -> tuple[tuple[str, int], ...]:
    wanted = 'a list of at most 100 such as "production=365d", "lab=forever", each environment once'
    if not isinstance(value, list) or len(value) > 100:
        raise Wrong(wanted)
    found: dict[str, int] = {}
    for each in value:
        env, equals, days = each.rpartition("=") if isinstance(each, str) else ("", "", "")
        if not equals or not 0 < len(env) <= 1024 or not env.isprintable() or not env.isascii() or env in found:
            raise Wrong(wanted)
        found[env] = _keep(days)
    return tuple(found.items())


KEYS: Mapping[str, Mapping[str, Key]] = {
    "": {"notify": Key("notify", [], _notify)},
    "bastion": {
        "listen": Key("listen", f"127.0.0.1:{PORT}", _listen),
        "state": Key("state", "state", _path),
        "policy": Key("policy", "", _policy),
        "host": Key("host_name", "bastion", _host_name),
    },
    "approval": {
        "timeout": Key("timeout_seconds", "60s", lasting("30s", "10m")),
        "ticket": Key("ticket_seconds", "10m", lasting("30s", "1h")),
        "approvals": Key("approvals", 1, between(1, 5)),
    },
    "limits": {
        "login_seconds": Key("login_seconds", 20, between(1, 600)),
        "connections": Key("connections", 200, between(2, 10_000)),
        "failed_logins_per_minute": Key("failed_logins_per_minute", 60, between(1, 10_000)),
        "keepalive_seconds": Key("keepalive_seconds", 15, between(1, 3600)),
        "held_requests": Key("held_requests", 1000, between(1, 10_000)),
    },
    "access": {
        "grants": Key("grants", ["production", "prod"], _labels),
        "longest": Key("longest_grant_seconds", "8h", lasting("1s", "7d")),
    },
    "targets": {
        "connect_seconds": Key("connect_seconds", 10, between(1, 60)),
        "source_address": Key("source_address", AUTO, _source),
    },
    "shells": {
        "on_disconnect": Key("shell_leave_running", "kill", _on_disconnect),
        "idle": Key("shell_idle_seconds", "30m", lasting("10s", "1d")),
        "longest": Key("shell_seconds", "8h", lasting("10s", "7d")),
    },
    "transfers": {
        "largest_mib": Key("transfer_file_bytes", 4096, mebibytes(1, 1 << 20)),
        "staging_mib": Key("staging_bytes", 16_384, mebibytes(1, 1 << 24)),
    },
    "retention": {
        "keep": Key("keep_days", "forever", _keep),
        "environments": Key("keep_environments", [], _keeps),
        "every": Key("retention_seconds", "1h", lasting("10s", "7d")),
    },
    "redaction": {
        "people": Key("redaction_people", 2, between(1, 2)),
    },
    "witness": {
        "url": Key("witness_url", "", _url),
        "key": Key("witness_key", "", _witness_key),
        "every": Key("witness_seconds", "10m", lasting("10s", "1d")),
    },
    "anchor": {
        "directory": Key("anchor_directory", "", text),
        "git": Key("anchor_git", "", _remote),
        "every": Key("anchor_seconds", "1h", lasting("10s", "7d")),
    },
}
"""Every key by section. Where the numbers come from stands in docs/configuration.md."""


def load(path: Path) -> Config:
    """The configuration in `path`. Raises ConfigError."""
    path = path.absolute()
    text, digest = read_file(path)
    return parse(text, path, digest)


def parse(text: str, path: Path, digest: str = "") -> Config:
    """The configuration in `text`, as if it stood in `path`. Raises ConfigError with line and column."""
    values = read(text, path, KEYS)
    values["state"] = path.absolute().parent / Path(values["state"]).expanduser()
    spot = values["anchor_directory"]
    values["anchor_directory"] = path.absolute().parent / Path(spot).expanduser() if spot else None
    if bool(values["witness_url"]) is not bool(values["witness_key"]):
        raise ConfigError(str(path), "a witness needs both url and key", hint="[witness] in docs/configuration.md")
    policy = values["policy"]
    values["policy"] = path.absolute().parent / Path(policy).expanduser() if policy else None
    return Config(path=path, digest=digest, **values)


def find(explicit: str | None, environment: Mapping[str, str] = os.environ, etc: Path = Path("/etc/bastion")) -> Path:
    """Which file to read: `--config`, BASTION_CONFIG, ./bastion.toml, the XDG directory, /etc/bastion.

    Raises NotFound when there is none. A file that was named is returned whether it exists or not: not finding it is
    for `load` to say, and another file is not what was asked for.
    """
    named = explicit or environment.get("BASTION_CONFIG")
    if named:
        return Path(named)
    spots = [Path.cwd() / FILE, xdg(environment) / FILE, etc / FILE]
    for spot in spots:
        if spot.exists():
            return spot
    raise NotFound(
        f"no {FILE} in " + ", ".join(str(spot.parent) for spot in spots), "--config FILE, or `bastion init DIR` first"
    )


def xdg(environment: Mapping[str, str] = os.environ) -> Path:
    """The person's own directory for `bastion.toml` and `client.toml` (XDG Base Directory Specification 0.8)."""
    base = environment.get("XDG_CONFIG_HOME", "")
    root = Path(base) if base.startswith("/") else Path.home() / ".config"
    return root / "agent-bastion"


def xdg_state(environment: Mapping[str, str] = os.environ) -> Path:
    """The person's own directory for what their tools remember (XDG Base Directory Specification 0.8)."""
    base = environment.get("XDG_STATE_HOME", "")
    root = Path(base) if base.startswith("/") else Path.home() / ".local/state"
    return root / "agent-bastion"
