"""The renderer's process: started when needed, told again when it dies, gone with the daemon."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bastion import renderer
from bastion.control.moments import Moments
from bastion.renderer import ROOT, Renderer
from recorder.ledger import Ledger
from recorder.reader import Reader
from tests.recorder.stories import HOST, ledger_key
from tests.recorder.test_indexer import SCREENS, record


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    ledger = Ledger.create(tmp_path / "store", host=HOST, key=ledger_key())
    record(ledger, "s-1", *SCREENS)
    record(ledger, "s-2", *SCREENS)
    with Reader.open(tmp_path / "store") as opened:
        yield opened
    ledger.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 -- what is waited for happens in another process
            await asyncio.sleep(0.02)


async def test_it_starts_when_needed_and_again_when_it_dies(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(renderer, "PAUSES", (0.0,))
    look, made = Moments(reader), Renderer(reader.directory, start_seconds=3600)

    def done(session: str) -> bool:
        found = look.timeline(session)
        return found.rendered == found.chunks

    made.follow("s-1")
    await asyncio.sleep(0)
    assert made.pid == 0, "a terminal that begins is not looked at yet"
    made.render("s-2")
    await until(lambda: done("s-1") and done("s-2"))
    first = made.pid
    assert first
    os.kill(first, signal.SIGKILL)
    for path in (reader.directory.parent / "derived").iterdir():
        path.unlink()
    await until(lambda: made.pid not in (0, first))
    look = Moments(reader)
    await until(lambda: done("s-1") and done("s-2"))
    assert "the renderer of recordings ended (-9)" in caplog.text
    last = made.pid
    await made.close()
    assert made.pid == 0
    with pytest.raises(ProcessLookupError):
        os.kill(last, 0)
    made.follow("s-1")
    assert made.pid == 0


async def test_one_that_cannot_start_is_tried_again_and_nothing_else(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renderer, "PAUSES", (0.0,))
    monkeypatch.setattr(renderer.sys, "executable", "/nonexistent/python")
    made = Renderer(reader.directory, start_seconds=0)
    made.render("s-1")
    await asyncio.sleep(0.05)
    assert made.pid == 0
    monkeypatch.undo()
    monkeypatch.setattr(renderer, "PAUSES", (0.0,))
    await until(lambda: made.pid > 0)
    await made.close()


async def test_only_so_many_are_followed(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renderer, "FOLLOWED_LIMIT", 2)
    made = Renderer(reader.directory, start_seconds=3600)
    for name in ("s-1", "s-2", "s-1", "s-3"):
        made.follow(name)
    assert list(made._sessions) == ["s-1", "s-3"]
    await made.close()


async def test_it_goes_with_a_daemon_that_is_killed(reader: Reader) -> None:
    """kill -9: its end of the pipe closes, and that is the end of the renderer, too."""
    code = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom bastion.renderer import Renderer\n"
        "async def main():\n"
        "    made = Renderer(Path(sys.argv[1]), start_seconds=0)\n"
        "    made.render('s-1')\n"
        "    while not made.pid: await asyncio.sleep(0.01)\n"
        "    print(made.pid, flush=True)\n"
        "    await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    daemon = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(reader.directory), stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert daemon.stdout is not None
    pid = int(await daemon.stdout.readline())
    daemon.kill()
    await daemon.wait()

    def gone() -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except (FileNotFoundError, ProcessLookupError):
            return True

    await until(gone)
