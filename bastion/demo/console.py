"""The demo with a person: the real `bastion tui` in this terminal, on agents that wait in the background."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import termios
from asyncio import Task, TaskGroup
from collections.abc import Callable

from bastion.demo.agents import Runner
from bastion.demo.programs import COMMAND, environment
from bastion.demo.scenarios import AGENTS
from bastion.demo.stage import Stage

RESET = "\x1b[?1049l\x1b[?25h\x1b[?1000l\x1b[?1003l\x1b[?1006l\x1b[?1015l\x1b[?2004l\x1b[<u\x1b[0m"
"""What a console that was killed could not undo: alternate screen, hidden cursor, mouse, paste and keyboard modes
(xterm's ctlseqs; the last but one is kitty's keyboard protocol)."""

Say = Callable[[str], None]


async def play(ready: Stage, runner: Runner, say: Say) -> bool:
    """Ask for Enter, then agents and console until the person leaves it. False: they left before that."""
    say("")
    say("Enter opens the console, Ctrl-C leaves.")
    if not await _enter():
        return False
    transcripts: dict[str, list[str]] = {agent.name: [] for agent in AGENTS}
    log = ready.log("agents")

    def teller(name: str) -> Callable[[list[str]], None]:
        def tell(lines: list[str]) -> None:
            transcripts[name] += lines
            with log.open("a") as file:
                file.writelines(f"{line}\n" for line in lines)

        return tell

    async with TaskGroup() as group:
        playing: list[Task[None]] = [
            group.create_task(runner.play(agent, teller(agent.name)), name=f"agent {agent.name}") for agent in AGENTS
        ]
        status = await _console(ready)
        for task in playing:
            task.cancel()
    for lines in transcripts.values():
        for line in lines:
            say(line)
    if status:
        runner.failed.append(f"the console: exit {status}")
    return True


async def _enter() -> bool:
    """Until a line was typed; False at the end of input."""
    loop = asyncio.get_running_loop()
    typed: asyncio.Future[bytes] = loop.create_future()
    stdin = sys.stdin.fileno()

    def read() -> None:
        if not typed.done():
            typed.set_result(os.read(stdin, 1024))

    loop.add_reader(stdin, read)
    try:
        return bool(await typed)
    finally:
        loop.remove_reader(stdin)


async def _console(ready: Stage) -> int:
    """`bastion tui` with the person's key, until it ends; its exit status. The terminal is then as it was."""
    attributes = termios.tcgetattr(sys.stdin)
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *("tui", "--bastion", f"127.0.0.1:{ready.port}"),
        *("--key", str(ready.key(ready.approvers[0])), "--host-key", ready.host_key),
        cwd=ready.directory,
        env=environment(ready.directory),
    )
    try:
        return await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
        if process.returncode:
            sys.stdout.write(RESET)
            sys.stdout.flush()
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, attributes)
