"""The load, and the check of the books after it.

Theory of operation. Each agent has one connection at a time and does one thing after the other on it, drawn at random
from a table. An approver decides what is held; some things it ignores, so that they time out, and some sessions it
kills. What each agent was told is kept for each request, and compared with what the ledger says when the daemon has
stopped. A machine that is too slow for the load shows in requests that nobody decided in time: those are counted, and
are no fault, as long as everybody was told so.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh

from bastion.control import wire
from bastion.control.client import Client
from bastion.errors import BastionError
from bastion.model import Choice
from recorder.verify import Verdict, verify
from tests.bench.load import memory, processor
from tests.soak import kinds
from tests.support.governed import plain_home
from tests.support.house import House

POLICY = 'policy "soak" {\nversion 1\nhold anything\ntimeout 30s\n}\n'
LIMITS = "\n[limits]\nconnections = 2000\nheld_requests = 5000\n"
FREE = "echo free"
BULK = "head -c 3000000 /dev/zero"
WEIGHTS = {"free": 26, "held": 21, "denied": 12, "bulk": 8, "long": 6, "killed": 6, "leaves": 10, "ignored": 3}
WEIGHTS |= {"shell": 4, "upload": 4}
"""How often each is done: of 100."""
GROWTH = 32 << 20
"""Bytes by which the daemon's memory may be larger at the end than after the first third: caches fill, and a heap is
not given back in whole."""
DENIED, EXPIRED = 126, 124
LIKELY = {"free": 0, "held": 0, "bulk": 0, "long": 0, "denied": DENIED, "ignored": EXPIRED}
"""Exit status that each is to end with, unless nobody decided in time."""
SAMPLE = 2.0
"""Seconds between two looks at the memory."""


@dataclass(slots=True)
class Report:
    """What came of it."""

    figures: dict[str, object]
    faults: list[str]


@dataclass(slots=True)
class Soak:
    """One run."""

    work: Path
    sessions: int
    kinds: dict[str, int] = field(default_factory=lambda: dict(WEIGHTS))
    told: Counter[str] = field(default_factory=Counter)
    ends: dict[str, int | None] = field(default_factory=dict)
    """Exit status that the agent saw, by request."""
    faults: list[str] = field(default_factory=list)
    samples: list[tuple[float, int]] = field(default_factory=list)
    _dice: random.Random = field(default_factory=lambda: random.Random(7))

    async def run(self, seconds: float, say: Callable[[str], None] = lambda line: None) -> Report:
        """Load for so long, then check."""
        target = plain_home(self.work / "target", "MaxStartups 500\nMaxSessions 100")
        house = House(self.work / "house", POLICY)
        house.add_target("web-1", target)
        house.configure(LIMITS)
        target.start()
        house.start()
        begun, cpu = time.monotonic(), processor(house.pid)
        try:
            ana = await house.local()
            for identity in ("agent-7", "agent-8"):
                await house.whitelist(ana, FREE.encode(), identity=identity)
            end = begun + seconds
            async with asyncio.TaskGroup() as group:
                helpers = [group.create_task(self._approve(ana)), group.create_task(self._watch(house, say))]
                agents = [group.create_task(self._agent(house, number, end)) for number in range(self.sessions)]
                await asyncio.wait(agents)
                for each in helpers:
                    each.cancel()
            spent = processor(house.pid) - cpu
            await ana.close()
            if (status := house.stop()) != 0:
                self.faults.append(f"the daemon ended with {status}")
        finally:
            house.stop()
            target.stop()
        counts = self._books(house)
        if "Traceback" in (log := house.log.read_text()):
            self.faults.append("the daemon's log tells of an exception: " + log[log.index("Traceback") :][:2000])
        figures: dict[str, object] = {
            "seconds": round(time.monotonic() - begun),
            "agents": self.sessions,
            "told": dict(self.told),
            "compared": len(self.ends),
            "ledger": counts,
            "memory_mib": self._memory(),
            "cpu_percent": round(spent / (time.monotonic() - begun) * 100),
        }
        return Report(figures, self.faults)

    # --- the load -------------------------------------------------------------------------------------------------

    async def _agent(self, house: House, number: int, end: float) -> None:
        who = f"agent-{7 + number % 2}"
        dice = random.Random(number)
        done = 0
        while time.monotonic() < end:
            try:
                connection = await asyncssh.connect(
                    "127.0.0.1",
                    house.port,
                    username="web-1",
                    client_keys=[str(house.work / who)],
                    known_hosts=str(house.work / "known_hosts"),
                    config=None,
                    encryption_algs=["aes128-gcm@openssh.com"],
                )
            except (OSError, asyncssh.Error) as error:
                self.told[f"no connection: {type(error).__name__}"] += 1
                await asyncio.sleep(dice.uniform(0.2, 1))
                continue
            async with connection:
                while time.monotonic() < end:
                    kind = dice.choices(list(self.kinds), list(self.kinds.values()))[0]
                    done += 1
                    if not await self._one(connection, kind, f"{number}-{done}", dice):
                        break

    async def _one(self, connection: asyncssh.SSHClientConnection, kind: str, name: str, dice: random.Random) -> bool:
        """One command; whether the connection is to be kept."""
        if kind in ("shell", "upload"):
            return await self._other(connection, kind, name, dice)
        command = {
            "free": FREE,
            "bulk": f"{BULK} # bulk {name}",
            "long": f"sleep 3 # long {name}",
            "killed": f"sleep 600 # killed {name}",
        }.get(kind, f"echo {kind} # {kind} {name}")
        try:
            process = await connection.create_process(command, stdin=asyncssh.DEVNULL, encoding=None)
            if kind == "leaves":
                await asyncio.sleep(dice.uniform(0, 0.3))
                connection.abort()
                self.told[kind] += 1
                return False
            result = await process.wait()
        except (OSError, asyncssh.Error) as error:
            self.told[f"{kind}: {type(error).__name__}"] += 1
            return False
        self.told[f"{kind}: {result.exit_status}"] += 1
        said = bytes(result.stderr or b"").decode(errors="replace")
        if kind in LIKELY and result.exit_status not in (LIKELY[kind], EXPIRED):
            self.faults.append(f"{command!r} ended with {result.exit_status}: {said[-200:]}")
        if (held := re.search(r"^bastion: held (r-[0-9a-f]{8}) ", said, re.MULTILINE)) and kind != "killed":
            self.ends[held[1]] = result.exit_status
        if kind == "bulk" and result.exit_status == 0 and len(bytes(result.stdout or b"")) != 3_000_000:
            self.faults.append(f"{command!r} gave {len(bytes(result.stdout or b''))} bytes")
        return True

    async def _other(self, connection: asyncssh.SSHClientConnection, kind: str, name: str, dice: random.Random) -> bool:
        """What is no single command."""
        path = self.work / f"upload-{name}"
        try:
            end = await (kinds.shell(connection, name, dice) if kind == "shell" else kinds.upload(connection, path))
        except AssertionError as error:
            self.faults.append(str(error))
            end = "wrong"
        except (OSError, asyncssh.Error) as error:
            end = type(error).__name__
        self.told[f"{kind}: {end}"] += 1
        return end in ("3", "124", "there", "left")

    async def _approve(self, ana: Client) -> None:
        """Decides by the word behind the `#`; kills what is to be killed once it runs."""
        killing: set[asyncio.Task[None]] = set()
        while True:
            for info in await ana.call(wire.ListRequests, list[wire.RequestInfo], state="held"):
                kind = info.command.decode().partition("# ")[2].split(" ")[0]
                if kind == "ignored":
                    continue
                with contextlib.suppress(BastionError):  # its agent has left
                    choice = Choice.DENY if kind == "denied" else Choice.APPROVE
                    await ana.vote(info, choice, "no" if choice is Choice.DENY else "")
                    if kind == "killed":
                        task = asyncio.create_task(self._kill(ana, info.session))
                        killing.add(task)
                        task.add_done_callback(killing.discard)
            await asyncio.sleep(0.05)

    async def _kill(self, ana: Client, session: str) -> None:
        await asyncio.sleep(self._dice.uniform(0, 1))
        with contextlib.suppress(BastionError):
            await ana.call(wire.KillSession, object, session=session, reason="soak")

    async def _watch(self, house: House, say: Callable[[str], None]) -> None:
        begun = time.monotonic()
        while True:
            await asyncio.sleep(SAMPLE)
            self.samples.append((time.monotonic() - begun, memory(house.pid)))
            if len(self.samples) % 15 == 0:
                at, size = self.samples[-1]
                say(f"  {at:.0f} s: {size >> 20} MiB, {sum(self.told.values())} commands, {len(self.faults)} faults")

    # --- the check ------------------------------------------------------------------------------------------------

    def _memory(self) -> dict[str, int]:
        """MiB after the first third and at the end; a fault if it grew."""
        if len(self.samples) < 3:
            return {}
        third = self.samples[len(self.samples) // 3][1]
        last = min(size for _, size in self.samples[-3:])
        if last - third > GROWTH:
            self.faults.append(f"memory grew from {third >> 20} to {last >> 20} MiB")
        return {"first_third": third >> 20, "end": last >> 20, "most": max(size for _, size in self.samples) >> 20}

    def _books(self, house: House) -> dict[str, int]:
        """Counts of entries; a fault for whatever is left open."""
        report = verify(house.config.store)
        if report.verdict is not Verdict.OK:
            self.faults.append(f"verify says {report.verdict}")
        counts: Counter[str] = Counter()
        open_sessions: set[str] = set()
        open_commands: set[str] = set()
        open_requests: set[str] = set()
        ends: dict[str, object] = {}
        with house.recorded() as reader:
            for entry in reader.entries():
                counts[entry.type] += 1
                match entry.type:
                    case "session.opened":
                        open_sessions.add(entry.session)
                    case "session.closed" | "session.interrupted":
                        open_sessions.remove(entry.session)
                    case "request.proposed":
                        open_requests.add(entry.request)
                    case "request.decided":
                        open_requests.discard(entry.request)
                        ends[entry.request] = {"deny": DENIED, "expired": EXPIRED}.get(str(entry.body["choice"]))
                    case "command.started":
                        open_requests.discard(entry.request)
                        open_commands.add(entry.request)
                    case "command.finished":
                        open_commands.remove(entry.request)
                        ends[entry.request] = entry.body["status"]
        for what, left in (("sessions", open_sessions), ("commands", open_commands), ("requests", open_requests)):
            if left:
                self.faults.append(f"{len(left)} {what} are left open in the ledger: {sorted(left)[:5]}")
        for request, told in self.ends.items():
            if told != (end := ends.get(request)):
                self.faults.append(f"{request}: the agent saw {told}, and the ledger says {end}")
        return dict(counts)
