"""Which bastion a verb talks to, and how.

    --bastion HOST:PORT                          SSH
    --config FILE or BASTION_CONFIG              this host: the daemon's socket, else the store
    client.toml names a bastion                  SSH
    a bastion.toml is found (config.find)        this host

Administration is for this host only and never takes the SSH way. `Client` and the store are two sources of the same
things (`sources.Source`); what needs somebody who decides, holds or watches needs the daemon.
"""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bastion.cli import clientfile
from bastion.cli.options import Settings
from bastion.errors import NotFound, Unreachable, UsageError

if TYPE_CHECKING:
    from bastion.cli.sources import Source
    from bastion.config import Config
    from bastion.control import wire
    from bastion.control.client import Client
    from bastion.control.endpoints import Endpoint, Remote
    from bastion.control.pins import Pins
    from bastion.control.signers import Signer

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A bastion that is reached over SSH."""

    host: str
    port: int
    key: str | None
    host_key: str


@dataclass(frozen=True, slots=True)
class Here:
    """This host's bastion."""

    config: Config


def place(settings: Settings) -> Elsewhere | Here:
    """Which bastion is meant. Raises UsageError, ConfigError, NotFound."""
    from bastion import config

    known = clientfile.read(config.xdg() / clientfile.CLIENT_FILE)
    key = settings.key or known.get("key") or None
    host_key = _host_key(settings.host_key or known.get("host_key") or "")
    if settings.bastion:
        return Elsewhere(*_address(settings.bastion), key, host_key)
    if settings.config or os.environ.get("BASTION_CONFIG") or not known.get("bastion"):
        return here(settings)
    return Elsewhere(*_address(known["bastion"]), key, host_key)


def here(settings: Settings) -> Here:
    """This host's bastion. Raises UsageError when another one was asked for, ConfigError, NotFound."""
    from bastion import config

    if settings.bastion:
        raise UsageError("this is done on the bastion's own host", "run it there, without --bastion")
    return Here(config.load(config.find(settings.config)))


def pins() -> Pins:
    """What this person's tools have seen of bastions' ledgers."""
    from bastion import config
    from bastion.control.pins import Pins

    return Pins(config.xdg_state())


def local_name() -> str:
    """Who the ledger says did it, when a verb works on the store: the daemon says the same of its socket's peers."""
    return f"local:{os.geteuid()}"


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run an asynchronous verb."""
    import asyncio

    return asyncio.run(work)


# --- connections -------------------------------------------------------------------------------------------------


@asynccontextmanager
async def daemon(settings: Settings, *, why: str) -> AsyncIterator[Client]:
    """A daemon that runs. Raises Unreachable with `why` one is needed."""
    from bastion.control.client import Client

    spot = place(settings)
    if isinstance(spot, Elsewhere):
        client = await Client.open(await _remote(spot), pins=pins())
    else:
        client = await local_client(spot.config, why=why)
    async with client:
        yield client


@asynccontextmanager
async def unpinned(settings: Settings) -> AsyncIterator[tuple[Client, Endpoint]]:
    """A daemon that is held to nothing yet: for `ledger accept` alone."""
    from bastion.control.client import Client
    from bastion.control.endpoints import Local

    spot = place(settings)
    endpoint: Endpoint = await _remote(spot) if isinstance(spot, Elsewhere) else Local(spot.config.socket)
    async with await Client.open(endpoint) as client:
        yield client, endpoint


@asynccontextmanager
async def deciding(settings: Settings, *, role: str = "approver") -> AsyncIterator[Client]:
    """A daemon, and a key to sign with that it counts: over SSH the key that logged in."""
    async with daemon(settings, why="deciding takes one") as client:
        if client.signer is None:
            client.signer = await _signer(client, settings, role)
        yield client


@asynccontextmanager
async def source(settings: Settings) -> AsyncIterator[Source]:
    """A daemon, or the store of this host when none runs. For verbs that only read."""
    from bastion.cli.sources import DaemonSource, StoreSource
    from bastion.control.client import Client

    spot = place(settings)
    if isinstance(spot, Elsewhere):
        async with await Client.open(await _remote(spot), pins=pins()) as client:
            yield DaemonSource(client)
        return
    try:
        local = await local_client(spot.config)
    except Unreachable:
        from bastion.admin import note_view, reading

        config = spot.config
        with reading(config) as reader:
            offline = StoreSource(reader, lambda *what: note_view(config, local_name(), *what))
            try:
                yield offline
            finally:
                await offline.close()
        return
    async with local:
        yield DaemonSource(local)


async def local_client(config: Config, *, why: str = "") -> Client:
    """This host's daemon. Raises Unreachable when none listens, NotAllowed when it is another user's."""
    from bastion.control.client import Client
    from bastion.control.endpoints import Local

    try:
        return await Client.open(Local(config.socket), pins=pins())
    except Unreachable as error:
        if why and not config.socket.exists():
            raise Unreachable(f"no daemon runs, and {why}", "start it with `bastion serve`") from None
        raise error from None


def administer(settings: Settings, call: type[wire.Call], result: type[T], **fields: Any) -> T:
    """One change to this host's bastion: a call to its daemon, or the same on its store when none runs.

    Between the look for a daemon and the store's lock one may start: then the lock refuses, with a Conflict.
    """
    config = here(settings).config

    async def work() -> T:
        try:
            client = await local_client(config)
        except Unreachable:
            done: T = _offline(config, call, fields)
            return done
        async with client:
            return await client.call(call, result, **fields)

    return run(work())


def change(settings: Settings, call: type[wire.Call], result: type[T], **fields: Any) -> T:
    """As `administer`, for what approvers may do from elsewhere, too."""
    from bastion.control.client import Client

    spot = place(settings)
    if isinstance(spot, Here):
        return administer(settings, call, result, **fields)

    async def work() -> T:
        async with await Client.open(await _remote(spot)) as client:
            return await client.call(call, result, **fields)

    return run(work())


def _offline(config: Config, call: type[wire.Call], fields: dict[str, Any]) -> Any:
    from bastion.admin import administering

    with administering(config, local_name()) as admin:
        return admin.perform(call(id=0, **fields))


async def remote(settings: Settings) -> Remote | None:
    """The bastion elsewhere with the keys to offer it; None when this host's is meant."""
    spot = place(settings)
    return await _remote(spot) if isinstance(spot, Elsewhere) else None


async def _remote(spot: Elsewhere) -> Remote:
    from bastion.control.endpoints import Remote

    signers = await candidates(spot.key)
    await signers[0].key_pair()  # a passphrase is asked for before the daemon's time to log in begins
    return Remote(spot.host, spot.port, signers, spot.host_key)


async def candidates(wanted: str | None) -> list[Signer]:
    """The person's keys in the order to try. Raises UsageError, NotFound."""
    from bastion.control import signers

    return list(await signers.find(wanted, agent=os.environ.get("SSH_AUTH_SOCK"), prompt=prompt()))


def prompt() -> Callable[[str], str] | None:
    """Asks for a passphrase on the terminal; None where there is none."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None

    def ask(words: str) -> str:
        import getpass
        import signal

        # asyncio's own handler would only note Ctrl-C, and getpass would go on waiting.
        old = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return getpass.getpass(words, stream=sys.stderr)
        finally:
            signal.signal(signal.SIGINT, old)

    return ask


async def _signer(client: Client, settings: Settings, role: str) -> Signer:
    """On the local socket nobody has logged in: the first of the person's keys whose identity has that role."""
    from bastion.control import wire

    known = _client_key(settings)
    found = await candidates(known)
    if known is not None:
        return found[0]
    identities = await client.call(wire.ListIdentities, list[wire.IdentityInfo])
    counted = {mark for each in identities if role in each.roles and not each.revoked for mark in each.fingerprints}
    for signer in found:
        if signer.key.fingerprint in counted:
            return signer
    raise NotFound(f"none of your keys is an {role}'s", "--key FILE names one; `bastion identity list` lists them")


def _client_key(settings: Settings) -> str | None:
    from bastion import config

    return settings.key or clientfile.read(config.xdg() / clientfile.CLIENT_FILE).get("key") or None


def _address(text: str) -> tuple[str, int]:
    from bastion.config import PORT
    from bastion.names import parse_address

    host, port = parse_address(text)
    given = text.endswith(f":{port}")
    return host, port if given else PORT


def _host_key(text: str) -> str:
    """`algorithm base64`, given as such or as the name of a .pub file; empty stays empty. Raises UsageError."""
    from bastion.publickey import parse_key

    if not text:
        return ""
    path = Path(text).expanduser()
    if " " not in text.strip() and path.is_file():
        text = path.read_text("utf-8", "replace")
    return parse_key(text).line
