"""`bastion demo`: the whole product on one machine, for as long as somebody looks, and gone afterwards.

Interactive: the person reads what this is, presses Enter, and has the console on four agents that wait. Headless: the
scripted approvers decide, and the exit status says whether everything came out as it had to.

Whatever ends it (the end, `q`, Ctrl-C, SIGTERM, a failure): first the processes are ended, then the scratch directory
is removed, undisturbed by further signals.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bastion.demo import console, headless, stage, target, texts, world
from bastion.demo.agents import Runner
from bastion.demo.children import Children, undisturbed
from bastion.demo.findings import findings
from bastion.demo.programs import COMMAND, environment, find_ssh, spelled
from bastion.demo.scenarios import APPROVERS, INTENDED
from bastion.demo.stage import Stage
from bastion.errors import BastionError, StoreError, UsageError

YOU = "you"
"""The approver's name in an interactive demo."""

COMMAND_SECONDS = 60.0
"""For one of our own commands; each takes less than 1 s."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says."""

    headless: bool = False
    keep: Path | None = None
    """Directory that stays; None: a scratch directory that does not."""
    target: str = "auto"
    """`auto`, `sshd` or `builtin`."""


def run(options: Options, say: Say) -> int:
    """The demo, from start to end; its exit status. Raises BastionError, KeyboardInterrupt."""
    ssh = find_ssh()
    if not options.headless and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("the demo's console needs a terminal", "`bastion demo --headless` decides by itself")
    directory = stage.scratch(options.keep)
    children = Children()
    try:
        return _run(_demo(options, directory, children, ssh, say))
    except BrokenPipeError:
        raise  # of our own output: its reader has seen enough
    except OSError as error:
        raise StoreError(f"the demo cannot go on: {error}", f"it works in {directory}") from None
    finally:
        with undisturbed():
            left = children.close()
            if options.keep is None:
                shutil.rmtree(directory, ignore_errors=True)
        if left:
            say(f"these processes did not end: {', '.join(map(str, left))}")


def _run(work: Coroutine[Any, Any, int]) -> int:
    """Run `work`; a signal that asks to end cancels it, and becomes its status as a shell has it."""
    asked: list[int] = []

    async def interruptible() -> int:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101 - we are in one

        def stop(number: int) -> None:
            asked.append(number)
            task.cancel()

        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
                loop.add_signal_handler(number, stop, number)
        return await work

    try:
        return asyncio.run(interruptible())
    except asyncio.CancelledError:
        if not asked:
            raise
        return 128 + asked[0]
    except BaseExceptionGroup as group:
        raise first(group) from None


def first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first plain exception in a group: what one task fails with cancels the others."""
    found = group.exceptions[0]
    return first(found) if isinstance(found, BaseExceptionGroup) else found


async def _demo(options: Options, directory: Path, children: Children, ssh: str, say: Say) -> int:
    people = APPROVERS if options.headless else (YOU,)
    ready = await stage.build(directory, children, kind=options.target, approvers=people, patient=not options.headless)
    facts = texts.Facts(
        target=f"{ready.target.what}, 127.0.0.1:{ready.target.port}",
        bastion=f"127.0.0.1:{ready.port}",
        directory=directory,
        stays=options.keep is not None,
        home=ready.home,
        account=target.whoami(),
        people=people,
        patience="" if options.headless else f"{stage.READING_MINUTES} minutes",
    )
    for line in texts.introduction(facts):
        say(line)
    words: dict[str, str] = {}
    runner = Runner(ssh, ready.ssh_config, words)
    if options.headless:
        await headless.play(ready, runner, words, say)
    elif not await console.play(ready, runner, say):
        return 0
    good = await _afterwards(options, ready, children, runner, say)
    return 0 if good else 1


async def _afterwards(options: Options, ready: Stage, children: Children, runner: Runner, say: Say) -> bool:
    """Verify the ledger and look at the world; whether all is as it has to be."""
    for line in texts.heading("afterwards"):
        say(line)
    status, head = await _bastion(ready, say, "ledger", "head")
    good = status == 0 and not runner.failed
    children.stop("bastion")
    anchor = (head.split() or [""])[-1]
    status, _ = await _bastion(ready, say, "ledger", "verify", "--head", anchor)
    good &= status == 0
    found = findings(world.happened(ready.home), runner.ends, INTENDED if options.headless else None)
    good &= all(finding.right for finding in found)
    for line in texts.outcome(map(str, found), runner.failed, good=good):
        say(line)
    if options.keep is not None:
        for line in texts.farewell(spelled(), ready.config.path):
            say(line)
    return good


async def _bastion(ready: Stage, say: Say, *words: str) -> tuple[int, str]:
    """Run one of our own commands as a person would, and show it; its status and stdout."""
    say(f"$ bastion {' '.join(words)}")
    status, output = await _quietly(ready, *words)
    for line in output.splitlines():
        say(line)
    if status:
        say(f"[exit {status}]")
    return status, output


async def _quietly(ready: Stage, *words: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=ready.directory,
        env={**environment(ready.directory), "BASTION_CONFIG": str(ready.config.path)},
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(COMMAND_SECONDS):
            output, _ = await process.communicate()
    except TimeoutError:
        raise BastionError(f"`bastion {' '.join(words)}` did not end within {COMMAND_SECONDS:.0f} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    assert process.returncode is not None  # noqa: S101 - communicate has waited
    return process.returncode, output.decode(errors="replace")
