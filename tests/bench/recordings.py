"""Recordings: how quickly one is sought in, how far rendering lags behind, and what an hour of it takes on the disk.

seek       a session of 1 h and 100 MB of what real programs send (tests/captures); any moment, as the daemon finds
           it and a player shows it, from the store to the cells
lag        from when a chunk is durable to when it is rendered, by the renderer's own process beside the recording
storage    the same sessions recorded by script, ttyrec, asciinema and the bastion at once, in real time
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import random
import shlex
import shutil
import statistics
import struct
import sys
import termios
import threading
import time
from pathlib import Path

from bastion.control.moments import Moments
from bastion.renderer import Renderer
from recorder.clock import Clock
from recorder.frames import Frame
from recorder.indexer import Writer
from recorder.ledger import Ledger
from recorder.player import Goal, Player
from recorder.reader import Reader
from tests.recorder.stories import HOST, ledger_key

CAPTURES = Path(__file__).resolve().parents[1] / "captures"
SEEK_GOAL = 50.0
"""Milliseconds."""
HOUR = 3600


def material() -> bytes:
    """What programs send: full screens, pages of colours, and as much again of plain logs."""
    files = [path.read_bytes() for path in sorted(CAPTURES.glob("*.out"))]
    log = b"".join(
        b"2026-11-21T10:%02d:%02d app[%d]: request %d served\r\n" % (n // 60 % 60, n % 60, n % 977, n)
        for n in range(2000)
    )
    return b"".join(files) + b"\x1b[m\x1b[2J\x1b[H" + log


def seek(work: Path, mb: int, seconds: int, runs: int) -> dict[str, object]:
    """Milliseconds to any moment, and how long the rendering took."""
    now = [0]
    ledger = Ledger.create(
        work / "store", host=HOST, key=ledger_key(), clock=Clock(time.time_ns, lambda: now[0], "00000000")
    )
    recording = ledger.recording("s-1", actor="x", notify=lambda: None)
    recording.write("resize", b"80x24")
    data, size, sent = material(), mb * 1_000_000, 0
    step = 2048
    while sent < size:
        piece = data[sent % len(data) : sent % len(data) + step]
        now[0] = int(sent / size * seconds * 1e9)
        while not recording.write("output", piece):
            time.sleep(0.01)
        if sent % (1 << 20) < step:
            recording.write("marker", b"r-%08x next" % sent)
        sent += len(piece)
    recording.finish().result(300)
    ledger.close()
    with Reader.open(work / "store") as reader:
        writer = Writer(reader, work / "derived", "s-1")
        began = time.perf_counter()
        while writer.more():
            writer.advance()
        rendering = time.perf_counter() - began
        writer.close()
        look = Moments(reader)
        about = look.timeline("s-1")
        rng, taken, worked = random.Random(7), list[float](), list[float]()
        for _ in range(runs + 1):
            goal = Goal(rng.randrange(about.until))
            player = Player((about.columns, about.lines))
            began, busy = time.perf_counter(), time.process_time()
            found = look.moment("s-1", goal.at_us)
            frames = [Frame(each.at, each.kind, each.data) for each in found.frames]
            player.arrive(found.screen, frames, found.first, found.target, goal.at_us)
            while player.hurrying:
                player.advance(0.0)
            player.screen.text()
            taken.append((time.perf_counter() - began) * 1000)
            worked.append((time.process_time() - busy) * 1000)
            assert player.frame == found.target
    derived = sum(path.stat().st_size for path in (work / "derived").iterdir())
    quantiles, busy_ms = (statistics.quantiles(each[1:], n=100) for each in (taken, worked))
    return {
        "name": "seek", "unit": "ms", "mb": mb, "seconds": seconds, "chunks": about.chunks, "goal": SEEK_GOAL,
        "p50": quantiles[49], "p99": quantiles[98], "cpu_p50": busy_ms[49], "cpu_p99": busy_ms[98],
        "rendering_mb_s": mb / rendering, "derived_bytes": derived,
        "store_bytes": tree_size(work / "store"),
    }  # fmt: skip


def lag(work: Path, rate: int, seconds: float) -> dict[str, object]:
    """Seconds between durable and rendered, at that many bytes a second."""
    ledger = Ledger.create(work / "store", host=HOST, key=ledger_key())
    recording = ledger.recording("s-1", actor="x", notify=lambda: None)
    recording.write("resize", b"80x24")
    data = material()

    async def run() -> list[float]:
        renderer = Renderer(work / "store", start_seconds=0)
        renderer.render("s-1")
        with Reader.open(work / "store") as reader:
            look = Moments(reader)
            durable: dict[int, float] = {}
            found: list[float] = []
            sent, began = 0, time.monotonic()
            while time.monotonic() - began < seconds or len(found) < len(durable):
                now = time.monotonic()
                while sent < min(now - began, seconds) * rate:
                    recording.write("output", data[sent % len(data) : sent % len(data) + 1024])
                    sent += 1024
                about = await asyncio.to_thread(look.timeline, "s-1")
                for number in range(len(durable), about.chunks):
                    durable[number] = now
                found += [now - durable[number] for number in range(len(found), about.rendered)]
                if now - began > seconds + 30:
                    break
                await asyncio.sleep(0.02)
        await renderer.close()
        return found

    found = asyncio.run(run())
    recording.finish().result(30)
    ledger.close()
    rest = found[1:] or found  # the first chunk waits for the process to start
    return {
        "name": f"lag at {rate // 1000} kB/s", "unit": "ms", "chunks": len(found),
        "p50": statistics.median(rest) * 1000, "worst": max(rest) * 1000, "start": found[0] * 1000,
    }  # fmt: skip


# --- storage

_PACE = """
import sys, time
data, seconds = open(sys.argv[1], "rb").read(), float(sys.argv[2])
pieces = [data[at:at + int(sys.argv[3])] for at in range(0, len(data), int(sys.argv[3]))]
for piece in pieces:
    sys.stdout.buffer.write(piece); sys.stdout.buffer.flush(); time.sleep(seconds / len(pieces))
"""
SESSIONS = {
    "typing": ("tmux", 12),
    "vim": ("vim", 200),
    "top, 1 s": ("top", 400),
    "log": ("log", 600),
}
"""Name: what is sent, in pieces of so many bytes."""


def storage(work: Path, seconds: int) -> list[dict[str, object]]:
    """Bytes an hour of each session and each recorder, all at once in real time."""
    (work / "pace.py").write_text(_PACE)
    rows: list[dict[str, object]] = []
    threads = []
    for name, (source, piece) in SESSIONS.items():
        place = work / name.split(",")[0]
        place.mkdir()
        sent = material()[-60_000:] if source == "log" else (CAPTURES / f"{source}.out").read_bytes()
        (place / "bytes").write_bytes(sent)
        row: dict[str, object] = {"name": f"storage of {name}", "unit": "bytes/h", "sent": len(sent) * HOUR // seconds}
        rows.append(row)
        command = [sys.executable, str(work / "pace.py"), str(place / "bytes"), str(seconds), str(piece)]
        for tool, work_of in TOOLS.items():
            if tool == "bastion" or shutil.which(tool):
                threads.append(threading.Thread(target=_record, args=(row, tool, work_of, place, command, seconds)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return rows


def _record(row: dict[str, object], tool: str, work_of: object, place: Path, command: list[str], seconds: int) -> None:
    assert callable(work_of)
    row[tool] = work_of(place, command) * HOUR // seconds


def _on_pty(command: list[str], sink: object = None) -> None:
    """Run it on a pty of 80 by 24; what comes goes to `sink`."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe(command[0], command, {**os.environ, "TERM": "xterm-256color"})  # noqa: S606
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    while True:
        try:
            data = os.read(fd, 4096)
        except OSError:
            break
        if not data:
            break
        if callable(sink):
            sink(data)
    os.waitpid(pid, 0)
    os.close(fd)


def _script(place: Path, command: list[str]) -> int:
    files = [place / "script.out", place / "script.timing"]
    _on_pty(["script", "-q", "-f", f"-T{files[1]}", "-c", shlex.join(command), str(files[0])])
    return sum(path.stat().st_size for path in files)


def _ttyrec(place: Path, command: list[str]) -> int:
    _on_pty(["ttyrec", "-e", shlex.join(command), str(place / "tty.rec")])
    return (place / "tty.rec").stat().st_size


def _asciinema(place: Path, command: list[str]) -> int:
    _on_pty(["asciinema", "rec", "-q", "-c", shlex.join(command), str(place / "it.cast")])
    return (place / "it.cast").stat().st_size


def _bastion(place: Path, command: list[str]) -> int:
    """The recording with its entries in the ledger, signatures and all; without what can be derived from it."""
    Ledger.create(place / "store", host=HOST, key=ledger_key()).close()
    before = tree_size(place / "store")
    ledger = Ledger.open(place / "store", key=ledger_key())
    recording = ledger.recording("s-1", actor="x", notify=lambda: None)
    recording.write("resize", b"80x24")
    _on_pty(command, lambda data: recording.write("output", data))
    recording.finish().result(60)
    ledger.close()
    return tree_size(place / "store") - before


TOOLS = {"script": _script, "ttyrec": _ttyrec, "asciinema": _asciinema, "bastion": _bastion}


def tree_size(directory: Path) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def table(work: Path, mb: int, runs: int, seconds: int) -> list[dict[str, object]]:
    """All of it, printed."""
    import click

    work.mkdir(parents=True, exist_ok=True)
    for name in ("seek", "lag-30", "lag-300", "storage"):
        (work / name).mkdir()
    found = seek(work / "seek", mb, HOUR, runs)
    click.echo(
        f"seek in 1 h, {mb} MB: p50 {found['p50']:.1f} ms, p99 {found['p99']:.1f} ms (goal {SEEK_GOAL:.0f} ms; "
        f"of processor time {found['cpu_p50']:.1f} and {found['cpu_p99']:.1f}); "
        f"rendered at {found['rendering_mb_s']:.2f} MB/s; keyframes and text {found['derived_bytes']:,} bytes, "
        f"the recording {found['store_bytes']:,}"
    )
    rows = [found]
    for rate in (30_000, 300_000):
        row = lag(work / f"lag-{rate // 1000}", rate, min(seconds, 10))
        rows.append(row)
        click.echo(
            f"keyframes behind a live recording, {row['name']}: p50 {row['p50']:.0f} ms, worst {row['worst']:.0f} ms"
        )
    for row in storage(work / "storage", seconds):
        rows.append(row)
        cells = ", ".join(f"{tool} {int(str(row[tool])):,}" for tool in TOOLS if tool in row)
        missing = ", ".join(tool for tool in TOOLS if tool not in row)
        absent = f"; not installed: {missing}" if missing else ""
        click.echo(f"{row['name']}, bytes an hour: sent {row['sent']:,}; {cells}{absent}")
    return rows
