"""What the bastion asks a governed shell between two commands of the agent: its own text, and an answer that the agent
does not see. `gate.asking` says what is asked; the answer to Describe is given before any other event.
"""

from __future__ import annotations

import asyncio

from bastion import ids
from bastion.errors import Unreachable
from bastion.gate import asking
from bastion.gate import shell_events as sv
from bastion.ssh.dealings import Dealings
from bastion.ssh.driver import Driver
from bastion.ssh.driver_channels import ShellOver, Terminal
from bastion.ssh.one_command import OneCommand
from bastion.ssh.shell_output import Outflow

ASKED = "asked"
"""Nonce of the bastion's own questions; those of commands are 32 hex digits."""

ASK_SECONDS = 10.0
"""Until the shell answers one; it takes milliseconds."""

ANSWER_BYTES = 1 << 18
"""Bytes of an answer that are waited for; what is more goes to the agent, as output does."""


Context = tuple[tuple[str, str], ...]


class Questions(Outflow):
    """See the file's header."""

    def __init__(self, dealings: Dealings, terminal: Terminal | None) -> None:
        super().__init__(dealings, terminal)
        self._driver: Driver | OneCommand | None = None
        self._asking: asyncio.Future[None] | None = None
        self._answer = bytearray()

    @property
    def _shell(self) -> Driver | None:
        """The driver of a shell; a command with a terminal has none."""
        return self._driver if isinstance(self._driver, Driver) else None

    def tell(self, event: sv.FromDriver) -> None:
        """driver.Listener"""
        asked = isinstance(event, sv.CommandBegan | sv.CommandDone) and event.nonce == ASKED
        # the question's own end, or that of the shell that was asked
        if isinstance(event, sv.DriverFailed | sv.CommandDone) and self._asking is not None and not self._asking.done():
            self._asking.set_result(None)
        if not asked:
            self._events.post(event)

    def output(self, kind: str, data: bytes) -> None:
        """driver.Listener: while a question is asked, this is its answer."""
        if self._asking is not None and kind == "output":
            if len(self._answer) < ANSWER_BYTES:
                self._answer += data
                return
            if self._answer:  # so much is no answer: it goes where output goes, in its order
                data, self._answer = bytes(self._answer) + data, bytearray()
        super().output(kind, data)

    async def _ask(self, question: bytes, depth: int, mark: str = "") -> bytes | None:
        """Run our own text in the shell, between the agent's commands; the answer between its marks, if there is one.
        `depth`: shells round the one that is asked; where that has just ended, no other one is. Raises Unreachable when
        the shell does not come back: nothing can be run in it any more."""
        shell = self._shell
        if shell is None or shell.depth != depth or self._with.unwanted():
            return None
        self._asking, self._answer = self._loop.create_future(), bytearray()
        try:
            async with asyncio.timeout(ASK_SECONDS):
                await shell.run(ASKED, question)
                await self._asking
        except TimeoutError:
            raise Unreachable("the shell on the target does not answer") from None
        except ShellOver:  # which is told next
            return None
        finally:
            self._asking = None
        answer, rest = asking.sift(bytes(self._answer), mark) if mark else (None, bytes(self._answer))
        if rest:
            self._pass_on("output", rest)
        return answer

    async def _meaning(self, item: bytes, kind: str, depth: int, status: int) -> tuple[Context, bool]:
        """What the words of an item mean in the shell, for the approver; and whether that is what anybody would think.
        `status`: the last command's, which the question leaves as it was."""
        mark = ids.nonce()
        question = asking.question(item, kind, mark, status)
        if question is None:
            return (), False
        answer = await self._ask(question, depth, mark) or b""
        return asking.context(answer, mark), asking.plain(answer, mark)

    async def _who(self, kind: str, depth: int) -> str:
        """Who and where one is in an inner shell, as that says itself."""
        mark = ids.nonce()
        answer = await self._ask(asking.who(kind, mark), depth, mark)
        return (answer or b"").decode("utf-8", "backslashreplace").strip()
