"""tui/screens/replay.py: the real app, its recordings from a real store through the daemon's own reading code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from bastion import errors
from bastion.control import wire
from bastion.control.moments import Moments
from recorder.clock import Clock
from recorder.indexer import Writer
from recorder.ledger import Ledger
from recorder.reader import Reader
from recorder.screen import Screen
from tests.recorder.stories import HOST, ledger_key
from tests.tui.conftest import Console, Open
from tui.app import BastionConsole
from tui.sample_bastion import Bastion
from tui.samples import NOW, S, request, session
from tui.screens.replay import ReplayScreen
from tui.widgets.cells import CellsView, fitted, style_of

ID = session().id
BOTH = pytest.mark.parametrize("size", [(80, 24), (250, 60)])


class Recorded(Bastion):
    """With a recording of its one session."""

    def __init__(self, reader: Reader) -> None:
        requests = [
            request("r-0001", state="approved", command=b"vim nginx.conf", decided=NOW, status="exit 0"),
            request("r-0002", state="approved", command=b"systemctl reload nginx", tier="high", decided=NOW),
            request("r-0003", state="denied", command=b"rm -rf \x1b[31m/srv", tier="high", created=NOW, decided=NOW),
        ]
        super().__init__(
            requests,
            [session(state="closed", closed=NOW, end="done", opened=NOW - 9 * S, requests=[r.id for r in requests])],
        )
        self.moments = Moments(reader)
        self.recording = self.moments.frames(ID, 0)
        self.found: list[int] = []

    def look(self, call: Any) -> Any:
        match call:
            case wire.ReadTimeline(session=name):
                return self.moments.timeline(name)
            case wire.ReadMoment(session=name, at=at, frame=frame):
                return self.moments.moment(name, at, frame)
            case wire.SearchSessions(session=name, text=text):
                assert name == ID
                hits = [
                    wire.SearchHit(
                        at=NOW, session=ID, request="", identity="i", login="l", target="t", where="screen", line=text,
                        tier="", decision="", offset=at,
                    )
                    for at in self.found
                ]  # fmt: skip
                return wire.SearchResult(hits=hits, sessions=1, complete=True, notes=[])
            case wire.ShowSession(session=name):
                if name not in self.sessions:
                    raise errors.NotFound(f"no session {name}")
                return self.sessions[name]
            case _:
                return super().look(call)


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Recorded]:
    passed = [0]
    clock = Clock(lambda: NOW * 1000, lambda: passed[0], "b0")
    ledger = Ledger.create(tmp_path / "store", host=HOST, key=ledger_key(), clock=clock)
    recording = ledger.recording(ID, actor="x", notify=lambda: None, chunk_bytes=4096)

    def put(kind: str, data: bytes) -> None:
        passed[0] += 1_000_000
        recording.write(kind, data)

    put("resize", b"100x30")
    put("marker", b"r-0001 vim nginx.conf")
    put("output", b"\x1b[?1049h\x1b[2J\x1b[3;5H\x1b[31mserver {\x1b[0m" + b"\x1b[30;1H-- INSERT --" * 300)
    put("output", b"\x1b]0;owned\x07[bold]no markup[/]" + "漢字\u202e".encode())
    passed[0] += 200_000_000
    put("marker", b"r-0002 systemctl reload nginx")
    put("output", b"\x1b[?1049l\x1b[2J\x1b[Hreloaded\r\n")
    recording.finish().result(30)
    with Reader.open(tmp_path / "store") as reader:
        writer = Writer(reader, tmp_path / "derived", ID)
        while writer.more():
            writer.advance()
        writer.close()
        yield Recorded(reader)
    ledger.close()


def replay(it: Console) -> ReplayScreen:
    assert isinstance(it.app.screen, ReplayScreen)
    return it.app.screen


async def opened(it: Console) -> None:
    await it.press("2", "v")
    await it.told("reloaded", "paused")
    await it.press("full_stop")  # from here on it stands where it is sent


@BOTH
async def test_it_plays_to_the_end_and_goes_back(console: Open, recorded: Recorded, size: tuple[int, int]) -> None:
    async with console(recorded, size=size) as it:
        await opened(it)
        await it.told("REPLAY", ID, "claude-ops on root@web-1")
        await it.press("left_square_bracket", "left_square_bracket")
        await it.told("0:00.0 of")
        await it.until(lambda: "reloaded" not in it.screen and "server {" not in it.screen)
        await it.press("right_square_bracket")
        await it.until(lambda: replay(it).replay.player.marks[1].frame == replay(it).replay.player.frame)
        await it.told("INSERT" if size[0] < 100 else "server {")
        assert "reloaded" not in it.screen
        wide = size[0] > 180
        assert ("vim nginx.conf" in it.screen) is wide, "the commands stand beside it where there is room"
        if not wide:
            await it.press("c")
        await it.told(">+", "systemctl reload nginx", "rm -rf ")
        assert wide or "rm -rf ⟨ESC⟩[31m/srv" in it.screen
        await it.press("end", "space")
        await it.press("escape")
        assert not isinstance(it.app.screen, ReplayScreen)
        assert any(isinstance(call, wire.ReadTimeline) for call in recorded.calls)


@pytest.mark.parametrize("keys", [("end",), ("home", "full_stop", "full_stop", "full_stop", "c")], ids=["end", "list"])
@pytest.mark.parametrize("size", [(80, 24), (250, 60)], ids=["80x24", "250x60"])
def test_how_it_looks(
    snap_compare: Callable[..., bool], recorded: Recorded, size: tuple[int, int], keys: tuple[str, ...]
) -> None:
    clock = [1000.0]
    app = BastionConsole(recorded.connect, "test", clock=lambda: clock[0], wall=lambda: NOW)

    async def open_and_stand(pilot: Pilot[None]) -> None:
        it = Console(app, pilot, recorded, clock)
        await it.until(lambda: app.link.up)
        await opened(it)
        await it.press(*keys)
        await it.until(lambda: not app.screen._busy)  # type: ignore[attr-defined]

    assert snap_compare(app, terminal_size=size, run_before=open_and_stand)


async def test_it_begins_at_the_request_that_was_selected(console: Open, recorded: Recorded) -> None:
    async with console(recorded, size=(120, 40)) as it:
        await it.press("3")
        await it.until(lambda: it.selected in ("r-0001", "r-0002", "r-0003"))
        while it.selected != "r-0002":
            await it.press("down")
        await it.press("v")
        await it.until(lambda: isinstance(it.app.screen, ReplayScreen) and replay(it).replay is not None)
        moments = [call for call in recorded.calls if isinstance(call, wire.ReadMoment)]
        assert len(moments) == 1
        assert recorded.recording[moments[0].frame].data.startswith(b"r-0002")


async def test_search_and_time(console: Open, recorded: Recorded) -> None:
    recorded.found = [recorded.recording[2].at]
    async with console(recorded, size=(120, 40)) as it:
        await opened(it)
        await it.told("reloaded")
        await it.press("slash", *"server", "enter")
        await it.told("1 place with 'server': n, N", "server {")
        await it.press("n")
        await it.told("there is none")
        await it.press("g", *"soon", "enter")
        await it.told("is no time")
        await it.press("g", "0", "enter")
        await it.told("0:00.0 of")
        await it.press("slash", "q", "escape")
        assert isinstance(it.app.screen, ReplayScreen), "what is typed is no key"
        await it.press("q")
        assert not isinstance(it.app.screen, ReplayScreen)


async def test_speed_and_pauses(console: Open, recorded: Recorded) -> None:
    async with console(recorded, size=(120, 40)) as it:
        await opened(it)
        await it.press("plus", "plus", "i")
        await it.told("2x", "pauses 2 s at most")
        await it.press("minus", "i")
        await it.told("1.5x")
        assert "at most" not in it.screen


async def test_what_was_sent_is_drawn_and_never_obeyed(console: Open, recorded: Recorded) -> None:
    async with console(recorded, size=(120, 40)) as it:
        await opened(it)
        await it.told("reloaded")
        await it.press("home", *["full_stop"] * 5)
        await it.told("[bold]no markup[/]漢字�")
        view = it.app.screen.query_one(CellsView)
        assert view.screen_shown is not None
        strip = view.render_line(2)
        (red,) = [each for each in strip if each.style and each.style.color and "s" in each.text][:1] or [None]
        assert red is not None
        assert red.style is not None
        assert red.style.color is not None
        assert red.style.color.name == "red"


async def test_a_screen_that_does_not_fit_says_so_and_can_be_moved(console: Open, recorded: Recorded) -> None:
    async with console(recorded, size=(80, 24)) as it:
        await opened(it)
        await it.told("reloaded", "cut: 100x30")
        await it.press("home", *["full_stop"] * 3)
        await it.told("INSERT")
        assert "server {" not in it.screen, "the cursor is in the last line"
        await it.press("shift+up", "shift+up")
        await it.told("server {")
        await it.press("p")
        await it.told("INSERT")


async def test_what_cannot_be_had_is_said(console: Open, recorded: Recorded) -> None:
    bare = session("s-bare", state="closed", closed=NOW, end="done")
    recorded.sessions = {"s-bare": bare}
    async with console(recorded, size=(80, 24)) as it:
        await it.press("2", "v")
        await it.told("nothing was recorded of this session")
        await it.press("space", "right", "slash", "x", "enter", "escape")
    recorded.sessions = {ID: session()}
    recorded.moments = None  # type: ignore[assignment]
    async with console(recorded, size=(80, 24)) as it:
        await it.press("2", "v")
        await it.told("has no attribute")


def test_cells_have_their_width_and_colours() -> None:
    assert fitted("a", 1) == "a"
    assert fitted("漢", 2) == "漢"
    assert fitted("漢", 1) == "�"
    assert fitted("a", 2) == "� "
    assert fitted("\x1b", 1) == "�"
    screen = Screen(10, 1)
    screen.feed(b"\x1b[93;44;1ma\x1b[0;38;5;200mb\x1b[0;33mc\x1b[7md")
    bold, rgb, brown, reverse = (style_of(cell[1:]) for cell in screen.row(0)[:4])
    assert (bold.color and bold.color.name, bold.bgcolor and bold.bgcolor.name, bold.bold) == (
        "bright_yellow",
        "blue",
        True,
    )
    assert rgb.color
    assert rgb.color.triplet
    assert brown.color
    assert brown.color.name == "yellow"
    assert reverse.reverse
