"""Runs the scripted agents: each command by a real ssh client, which knows nothing of this demo.

An agent is patient. When nobody decided in time it asks once more, and says so in its reason; after that it takes the
silence for a no. Its reason, rollback and task go to the bastion as environment variables (SendEnv BASTION_*).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Callable, Mapping
from pathlib import Path

from bastion.demo import transcript
from bastion.demo.scenarios import TARGET, Agent, End, Step, following
from bastion.demo.transcript import Told

AGAIN = " (asked again: nobody decided in time)"

PIECE = 64 << 10
"""Bytes read at once: what a pipe holds (pipe(7))."""

Say = Callable[[list[str]], None]
"""Takes lines for the transcript."""

Ends = dict[tuple[str, str], End]
"""How each command that was asked for ended, by agent and step."""


class Runner:
    """Plays agents. `config` gives an agent's ssh configuration; `words` the approvers', by request."""

    def __init__(self, ssh: str, config: Callable[[str], Path], words: Mapping[str, str]) -> None:
        self._ssh, self._config, self._words = ssh, config, words
        self.ends: Ends = {}
        self.failed: list[str] = []
        """Sentences on what went wrong, where ssh or the bastion could not do their part."""

    async def play(self, agent: Agent, say: Say) -> None:
        """One agent, from its first step to its last."""
        say(transcript.heading(agent))
        step: Step | None = agent.steps[0]
        while step is not None:
            told = await self._ask(agent, step, say, step.reason)
            if told.end is End.EXPIRED:
                told = await self._ask(agent, step, say, step.reason + AGAIN)
            self.ends[agent.name, step.name] = told.end
            if told.end is End.FAILED:
                self.failed.append(f"{agent.name}: {step.command}: exit {told.status}")
            step = following(agent, step, told.end)

    async def _ask(self, agent: Agent, step: Step, say: Say, reason: str) -> Told:
        say(transcript.asking(agent, step))
        output = bytearray()
        try:
            told = Told(await self._run(agent, step, reason, output), bytes(output))
        except asyncio.CancelledError:
            say(transcript.stopped(agent, bytes(output)))
            raise
        say(transcript.answer(agent, step, told, self._words))
        return told

    async def _run(self, agent: Agent, step: Step, reason: str, output: bytearray) -> int:
        """Run ssh; `output` gets what it prints, as it comes. Returns its exit status."""
        intent = {"BASTION_REASON": reason, "BASTION_ROLLBACK": step.rollback, "BASTION_TASK": agent.task}
        # whoever starts the demo may have BASTION_CONFIG set: an agent has nothing of theirs to send
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BASTION_")}
        process = await asyncio.create_subprocess_exec(
            *(self._ssh, "-F", self._config(agent.name), f"{TARGET}@bastion", step.command),
            stdin=PIPE,
            stdout=PIPE,
            stderr=STDOUT,
            start_new_session=True,
            env={**environment, **{name: value for name, value in intent.items() if value}},
        )
        assert process.stdin and process.stdout  # noqa: S101, PT018 - they are pipes
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a denied command reads nothing
                process.stdin.write(step.stdin.encode())
                await process.stdin.drain()
            process.stdin.close()
            while data := await process.stdout.read(PIECE):
                output += data
            return await process.wait()
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
