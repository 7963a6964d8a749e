"""Runs one vector against one adapter, and says what came of it.

Theory of operation. The steps happen in order. Whoever approves does so by exact bytes, at the step that says so;
everything else that is ever held is written down and, once the steps are over, denied. Then the runner makes sure that
nothing more is on its way (a sentinel line comes through last, or the client ends, or all sessions are cut), and looks:

    BYPASSED  the canary is there, and nothing that was approved names it
    BROKEN    no bypass, but something else that had to hold did not: an item was not held as it was written, the
              approver was not shown it, a step never came true
    HELD      all held
    REFUSED   the adapter refuses this channel as a whole, and the vector came to nothing
    NONE      not applicable: the adapter has nothing of the kind
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tests.bypass import vector as v
from tests.bypass.adapter import Adapter, Item
from tests.support.client import Client

PATIENCE = 15.0
"""Seconds for one step: the machine may be busy with other tests."""
MOMENT = 0.4
"""Seconds that something which must not happen gets to happen in, where no sentinel can show it."""
BITE = 10.0
"""Seconds in which the control shall fall for what bites."""
POLL = 0.02


class Outcome(StrEnum):
    """See above."""

    BYPASSED = "BYPASSED"
    BROKEN = "BROKEN"
    HELD = "held"
    REFUSED = "refused"
    NONE = "-"


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one vector."""

    outcome: Outcome
    why: str = ""

    @property
    def good(self) -> bool:
        """Nothing got past."""
        return self.outcome not in (Outcome.BYPASSED, Outcome.BROKEN)


class Broken(Exception):
    """Something that had to hold did not."""


class Run:
    """One vector on one adapter. Probes get this, too."""

    def __init__(self, adapter: Adapter, vector: v.Vector, label: str) -> None:
        self.adapter, self.vector = adapter, vector
        self.canary: Path = adapter.work / f"canary-{label}"
        self.evil: Path = adapter.work / f"evil-{label}"
        self.sentinel = f": sentinel-{label}"
        self.swallowed = False
        """It was held as the input of a command."""
        self.client: Client | None = None
        self.shell = False
        self.seen: dict[str, Item] = {}
        """All that was ever held, in order."""
        self.approved: list[Item] = []

    def fill(self, data: bytes) -> bytes:
        """With the paths in their places."""
        return data.replace(b"{X}", str(self.canary).encode()).replace(b"{E}", str(self.evil).encode())

    @property
    def agent(self) -> Client:
        """The client that the last step started."""
        if self.client is None:
            raise Broken("no client was started")
        return self.client

    # --- the approver ---------------------------------------------------------------------------------------------

    async def look(self) -> list[Item]:
        """What is held now; remembered."""
        items = await self.adapter.held()
        for item in items:
            self.seen.setdefault(item.id, item)
        return items

    async def held(self, command: bytes, stdin: bytes = b"", *, line: bool = False) -> Item:
        """Once exactly this is held."""
        command, stdin = self.fill(command), self.fill(stdin)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while True:
                    for item in await self.look():
                        if (item.command, item.stdin) == (command, stdin) and item.line >= line:
                            return item
                    await asyncio.sleep(POLL)
        others = [item.command for item in self.seen.values()]
        raise Broken(f"{command!r} was never held; held were {others}; the agent saw\n{self._text()}")

    async def approve(self, command: bytes, stdin: bytes = b"", mode: str = "") -> None:
        """Approve exactly this. What was held as input of a command that ends in this moment is taken back, and held
        anew as a command; then that is approved."""
        tries = 20
        while self.adapter.holds:
            item = await self.held(command, stdin)
            if await self.adapter.approve(item, mode):
                self.approved.append(item)
                return
            tries -= 1
            if not tries:
                why = getattr(self.adapter, "refusal", "")
                raise Broken(f"the approval of {item.command!r} did not count: {why}")

    async def deny_rest(self) -> bool:
        """Deny what is held; whether the sentinel was among it, as a command."""
        done = False
        for item in await self.look():
            if item.command.decode(errors="replace").rstrip("\r\n") == self.sentinel:
                done |= item.line
                self.swallowed |= not item.line
            await self.adapter.deny(item)
        return done

    # --- steps ----------------------------------------------------------------------------------------------------

    async def step(self, step: v.Step) -> None:
        match step:
            case v.Shell(terminal, options, term):
                flag = ("-tt",) if terminal else ("-T",)
                await self.start(self.adapter.ssh(options=(*flag, *options)), terminal=terminal, term=term)
                self.shell = True
            case v.Exec(command, options, is_open):
                filled = tuple(self.fill(each.encode()).decode() for each in options)
                await self.start(self.adapter.ssh(self.fill(command), options=filled), terminal=False)
                if not is_open:
                    self.agent.end_input()
            case v.Type(data, apart):
                pieces = [self.fill(data)] if not apart else [bytes([byte]) for byte in self.fill(data)]
                for piece in pieces:
                    self.agent.send(piece)
                    if apart:
                        await asyncio.sleep(0.002)
            case v.End():
                self.agent.end_input()
            case v.Approve(command, stdin, mode):
                await self.approve(command, stdin, mode)
            case v.Deny(command) if self.adapter.holds:
                await self.adapter.deny(await self.held(command))
            case v.Held(command, stdin, line) if self.adapter.holds:
                await self.held(command, stdin, line=line)
            case v.Pause(seconds):
                await asyncio.sleep(seconds)
            case v.Sees(pattern):
                try:
                    await self.agent.sees(self.fill(pattern), PATIENCE)
                except AssertionError as error:
                    raise Broken(str(error)) from None
            case v.Exists(path):
                await self._exists(Path(self.fill(path).decode()))
            case v.Resize(columns, rows, times):
                for number in range(times):
                    self.agent.resize(columns + number % 2, rows)
                    if number % 50 == 49:
                        await asyncio.sleep(0.01)
            case v.Leave():
                await self.agent.close()
            case v.Shown(has, lacks) if self.adapter.holds:
                await self._shown(has, lacks)
            case v.Allow(command):
                await self.adapter.allow(self.fill(command))
            case v.Plant(path, text):
                Path(self.fill(path).decode()).write_bytes(self.fill(text))
            case v.Probe(name):
                await _probe(name)(self)
            case _:
                return  # about what is held, where nothing is

    async def start(self, command: list[str | bytes], *, terminal: bool, term: str = "xterm") -> None:
        """Start a client; the one before it is ended."""
        if self.client is not None:
            await self.client.close()
        self.client = await Client.start(command, terminal=terminal, term=term)

    async def _exists(self, path: Path) -> None:
        if not await comes(path, PATIENCE):
            raise Broken(f"{path} never came; the agent saw\n{self._text()}")

    async def _shown(self, has: tuple[str, ...], lacks: tuple[str, ...]) -> None:
        items = await self.look()
        if not items:
            raise Broken("nothing is held that could be shown")
        for text in has:
            if text not in items[-1].shown:
                raise Broken(f"the approver is not shown {text!r}: {items[-1].shown[:400]!r}")
        for text in lacks:
            if text in items[-1].shown:
                raise Broken(f"the approver is shown {text!r} as it is")

    # --- the end --------------------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Everything that was sent has had its effect, or never will have."""
        if self.client is None:
            await self._denied_for(MOMENT)
        elif not self.adapter.holds:
            await comes(self.canary, BITE if self.vector.bites else MOMENT)
        elif self.vector.ends is v.Ends.CUT:
            await self._denied_for(MOMENT)
            await self.adapter.cut()
        else:
            await self._through()
        if self.client is not None:
            await self.client.close()
        if self.vector.ends is v.Ends.CUT:
            await asyncio.sleep(MOMENT)

    async def _through(self) -> None:
        """The sentinel comes out as a command of its own, or the client ends. Where a command only begins to be one, a
        shell, it comes out as its input, is denied as that, and typed again."""
        if self.shell and self.vector.ends is v.Ends.SENTINEL:
            self.agent.send(b"\r" + self.sentinel.encode() + b"\r")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while self.agent.status is None:
                    self.swallowed = False
                    if await self.deny_rest():
                        return
                    if self.swallowed:
                        self.agent.send(self.sentinel.encode() + b"\r")
                    await asyncio.sleep(POLL)
                await self.deny_rest()  # what the client left behind
                return
        raise Broken(f"it does not come to an end; the agent saw\n{self._text()}")

    async def _denied_for(self, seconds: float) -> None:
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            await self.deny_rest()
            await asyncio.sleep(POLL)

    def verdict(self) -> Result:
        """What came of it."""
        name = self.canary.name.encode()
        if self.canary.exists() and not any(name in item.command + item.stdin for item in self.approved):
            return Result(Outcome.BYPASSED, f"{self.vector.must}; the agent saw\n{self._text()}")
        commands = [item.command for item in self.seen.values()]
        for wanted in map(self.fill, self.vector.held):
            if self.adapter.holds and wanted not in commands:
                return Result(Outcome.BROKEN, f"{wanted!r} was not held; held were {commands}\n{self._text()}")
        if self.vector.flagged and self.adapter.holds:
            first = next(each for each in self.seen.values() if each.command == self.fill(self.vector.held[0]))
            said = " ".join(first.reasons).lower()
            if first.reasons and not any(word in said for word in self.vector.flagged):
                return Result(Outcome.BROKEN, f"nobody warns of {self.vector.flagged}: {first.reasons}")
        return Result(Outcome.HELD)

    def _text(self) -> str:
        return self.client.text.rstrip() if self.client is not None else ""


async def comes(path: Path, seconds: float) -> bool:
    """Whether the file is there in time."""
    end = asyncio.get_running_loop().time() + seconds
    while not path.exists() and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110 -- a file tells nobody
        await asyncio.sleep(POLL)
    return path.exists()


def _probe(name: str) -> Callable[[Run], Awaitable[None]]:
    """The function of that name in one of the files of probes/."""
    files = sorted(path.stem for path in (Path(__file__).parent / "probes").glob("*.py"))
    modules = [importlib.import_module(f"tests.bypass.probes.{stem}") for stem in files]
    (probe,) = [
        found for module in modules if (found := vars(module).get(name)) and found.__module__ == module.__name__
    ]
    return probe


async def run(adapter: Adapter, vector: v.Vector, label: str = "") -> Result:
    """One vector on a running adapter."""
    refused = vector.channel in adapter.refuses
    if not refused and (vector.channel not in adapter.offers or not vector.needs <= adapter.abilities):
        return Result(Outcome.NONE)
    this = Run(adapter, vector, label or vector.id)
    try:
        for step in vector.steps:
            if refused and not isinstance(step, v.Shell | v.Exec | v.Plant | v.Probe | v.Type):
                continue
            await this.step(step)
        if refused:
            return await _refused(this)
        await this.settle()
    except Broken as error:
        if this.verdict().outcome is Outcome.BYPASSED:
            return this.verdict()
        return Result(Outcome.BROKEN, str(error))
    except Exception as error:  # noqa: BLE001 -- a bastion may do anything, and the others are still to be run
        return Result(Outcome.BROKEN, f"{type(error).__name__}: {error}")
    finally:
        if this.client is not None:
            await this.client.close()
        if adapter.holds:
            await this.deny_rest()
    return this.verdict()


async def _refused(this: Run) -> Result:
    """The client of a channel that is refused as a whole ends by itself, unhappy, and nothing was held."""
    if this.client is not None:
        try:
            status = await this.client.ends(PATIENCE)
        except AssertionError as error:
            raise Broken(f"the channel is not refused: {error}") from None
        if status == 0:
            raise Broken("the channel is not refused: the client ended well")
    if await this.look():
        raise Broken("the channel is not refused: something is held")
    verdict = this.verdict()
    return verdict if verdict.outcome is Outcome.BYPASSED else Result(Outcome.REFUSED)
