"""The composition root: builds every part, joins them, runs until told to stop.

Order of start, each step of which may refuse (P4):

    1. store: lock, recover, check against the signed head     another daemon, or a damaged ledger: refuse
    2. directory: fold the ledger's entries
    3. what an earlier run left open is closed in the ledger    crash here: the next start does the rest
    4. `daemon.started`                                         nothing is served before this is durable
    5. local socket, then SSH

Order of stop: stopping.py's, and the ledger is closed.
A kill -9 at any point is step 1-3 of the next start.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

from bastion import __version__, audit, covering, host_authority, ledgerkey
from bastion.admin import load_directory
from bastion.anchoring import Anchoring
from bastion.audit import Audit, Draft
from bastion.broker import Broker
from bastion.clock import Clock
from bastion.config import Config
from bastion.control import wire
from bastion.control.archive import Archive
from bastion.control.calls import Calls
from bastion.control.connection import Caller
from bastion.control.house import House
from bastion.control.pressing import Pressing
from bastion.control.server import ControlServer
from bastion.custody import Custody, Limits
from bastion.descriptors import room_for
from bastion.desk import Desk
from bastion.errors import StoreError, StoreStopped, UsageError
from bastion.expiring import Expiring
from bastion.grants import Grants
from bastion.ids import RequestIds
from bastion.inforce import InForce
from bastion.interpreter import runner, spare_what_stays
from bastion.keeper import Keeper
from bastion.model import Identity
from bastion.notify.notifier import Notifier
from bastion.notify.watching import Watching
from bastion.opening import (
    latest,
    members_of,
    open_ledger,
    private,
    read_host_key,
    recorded,
    usage_of,
)
from bastion.oserrors import in_words
from bastion.policy.risk import loaded
from bastion.policy.stdin import reads_code
from bastion.presence import Presence
from bastion.recovery import EXPIRED, take_up
from bastion.renderer import Renderer
from bastion.sessions import Sessions
from bastion.sftp.leftovers import Leftovers
from bastion.sftp.session import Transfers
from bastion.sftp.staging import Staging
from bastion.ssh import server
from bastion.ssh.console import Consoles
from bastion.ssh.limits import LoginLimits
from bastion.ssh.listen import listen
from bastion.ssh.minting import minting_of
from bastion.ssh.probing import probe
from bastion.ssh.services import Services, ShellLimits
from bastion.ssh.upstream import Pool
from bastion.stopping import wind_down
from recorder.ledger import Ledger
from recorder.reader import Reader

log = logging.getLogger(__name__)

NO_LISTENING = {
    errno.EADDRINUSE: "another program has that port, perhaps another bastion: `ss -ltnp` names it; or change `listen`",
    errno.EADDRNOTAVAIL: "this machine has no such address; 0.0.0.0 is every one that it has",
    errno.EACCES: "a port below 1024 takes CAP_NET_BIND_SERVICE; or change `listen`",
}
"""What to do about it, by bind(2)'s error."""


def run(config: Config) -> None:
    """Serve until SIGTERM or SIGINT. Raises BastionError when it cannot start, or had to stop by itself."""
    with runner() as loop:
        loop.run(Daemon(config).serve())


class Daemon:
    """One bastion."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._stop = asyncio.Event()
        self._failure = ""

    async def serve(self, ready: Callable[[int], None] | None = None) -> None:
        """Run until stopped. `ready` gets the port once everything is served. Raises BastionError."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        if (fitting := room_for(self._config.connections)) < self._config.connections:
            log.warning("descriptors are few: %d connections, instead of %d", fitting, self._config.connections)
        ledger = open_ledger(self._config)
        keeper = Keeper(self._config.store, ledger)
        try:
            keeper.start()
            await self._serve(ledger, fitting, ready)
        finally:
            await keeper.close()
            await asyncio.to_thread(ledger.close)
        if self._failure:
            raise StoreStopped(self._failure, "the bastion stopped: what cannot be recorded does not run")

    def stop(self) -> None:
        """As SIGTERM does."""
        self._stop.set()

    async def _serve(  # noqa: PLR0915 -- the order of start, in one place
        self, ledger: Ledger, fitting: int, ready: Callable[[int], None] | None
    ) -> None:
        config, loop = self._config, asyncio.get_running_loop()
        ledger.on_failure = lambda error: loop.call_soon_threadsafe(self._ledger_failed, error)
        reader = Reader.open(config.store)
        writer = Audit(ledger)
        archive = Archive(reader)
        clock = Clock(floor=latest(reader))
        in_force = InForce(config.policy, writer, approvals=config.approvals, timeout=int(config.timeout_seconds))
        directory = load_directory(reader)
        taken = await take_up(reader, writer, now=clock.wall(), ticket=config.ticket_seconds)
        started = Draft("daemon.started", audit.DAEMON, {"version": __version__, "config": config.digest})
        await writer.write(started, *(audit.restored(left.info) for left in taken.kept))

        anchoring = Anchoring(config, writer, archive.prover)
        keep = Limits(config.keep_days, config.keep_environments)
        custody = Custody(ledger, reader, config.store, keep, people=config.redaction_people)
        await asyncio.to_thread(custody.finish)
        await asyncio.to_thread(custody.announce)
        await in_force.announce()
        broker = Broker(
            Desk(
                ticket=config.ticket_seconds,
                limit=config.held_requests,
                members=partial(members_of, in_force, directory),
            ),
            writer,
            clock,
            timeout=int(config.timeout_seconds),
        )
        early = [("request.expired", f"{request} is denied: {EXPIRED}") for request in taken.expired]
        broker.alert = lambda kind, text: early.append((kind, text))  # until there is somebody to tell
        for left in taken.kept:
            broker.restore(left, config.ticket_seconds)
        sessions = Sessions()
        staging = Staging(config.staging, file_limit=config.transfer_file_bytes, limit=config.staging_bytes)
        leftovers = Leftovers(config.state / "leftovers")
        try:
            staging.prepare()
            leftovers.prepare()
        except OSError as error:
            raise StoreError(f"cannot prepare {config.staging}: {error.strerror}") from None
        pool = Pool(config.connect_seconds, config.keepalive_seconds, minting_of(config))
        grants = Grants(directory, writer, clock, broker, sessions)
        broker.granting = grants
        # first what takes a grant from now on, then what was restored is judged by it
        if directory.access.guarded != frozenset(config.grants):
            body = {"grants": sorted(config.grants)}
            await writer.write(Draft("access.configured", audit.DAEMON, body))
            directory.apply("access.configured", body)
        await grants.drop_what_counts_no_more()
        renderer = Renderer(config.store)
        services = Services(
            directory=directory,
            broker=broker,
            audit=writer,
            sessions=sessions,
            pool=pool,
            clock=clock,
            record=partial(recorded, ledger, renderer),
            stored=archive.stored,
            new_request=RequestIds(archive.knows_request),
            reads_code=reads_code,
            assess=loaded().assess,
            policy=lambda: in_force.policy,
            usage=usage_of(reader, clock.wall()),
            approvals=config.approvals,
            shells=ShellLimits(config.shell_leave_running, config.shell_idle_seconds, config.shell_seconds, fitting),
            vouch=anchoring.vouch,
            needs_vouching=anchoring.needed,
            longest_grant=int(config.longest_grant_seconds),
            consoles=Consoles(config.host_name, partial(note_console, writer)),
            transfers=Transfers(staging, leftovers),
        )
        connections = server.Connections()
        limits = LoginLimits(config.failed_logins_per_minute, fitting, unauthenticated=fitting // 2)
        notifier = Notifier(
            config.notify,
            config.path.parent,
            clock,
            outbox=config.state / "notifications",
            hidden=private(config),
        )
        house = House(
            directory=directory,
            broker=broker,
            sessions=sessions,
            audit=writer,
            archive=archive,
            clock=clock,
            cut_connections=connections.cut,
            drop_links=pool.drop,
            ask=pool.ask,
            probe=lambda target: probe(target, config, pool.minting),
            assess=loaded().assess,
            reads_code=reads_code,
            new_request=services.new_request,
            judge=services.judge,
            grants=grants,
            policy=services.policy,
            longest_grant=int(config.longest_grant_seconds),
            notifier=notifier,
            presence=Presence(clock),
            custody=custody,
            rotate=lambda who: asyncio.to_thread(ledgerkey.rotate_running, config, ledger, who),
            render=renderer.render,
        )
        house.presence.changed, house.presence.missed = house.came_or_left, broker.escalating.look_for_people
        broker.escalating.watched = house.watched
        in_force.alert = broker.alert = notifier.alert = house.alert
        notifier.changed = house.channels_changed
        pressing = Pressing(
            broker, directory, notifier, config.notify, lambda request: services.judge(request, clock.wall()).unsigned
        )

        def press(said: dict[str, Any]) -> None:
            services.spawn(pressing.press(said), "button")

        notifier.press = press
        watching_queue = Watching(broker, notifier, clock, covering.visible_line)
        house.audience.add(watching_queue.hear)
        calls = Calls(house)
        control = ControlServer(
            calls.handle, lambda caller: _welcome(caller, writer), barred=lambda pid: pid > 0 and pid == notifier.pid
        )

        async def serve_control(stdin: Any, stdout: Any, identity: Identity, way: str = "") -> None:
            await control.serve(stdin, stdout, Caller(identity.name, identity.roles, way=way))

        host_key = read_host_key(config.host_key)  # before anything listens: a refusal leaves nothing behind
        authority = host_authority.load_or_make(config.host_authority, config.host_name)
        await control.listen(config.socket)
        try:
            acceptor = await listen(
                services,
                config.host,
                config.port,
                host_key=host_key,
                authority=authority,
                names=tuple(sorted({config.host_name, config.host})),
                limits=limits,
                connections=connections,
                serve_control=serve_control,
                login_seconds=config.login_seconds,
                keepalive_seconds=config.keepalive_seconds,
            )
        except OSError as error:
            await control.close()
            hint = NO_LISTENING.get(error.errno or 0, "")
            raise UsageError(f"cannot listen on {config.listen}: {in_words(error)}", hint) from None
        grants.start()
        notifier.start()
        watching_queue.start()
        for alert in early:
            house.alert(*alert)
        house.presence.look_later()  # whoever had a console open comes back first
        port = acceptor.get_port()
        log.info("listening on %s port %d", config.host, port)
        anchoring.start()
        expiring = Expiring(custody, config.retention_seconds, clock.wall)
        expiring.start()
        spare_what_stays()
        if ready is not None:
            ready(port)
        loop.add_signal_handler(signal.SIGHUP, in_force.reload)
        watching = services.spawn(in_force.watch(), "policy")
        try:
            await self._stop.wait()
        finally:
            watching.cancel()
            await expiring.close()
            if self._failure:
                house.alert("ledger.failed", self._failure)
            watching_queue.close()
            house.presence.close()
            await renderer.close()
            await wind_down(self._failure, acceptor, services, connections, control, anchoring, grants)
            await notifier.close()
            reader.close()

    def _ledger_failed(self, error: Exception) -> None:
        log.critical("the ledger cannot be written: %s", error)
        self._failure = f"the ledger cannot be written: {error}"
        self._stop.set()


async def note_console(writer: Audit, identity: str, key: str, client: str) -> None:
    """A console was opened over SSH. Raises StoreError."""
    await writer.write(Draft("console.opened", identity, {"key": key, "client": client}))


def _welcome(caller: Caller, writer: Audit) -> wire.Welcome:
    return wire.Welcome(
        version=wire.VERSION,
        origin=writer.origin,
        identity=caller.name,
        roles=sorted(role.value for role in caller.roles),
        checkpoint=writer.head_note(),
    )
