"""tui/screens/watch.py on the bastion in memory."""

from __future__ import annotations

import pytest

from bastion import errors
from bastion.control import wire
from tests.tui.conftest import Console, Open
from tui import feed as feed_module
from tui.live import BACKLOG
from tui.sample_bastion import Bastion
from tui.samples import NOW, request, session

ID = session().id


def one() -> Bastion:
    return Bastion([request(), request("r-00000001", state="approved", status="exit 0", decided=NOW)], [session()])


def out(it: Console, data: bytes, kind: str = "output", to: str = ID) -> None:
    it.bastion.push(wire.SessionOutput(session=to, frame=wire.FrameInfo(at=5_000_000, kind=kind, data=data)))


async def test_it_shows_recent_output_and_what_follows(console: Open) -> None:
    async with console(one(), size=(100, 30)) as it:
        await it.press("w")
        await it.told("WATCHING", ID, "open for", "syntax is ok", "test is successful", "stderr", "bastion: held")
        out(it, b"fresh line\n")
        out(it, b"not ours\n", to="s-other")
        out(it, b"warned\n", "stderr")
        out(it, b"denied r-1\x1b[2J", "marker")
        await it.told("fresh line", "warned", "marker denied r-1⟨ESC⟩[2J")
        assert "not ours" not in it.screen
        assert any(isinstance(call, wire.WatchSession) and call.session == ID for call in it.bastion.calls)


async def test_the_requests_of_the_session_stand_on_top_and_follow_their_fate(console: Open) -> None:
    async with console(one(), size=(100, 30)) as it:
        await it.press("w")
        await it.told("= held 0/1", "+ approved", "exit 0", "systemctl restart nginx")
        it.bastion.change("r-7f3a0c11", state="denied", decided=NOW)
        await it.told("x denied")


async def test_hostile_output_is_only_shown(console: Open) -> None:
    async with console(one(), size=(100, 30)) as it:
        await it.press("w")
        out(it, b"\x1b]0;title\x07\x1b[2J\x1b[H[bold]x[/] [@click=app.quit]y\x1b[?1049h\n")
        out(it, "a\u202eb\n".encode(), "stderr")
        await it.told("a\ufffdb")
        for row in it.strips:
            for segment in row:
                assert segment.text.isprintable()
                assert not (segment.style and segment.style.meta.get("@click"))


async def test_a_flood_is_skipped_and_said_and_keys_still_act(console: Open) -> None:
    async with console(one(), size=(100, 30)) as it:
        await it.press("w")
        for _ in range(40):
            out(it, b"x" * 99 + b"\n" + b"y" * (BACKLOG // 8))
        out(it, b"\nthe end\n")
        await it.told("skipped: too fast to show", "the end")
        await it.press("escape")
        await it.told("HELD")


async def test_back_and_again(console: Open) -> None:
    async with console(one()) as it:
        await it.press("w")
        await it.told("WATCHING")
        await it.press("escape")
        await it.until(lambda: any(isinstance(call, wire.UnwatchSession) for call in it.bastion.calls))
        await it.told("HELD")
        await it.press("w")
        await it.told("WATCHING", "syntax is ok")
        await it.press("a", "y", "d")
        assert it.bastion.votes == []


async def test_a_session_that_is_over_shows_its_recording(console: Open) -> None:
    bastion = Bastion([], [session(closed=NOW, state="closed", end="exit 0")])
    async with console(bastion, size=(100, 30)) as it:
        await it.press("2", "w")
        await it.told("over: exit 0", "test is successful")
        assert any(isinstance(call, wire.ReadRecording) for call in bastion.calls)
        await it.press("x")
        await it.told("over already")


async def test_a_session_that_ended_unnoticed_shows_its_recording(console: Open) -> None:
    bastion = one()

    async with console(bastion, size=(100, 30)) as it:
        client = bastion.clients[0]
        call = client.call

        async def gone(call_type: type[wire.Call], result: object, /, **fields: object) -> object:
            if call_type is wire.WatchSession:
                raise errors.NotFound("it is not open")
            return await call(call_type, result, **fields)

        client.call = gone  # type: ignore[method-assign, assignment]
        await it.press("w")
        await it.told("test is successful")


async def test_it_ends_while_watched(console: Open) -> None:
    async with console(one(), size=(100, 30)) as it:
        await it.press("w")
        await it.told("open for")
        it.bastion.put_session(session(closed=NOW, state="closed", end="the target hung up"))
        await it.told("over: the target hung up")


async def test_kill_from_here_asks_first(console: Open) -> None:
    async with console(one(), size=(100, 30)) as it:
        await it.press("w")
        await it.told("open for")
        await it.press("x")
        await it.told("END SESSION")
        await it.press("escape")
        assert not any(isinstance(call, wire.KillSession) for call in it.bastion.calls)
        await it.press("x", "y")
        await it.told("over: killed by ana")


async def test_it_watches_again_after_a_new_connection(console: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "PAUSES", (0.01,))
    async with console(one(), size=(100, 30)) as it:
        await it.press("w")
        await it.told("syntax is ok")
        it.bastion.lose()
        await it.until(lambda: sum(isinstance(call, wire.WatchSession) for call in it.bastion.calls) == 2)
        await it.told("syntax is ok", "open for")
        assert it.screen.count("syntax is ok") == 1


async def test_without_a_session_there_is_nothing_to_watch(console: Open) -> None:
    async with console(Bastion([], [])) as it:
        await it.press("w")
        assert "no session is selected" in it.screen


async def test_the_log_stays_where_a_person_scrolled_to(console: Open) -> None:
    async with console(one(), size=(100, 30)) as it:
        await it.press("w")
        out(it, b"".join(b"line %d\n" % number for number in range(150)))
        await it.told("line 149")
        log = it.app.screen.query_one("#watch-out")
        log.scroll_to(y=0, animate=False)
        await it.told("line 0")
        out(it, b"more\n")
        await it.until(lambda: "more" in log.lines)  # type: ignore[attr-defined]
        assert "line 0" in it.screen


@pytest.mark.parametrize(("columns", "edge"), [(80, "R"), (79, "R"), (78, "R"), (60, "R"), (100, "")])
async def test_a_terminal_as_wide_as_the_window_is_shown_to_its_edge(console: Open, columns: int, edge: str) -> None:
    bastion = one()
    bastion.recording = [
        wire.FrameInfo(at=0, kind="resize", data=b"%dx40" % columns),
        wire.FrameInfo(at=1, kind="output", data=b"\x1b[1;1HL\x1b[1;%dHR\x1b[40;1Hlast" % columns),
    ]
    async with console(bastion, size=(80, 60)) as it:
        await it.press("w")
        await it.told("WATCHING", "last")
        rows = [row.strip(" ") for row in it.screen.split("\n")]
        assert "L" + " " * (columns - 2) + "R" in rows if edge else "L" in rows
        assert ("20 columns at the right are not shown" in it.screen) is not bool(edge)
