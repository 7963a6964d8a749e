"""The app, with its keys pressed: decisions, guards, connection, looks."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from textual import events
from textual.binding import BindingType
from textual.screen import ModalScreen

from bastion import errors
from bastion.control import wire
from bastion.model import Choice
from bastion.policy.visible import visible
from tests.tui.conftest import Console, Open
from tui import feed as feed_module
from tui.app import BastionConsole
from tui.order import Pane
from tui.samples import NOW, Bastion, S, request, session, vote
from tui.screens.help import HelpScreen

MEDIUM, HIGH, UNRATED = "r-00000001", "r-00000002", "r-00000003"


def three() -> Bastion:
    """Three held requests, in this order of time left."""
    return Bastion(
        [
            request(MEDIUM, age=30),
            request(HIGH, age=20, tier="high", score=90, command=b"rm -rf /srv/backups"),
            request(UNRATED, age=10, tier="unrated", score=None),
        ],
        [session()],
    )


# --- approving


async def test_one_key_approves_medium_risk(console: Open) -> None:
    async with console(three()) as it:
        await it.press("a")
        await it.told("counts: approved by ana")
        assert it.bastion.votes == [(MEDIUM, Choice.APPROVE, "")]


@pytest.mark.parametrize("down", [1, 2])
async def test_high_and_unrated_risk_ask_for_a_second_key(console: Open, down: int) -> None:
    async with console(three()) as it:
        await it.press(*["down"] * down, "a")
        assert "APPROVE r-0000000" in it.screen
        assert "y = yes" in it.screen
        assert it.bastion.votes == []
        await it.press("y")
        await it.told("counts: approved by ana")
        assert it.bastion.votes == [((HIGH, UNRATED)[down - 1], Choice.APPROVE, "")]


@pytest.mark.parametrize("other", ["n", "a", "escape", "down", "space", "z", "slash"])
async def test_any_other_key_disarms(console: Open, other: str) -> None:
    async with console(three()) as it:
        await it.press("down", "a", other)
        if other == "a":  # the first key again asks again; it never confirms
            assert "y = yes" in it.screen
        else:
            await it.press("y")
        assert it.bastion.votes == []


async def test_the_second_key_means_nothing_by_itself(console: Open) -> None:
    async with console(three()) as it:
        await it.press("y", "down", "y", "down", "y")
        assert it.bastion.votes == []
        assert "yes, approve" not in it.screen


async def test_a_question_that_nobody_answers_goes_away(console: Open) -> None:
    async with console(three()) as it:
        await it.press("down", "a")
        it.wait_seconds(10)
        it.app.draw()
        await it.pilot.pause()
        assert "y = yes" not in it.screen
        await it.press("y")
        assert it.bastion.votes == []


async def test_what_was_displayed_is_what_is_voted_on(console: Open) -> None:
    """The vote is computed from the very object that was on display."""
    seen: list[wire.RequestInfo] = []
    async with console(three()) as it:
        client = it.bastion.clients[0]
        cast = client.vote

        async def note(info: wire.RequestInfo, choice: Choice, reason: str, *more: Any) -> wire.RequestInfo:
            seen.append(info)
            return await cast(info, choice, reason, *more)

        client.vote = note  # type: ignore[method-assign]
        shown = it.app.view.items[MEDIUM].info
        await it.press("a")
        await it.told("counts")
        assert seen[0] is shown


async def test_a_vote_that_is_being_signed_cannot_be_cast_again(console: Open) -> None:
    bastion = three()
    bastion.hold_votes.clear()
    async with console(bastion) as it:
        await it.press("a")
        await it.told("being signed")
        await it.press("a", "d")
        assert "under way" in it.screen
        bastion.hold_votes.set()
        await it.told("counts")
        assert len(bastion.votes) == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (errors.Conflict("decided already"), "did not count: decided already"),
        (errors.NotAllowed("not an approver"), "not an approver"),
        (errors.Unreachable("lost"), "unknown whether the vote counted"),
        (errors.UsageError("no key\x1b[2J"), "no key⟨ESC⟩"),
    ],
)
async def test_a_vote_that_fails_says_so(console: Open, error: errors.BastionError, words: str) -> None:
    bastion = three()
    bastion.vote_error = error
    async with console(bastion, size=(140, 30)) as it:
        await it.press("a")
        await it.told(words)
        assert it.app.view.items[MEDIUM].held


async def test_one_of_two_approvals(console: Open) -> None:
    async with console(Bastion([request(MEDIUM, approvals=2)], [])) as it:
        await it.press("a")
        await it.told("more must approve", "1 of 2 approvals")
        await it.press("a")
        assert "1 other person must approve too" in it.screen
        assert len(it.bastion.votes) == 1


# --- denying


async def test_denying_sends_the_reason(console: Open) -> None:
    async with console(three()) as it:
        await it.press("d")
        await it.told("DENY r-00000001", "the agent reads this")
        await it.press(*"not", "space", *"now", "enter")
        await it.told("denied by ana: not now")
        assert it.bastion.votes == [(MEDIUM, Choice.DENY, "not now")]


async def test_denying_can_be_given_up_and_needs_words(console: Open) -> None:
    async with console(three()) as it:
        await it.press("d", "enter")
        assert "a few words" in it.screen
        await it.press("space", "enter")
        assert "a few words" in it.screen
        await it.press("escape")
        assert "DENY" not in it.screen
        assert it.bastion.votes == []


async def test_keys_behind_d_go_nowhere_but_into_the_reason(console: Open) -> None:
    """Typed ahead, before the dialog is drawn."""
    async with console(three()) as it:
        it.wait_seconds(2)
        await it.pilot.press("d", "a", "y", "x", "q", "enter")
        await it.pilot.pause()
        assert all(choice is Choice.DENY for _, choice, _ in it.bastion.votes)
        assert not any(isinstance(call, wire.KillSession) for call in it.bastion.calls)
        assert it.app.is_running


async def test_the_dialog_stays_when_its_request_ends_and_swallows_what_is_typed(console: Open) -> None:
    """If it closed by itself, the rest of the sentence would press keys on the screen under it."""
    async with console(three()) as it:
        await it.press("d", *"because")
        it.bastion.change(MEDIUM, state="expired", decided=NOW)
        await it.told("too late", "Esc closes")
        await it.press(*"a way y", "enter")
        assert it.bastion.votes == []
        assert "Esc closes" in it.screen
        await it.press("escape")
        assert it.selected == MEDIUM
        assert it.bastion.votes == []


async def test_a_change_under_a_dialog_is_new_when_it_closes(console: Open) -> None:
    async with console(three()) as it:
        await it.press("down", "d")
        it.bastion.change(HIGH, votes=[vote("eve", "approve")])
        await it.until(lambda: it.app.view.items[HIGH].info.votes)
        await it.press("escape", after=5)
        await it.press("a", after=0.5)
        assert "just changed by itself" in it.screen
        await it.press("a")
        assert "y = yes" in it.screen


# --- what changes by itself


async def test_the_key_never_acts_on_the_neighbour(console: Open) -> None:
    async with console(three()) as it:
        it.bastion.change(MEDIUM, state="expired", decided=NOW)
        await it.told("EXPIRED")
        assert it.selected == MEDIUM
        await it.press("a", "d")
        assert "too late: it was expired" in it.screen
        assert it.bastion.votes == []
        await it.press("down")
        assert MEDIUM not in it.app.view.rows(Pane.QUEUE)


@pytest.mark.parametrize(("after", "votes"), [(0.3, 0), (0.65, 0), (2.5, 1)])
async def test_a_request_that_comes_by_itself_waits_700_ms(console: Open, after: float, votes: int) -> None:
    async with console(Bastion([], [])) as it:
        it.bastion.put(request(MEDIUM))
        await it.told("systemctl restart nginx")
        await it.press("a", after=after)
        assert ("just changed by itself" in it.screen) is (votes == 0)
        await it.until(lambda: len(it.bastion.votes) == votes)


async def test_a_key_pressed_before_the_change_and_handled_after_it_does_nothing(console: Open) -> None:
    """The loop was busy: by the app's clock the key is handled 2 s after the change, but it was pressed before it."""
    async with console(Bastion([], [])) as it:
        late = events.Key("a", "a")
        late.time = time.monotonic() - 3
        it.bastion.put(request(MEDIUM))
        await it.told("systemctl restart nginx")
        it.wait_seconds(2)
        it.app.post_message(late)
        await it.told("just changed by itself")
        assert it.bastion.votes == []


async def test_a_paste_does_not_decide(console: Open) -> None:
    async with console(three()) as it:
        it.wait_seconds(2)
        await it.pilot.press("u", "a", "y")
        await it.told("look like a paste")
        assert it.bastion.votes == []
        it.app.post_message(events.Paste("a"))
        await it.pilot.pause()
        assert it.bastion.votes == []


async def test_a_flood_leaves_the_selected_request_where_it_is(console: Open) -> None:
    async with console(three(), size=(100, 40)) as it:
        await it.press("down")
        row = next(at for at, line in enumerate(it.screen.split("\n")) if line.startswith(">"))
        for number in range(60):
            it.bastion.put(request(f"r-f{number:07x}", age=25))
        await it.told("63 held")
        assert it.selected == HIGH
        lines = it.screen.split("\n")
        assert next(at for at, line in enumerate(lines) if line.startswith(">")) >= row
        assert "rm -rf /srv/backups" in next(line for line in lines if line.startswith(">"))


async def test_tampered_requests_are_shown_as_such_and_cannot_be_voted_on(console: Open) -> None:
    bad = msgspec.structs.replace(request(MEDIUM), command=b"rm -rf /")
    async with console(Bastion([bad], []), size=(120, 30)) as it:
        assert it.screen.count("TAMPERED") >= 3  # list, headline, text
        await it.press("a", "y", "d")
        assert "nobody can vote" in it.screen
        assert it.bastion.votes == []


async def test_a_request_that_changes_after_it_was_shown_is_tampered_with(console: Open) -> None:
    async with console(three(), size=(120, 30)) as it:
        it.bastion.put(request(MEDIUM, age=30, command=b"rm -rf /"))
        await it.told("TAMPERED")
        assert "systemctl restart nginx" in it.screen
        await it.press("a")
        assert it.bastion.votes == []


# --- reading


async def test_a_long_command_must_be_read_to_its_end(console: Open) -> None:
    command = b"".join(b"echo line %d\n" % number for number in range(60))
    async with console(Bastion([request(MEDIUM, command=command)], [])) as it:
        assert "more rows below" in it.screen
        await it.press("a")
        assert "read on" in it.screen
        for _ in range(8):
            await it.press("space")
        assert "more rows below" not in it.screen
        await it.press("a")
        await it.told("counts")


async def test_jumping_to_the_end_asks_for_a_second_key(console: Open) -> None:
    command = b"".join(b"echo line %d\n" % number for number in range(60))
    async with console(Bastion([request(MEDIUM, command=command)], [])) as it:
        await it.press("end", "a")
        assert "characters never were on your screen" in it.screen
        assert it.bastion.votes == []
        await it.press("home", "J", "K", "b", "shift+down", "end", "a", "y")
        await it.told("counts")


async def test_a_resize_keeps_what_was_read(console: Open) -> None:
    command = b"".join(b"echo line %d\n" % number for number in range(30))
    async with console(Bastion([request(MEDIUM, command=command)], [])) as it:
        for _ in range(4):
            await it.press("space")
        await it.pilot.resize_terminal(100, 40)
        await it.pilot.pause()
        await it.press("a")
        await it.told("counts")


HOSTILE = [
    b"[bold]x[/]",
    b"[@click=app.quit]press me[/]",
    b"[link=http://evil]x[/link] :smile: \\[bold]",
    b"echo \x1b[2J\x1b[H\x1b]0;owned\x07 ok",
    b"echo ok\rrm -rf /",
    "echo \u202egnp.exe \u2066x\u2069".encode(),
    "c\u0430t /etc/passwd\u200b".encode(),
    b"\xff\xfe\x00",
    b"ls" + b" " * 500 + b"; rm -rf /",
    b"true\n" + b"\n" * 60 + b"rm -rf /",
    ("e" + "\u0301" * 300).encode(),
]


@pytest.mark.parametrize(
    ("command", "size"),
    [*((command, (80, 24)) for command in HOSTILE), *((command, (250, 60)) for command in HOSTILE[-3:])],
)
async def test_what_is_on_the_screen_is_the_whole_truth(console: Open, command: bytes, size: tuple[int, int]) -> None:
    """The text is put together from the cells of the screen, page by page, and is the visible text to the letter."""
    info = request(MEDIUM, command=command, reason=command.decode("utf-8", "replace"), rollback="[red]x", task="[b]")
    async with console(Bastion([info], []), size=size) as it:
        text = it.app.screen.query_one("#text")
        pieces: dict[int, str] = {}
        for _ in range(60):
            left, top = text.region.x, text.region.y
            for y in range(text.size.height):
                at = y + round(text.scroll_y)
                document = text.document  # type: ignore[attr-defined]
                if at < len(document) and document.row(at).span:
                    cells = "".join(segment.text for segment in it.strips[top + y])[left : left + text.region.width]
                    pieces[at] = cells[1 + 7 : 1 + len(document.row(at).text)]
            if text.scroll_y >= text.max_scroll_y:
                break
            await it.press("space")
        assert "".join(pieces[at] for at in sorted(pieces)) == visible(command).replace("\n", "")
        for row in it.strips:
            for segment in row:
                assert not (segment.style and segment.style.meta.get("@click"))
                assert segment.text.isprintable()
        await it.pilot.click("#text", offset=(12, 1))
        assert it.app.is_running


async def test_what_the_edge_of_the_screen_cuts_was_not_read(console: Open) -> None:
    """Narrower than a row can be made: nothing that is cut counts as seen."""
    async with console(three(), size=(12, 30)) as it:
        await it.press("end", "a")
        assert it.bastion.votes == []
        await it.pilot.resize_terminal(80, 24)
        await it.pilot.pause()
        await it.press("home", "a")
        await it.told("counts")


class Veil(ModalScreen[None]):
    """Lies over everything and lets it shine through."""

    DEFAULT_CSS = "Veil { background: $background 0%; }"
    BINDINGS: ClassVar[list[BindingType]] = [("escape", "dismiss", "")]


@pytest.mark.parametrize("over", [Veil, HelpScreen])
async def test_what_came_under_another_screen_was_not_read(console: Open, over: type[ModalScreen[None]]) -> None:
    async with console(Bastion([], [])) as it:
        it.app.push_screen(over())
        await it.pilot.pause()
        it.bastion.put(request(MEDIUM))
        await it.until(lambda: it.app.view.selected(Pane.QUEUE) == MEDIUM)
        assert not it.app.view.reading
        await it.press("escape")
        await it.until(lambda: it.app.view.reading)
        await it.press("a")
        await it.told("counts")


async def test_a_drag_over_the_text_does_no_harm(console: Open) -> None:
    async with console(three()) as it:
        await it.pilot.mouse_down("#text", offset=(2, 1))
        await it.pilot.hover("#text", offset=(30, 5))
        await it.pilot.mouse_up("#text", offset=(30, 5))
        await it.press("ctrl+c")
        assert it.app.is_running


async def test_a_reason_is_sent_without_control_characters(console: Open) -> None:
    async with console(three()) as it:
        await it.press("d")
        await it.told("DENY")
        it.app.post_message(events.Paste("no\x1b[2J \u202eway\nmore"))
        await it.pilot.pause()
        await it.press("enter")
        await it.told("denied by ana: no[2J way")
        assert it.bastion.votes == [(MEDIUM, Choice.DENY, "no[2J way")]


# --- the connection


async def test_it_says_when_it_is_not_connected_and_comes_back(console: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "PAUSES", (3600.0,))
    async with console(three()) as it:
        it.bastion.lose()
        await it.told("NOT CONNECTED", "the bastion closed the connection")
        await it.press("a")
        assert "not connected: nothing was sent" in it.screen
        it.bastion.change(MEDIUM, state="approved", votes=[vote("bob")], decided=NOW)
        it.bastion.requests.pop(UNRATED)
        await it.press("r")
        await it.told("* live", "APPROVED", "1 held")
        assert it.app.view.items[UNRATED].gone
        await it.press("down")
        await it.press("a", "y")
        await it.told("counts")
        assert it.bastion.votes == [(HIGH, Choice.APPROVE, "")]


async def test_it_starts_without_a_bastion(console: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "PAUSES", (0.01,))
    bastion = three()
    bastion.down = errors.Unreachable("connection refused", "is the daemon running?")
    async with console(bastion, live=False, size=(120, 24)) as it:
        await it.told("NOT CONNECTED", "connection refused (is the daemon running?)")
        bastion.down = None
        await it.told("* live", "3 held")


async def test_the_bell_rings_for_new_requests_only(console: Open) -> None:
    class Counting(BastionConsole):
        CSS_PATH = str(Path(feed_module.__file__).with_name("app.tcss"))
        rung = 0

        def bell(self) -> None:
            self.rung += 1

    bastion, clock = three(), [1000.0]
    app = Counting(bastion.connect, clock=lambda: clock[0], wall=lambda: NOW)
    async with app.run_test() as pilot:
        it = Console(app, pilot, bastion, clock)
        await it.until(lambda: app.rung == 1)  # what was held when it connected
        it.wait_seconds(5)
        bastion.change(MEDIUM, votes=[vote("bob")])
        bastion.put(request("r-00000009", state="denied"))
        await it.until(lambda: "r-00000009" in app.view.items)
        assert app.rung == 1
        for number in range(20):
            bastion.put(request(f"r-a{number:07x}"))
        await it.until(lambda: len(app.view.held) == 23)
        assert app.rung == 2  # a flood rings once a second


# --- lists


async def test_filter(console: Open) -> None:
    async with console() as it:
        await it.press("slash", *"risk:high", "enter")
        assert "filter: risk:high" in it.screen
        assert "2 hidden" in it.screen
        assert "claude-ops" not in it.screen.split("HELD")[0]
        await it.press("a")  # typed into nothing: the filter is closed and keys act again
        assert "y = yes" in it.screen
        await it.press("escape")
        assert "hidden" not in it.screen
        assert "claude-ops" in it.screen


async def test_keys_typed_into_the_filter_decide_nothing(console: Open) -> None:
    async with console(three()) as it:
        await it.press("slash", *"aydxq123")
        assert it.bastion.votes == []
        assert "Nothing here matches" in it.screen
        await it.press("escape")
        assert it.app.view.filter.text == ""
        assert it.selected == MEDIUM


async def test_panes_and_orders(console: Open) -> None:
    async with console() as it:
        await it.press("2")
        assert "[2 sessions" in it.screen
        assert "SESSION s-" in it.screen
        await it.press("3")
        assert "[3 decided" in it.screen
        assert "exit 0" in it.screen
        await it.press("tab")
        assert "[1 queue" in it.screen
        await it.press("shift+tab")
        assert "[3 decided" in it.screen
        await it.press("1", "o")
        assert "riskiest first" in it.screen
        await it.press("G")
        assert it.selected == it.app.view.rows(Pane.QUEUE)[-1]
        await it.press("g")
        assert it.selected == it.app.view.rows(Pane.QUEUE)[0]


async def test_a_click_selects_and_decides_nothing(console: Open) -> None:
    async with console(three()) as it:
        it.wait_seconds(2)
        await it.pilot.click("#rows-queue", offset=(20, 2))
        await it.pilot.pause()
        assert it.selected == UNRATED
        assert it.bastion.votes == []
        it.bastion.put(request("r-0000000f", age=59))  # rows move under the pointer
        await it.told("4 held")
        await it.pilot.click("#rows-queue", offset=(20, 2))
        await it.pilot.pause()
        await it.press("a", after=0.5)
        assert "just changed by itself" in it.screen


async def test_the_footer_can_be_clicked_through_the_same_guards(console: Open) -> None:
    async with console(three()) as it:
        it.wait_seconds(2)
        await it.press("down")
        it.wait_seconds(2)
        await it.pilot.click("FooterKey", offset=(2, 0))
        await it.told("y = yes")
        assert it.bastion.votes == []


# --- sessions


async def test_kill_asks_and_then_ends_the_session(console: Open) -> None:
    async with console(three()) as it:
        await it.press("x")
        await it.told("END SESSION s-5b1d0c7a9e3f2468?")
        await it.press("n")
        await it.press("2", "x", "y")
        await it.told("was ended")
        assert [call.session for call in it.bastion.calls if isinstance(call, wire.KillSession)] == [session().id]
        await it.press("x")
        assert "over already" in it.screen


async def test_kill_is_not_confirmed_by_a_paste(console: Open) -> None:
    async with console(three()) as it:
        it.wait_seconds(2)
        await it.pilot.press("x")
        await it.told("END SESSION")
        await it.pilot.press("y")
        await it.pilot.pause()
        assert "END SESSION" in it.screen


# --- looks and everything else


async def test_help(console: Open) -> None:
    async with console(size=(100, 120)) as it:
        await it.press("question_mark")
        for words in ("approve the request on display", "deny it; the reason", "watch its session", "Good to know"):
            assert words in it.screen
        assert "+ =             faster" in it.screen
        await it.press("a", "d", "x")
        assert it.bastion.votes == []
        await it.press("escape")
        assert "HELD" in it.screen


async def test_keys_can_be_mapped_anew(console: Open) -> None:
    async with console(three(), keymap={"request.approve": "f5", "request.confirm": "f6"}) as it:
        await it.press("down", "a", "y")
        assert it.bastion.votes == []
        await it.press("f5")
        assert "APPROVE" in it.screen
        await it.press("f6")
        await it.told("counts")


async def test_nothing_writes_a_screenshot(console: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the palette, nor what Textual offers every app."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    async with console(three()) as it:
        await it.press("ctrl+s", "f1", "f12", "ctrl+backslash")
        assert len(it.app.screen_stack) == 2
        await it.press("ctrl+p")
        await it.press(*"screenshot", "enter", "escape")
        it.app.action_screenshot()
        it.app.save_screenshot()
        it.app.deliver_screenshot()
        await it.pilot.pause()
        assert list(it.app.get_system_commands(it.app.screen)) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [(80, 24), (250, 60), (40, 12), (20, 6), (3, 2), (300, 100)])
async def test_any_size(console: Open, size: tuple[int, int]) -> None:
    async with console(size=size) as it:
        await it.press("down", "2", "3", "question_mark", "escape", "1", "a", "d", "escape", "slash", "escape")
        assert it.app.is_running


@pytest.mark.parametrize("theme", ["bastion-dark", "bastion-light", "ansi-dark", "ansi-light", "nord", "textual-light"])
async def test_themes(console: Open, theme: str) -> None:
    async with console(theme=theme) as it:
        assert it.app.theme == theme
        await it.press("t")
        assert it.app.theme != theme
        assert "theme: " in it.screen


def test_an_unknown_theme_is_refused() -> None:
    with pytest.raises(errors.UsageError):
        BastionConsole(Bastion().connect, theme="pink")


async def test_without_colour_there_is_none_and_everything_is_said(
    console: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with console() as it:
        for row in it.strips:
            for segment in row:
                if segment.style:
                    for colour in (segment.style.color, segment.style.bgcolor):
                        assert colour is None or colour.is_default
        for words in ("> ", "91 high", "46 med", "8 low", "HELD", "* live", "[1 queue"):
            assert words in it.screen


async def test_the_countdown_counts(console: Open) -> None:
    bastion = Bastion([request(MEDIUM, age=50)], [])
    async with console(bastion) as it:
        assert "10s!" in it.screen
        it.app.wall = lambda: NOW + 4 * S
        await it.told("6s!", "54s")
        it.app.wall = lambda: NOW + 10 * S
        await it.told("due")


@pytest.mark.parametrize("flood", [0, 100], ids=["quiet", "flood"])
@pytest.mark.parametrize("size", [(80, 24), (250, 60)], ids=["small", "large"])
async def test_a_thousand_requests_answer_a_key_within_100_ms(console: Open, size: tuple[int, int], flood: int) -> None:
    """By the processor's time, which a busy machine does not change; `flood` new requests a second."""
    bastion = Bastion(
        [request(f"r-{number:08x}", age=number % 50, session=f"s-{number % 50:016x}") for number in range(1000)],
        [session(f"s-{number:016x}") for number in range(50)],
    )
    async with console(bastion, size=size) as it:
        times = []
        for round in range(15):
            it.wait_seconds(1)
            for number in range(flood // 20):  # of a twentieth of a second
                bastion.put(request(f"r-f{round:03x}{number:04x}", age=1))
            before, painted = it.selected, asyncio.Event()
            began = time.process_time()
            it.app.post_message(events.Key("down", None))
            while it.selected == before:  # noqa: ASYNC110
                await asyncio.sleep(0)  # the moment itself is measured
            it.app.screen.call_after_refresh(painted.set)
            await painted.wait()
            times.append(time.process_time() - began)
        assert sorted(times)[len(times) // 2] < 0.1


async def test_no_control_character_is_painted_whatever_a_caller_forgot(console: Open) -> None:
    async with console(three()) as it:
        it.app.tell("a\x1b[2Jb\u202ec")
        await it.told("a⟨ESC⟩[2Jb⟨U+202E RIGHT-TO-LEFT OVERRIDE⟩c")
        assert all(segment.text.isprintable() for row in it.strips for segment in row)


async def test_ctrl_c_tells_how_to_quit_and_q_quits(console: Open) -> None:
    async with console(three()) as it:
        await it.press("ctrl+c")
        assert "q quits" in it.screen
        await it.press("q")
        assert it.app._exit
