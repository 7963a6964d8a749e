"""The keys beside approving and denying: edit, snooze, escalate, freeze; and who may not."""

from __future__ import annotations

import msgspec
import pytest
from textual import events

from bastion import errors
from bastion.control import wire
from bastion.model import Choice
from tests.tui.conftest import Console, Open
from tui.editing import command_of, editable
from tui.sample_bastion import Bastion
from tui.samples import NOW, S, request, session

ONE = "r-00000001"


def one(**fields: object) -> Bastion:
    return Bastion([request(ONE, age=20, **fields)], [session(requests=[ONE])])  # type: ignore[arg-type]


def calls(it: Console, kind: type[wire.Call]) -> list[wire.Call]:
    return [call for call in it.bastion.calls if isinstance(call, kind)]


async def write(it: Console, text: str) -> None:
    """What is written in the editor, whole."""
    await it.press("end", "ctrl+u")
    await it.pilot.press(*("space" if char == " " else char for char in text))
    await it.pilot.pause()


# --- e


async def test_edit_and_approve(console: Open) -> None:
    async with console(one()) as it:
        await it.press("e")
        assert "EDIT r-00000001" in it.screen
        await write(it, "systemctl reload nginx")
        assert it.bastion.votes == []
        await it.press("ctrl+s")
        await it.told("APPROVE THIS IN ITS PLACE? y = yes", "systemctl reload nginx", "yours is enough")
        await it.press("y")
        await it.told("counts: approved by ana")
        made = it.bastion.votes[-1][0]
        assert made != ONE
        assert it.bastion.requests[made].command == b"systemctl reload nginx"
        assert it.bastion.votes == [(made, Choice.APPROVE, "")]


async def test_letters_are_text_until_it_was_judged(console: Open) -> None:
    async with console(one()) as it:
        await it.press("e")
        await write(it, "yay exe")
        await it.pilot.pause()
        assert it.bastion.votes == []
        assert "APPROVE THIS" not in it.screen
        assert not calls(it, wire.TryEdit)
        await it.press("escape")
        assert "EDIT" not in it.screen
        assert it.bastion.votes == []


async def test_the_key_that_approves_waits_after_the_judgement(console: Open) -> None:
    async with console(one()) as it:
        await it.press("e")
        await write(it, "true")
        await it.press("ctrl+s")
        await it.told("y = yes")
        await it.press("y", after=0.3)
        assert it.bastion.votes == []
        await it.told("the screen had just changed")
        await it.press("y")
        await it.told("counts")


async def test_what_policy_denies_cannot_be_approved(console: Open) -> None:
    bastion = one()
    bastion.tried = msgspec.structs.replace(
        request("", command=b"wipe"), state="refused", decision_reason="wipe is \x1b[2Jnever run"
    )
    async with console(bastion) as it:
        await it.press("e")
        await write(it, "wipe")
        await it.press("ctrl+s")
        await it.told("wipe is ⟨ESC⟩[2Jnever run", "e edits on")
        await it.press("y")
        assert bastion.votes == []
        await it.press("e")
        await write(it, "x")
        assert "Ctrl-S has it judged" in it.screen


async def test_another_command_than_was_written_is_not_approved(console: Open) -> None:
    bastion = one()
    bastion.tried = request("", command=b"rm -rf /")
    async with console(bastion) as it:
        await it.press("e")
        await write(it, "true")
        await it.press("ctrl+s")
        await it.told("the bastion judged another command")
        await it.press("y")
        assert bastion.votes == []


async def test_other_terms_than_were_shown_are_not_approved(console: Open) -> None:
    """Policy changed between the judgement and the key: it stands at the desk, and somebody has to look."""
    bastion = one()
    bastion.tried = request("", command=b"true", tier="low", score=3)
    async with console(bastion) as it:
        await it.press("e")
        await write(it, "true")
        await it.press("ctrl+s")
        await it.told("3 low")
        await it.press("y")
        await it.told("judged otherwise than was shown")
        assert bastion.votes == []


async def test_a_request_that_ends_meanwhile_is_not_edited(console: Open) -> None:
    async with console(one()) as it:
        await it.press("e")
        await write(it, "true")
        await it.press("ctrl+s")
        await it.told("y = yes")
        it.bastion.change(ONE, state="denied", decided=NOW)
        await it.told("Esc closes: too late")
        await it.press("y")
        assert it.bastion.votes == []


@pytest.mark.parametrize(
    "fields",
    [
        {"command": b"ls \x1b[8m"},
        {"command": "ls \u202e".encode()},
        {"command": b"\xff"},
        {"kind": "stdin"},
        {"command": b"x" * 20_000},
    ],
)
async def test_what_an_editor_would_hide_is_not_edited(console: Open, fields: dict[str, object]) -> None:
    async with console(one(**fields)) as it:
        await it.press("e")
        assert "EDIT" not in it.screen
        with pytest.raises(ValueError, match=r"bastion request edit|only a command"):
            editable(request(**fields))


def test_text_and_bytes() -> None:
    assert command_of("a\nb\n\n") == b"a\nb"
    assert editable(request(command=b"a\n\tb")) == "a\n\tb"


# --- s and >


async def test_snooze_and_back(console: Open) -> None:
    async with console(one()) as it:
        await it.press("s")
        await it.told("is put aside for 30s, for you only", ">z")
        (call,) = calls(it, wire.SnoozeRequest)
        assert call.until == NOW + 30 * S  # type: ignore[attr-defined]
        await it.press("s")
        await it.told("is back")
        assert ">z" not in it.screen
        assert "TAMPERED" not in it.screen
        assert it.bastion.requests[ONE].state == "held"


async def test_what_is_nearly_over_is_not_put_aside(console: Open) -> None:
    async with console(Bastion([request(ONE, age=51)], [])) as it:
        await it.press("s")
        assert "too little time is left" in it.screen
        assert not calls(it, wire.SnoozeRequest)


async def test_escalate(console: Open) -> None:
    async with console(one()) as it:
        await it.press("greater_than_sign")
        assert "ASK OTHERS TO DECIDE" in it.screen
        await it.press("enter")
        assert "a few words" in it.screen
        await it.press(*"db", "enter")
        await it.told("others were asked to decide")
        (call,) = calls(it, wire.EscalateRequest)
        assert call.reason == "db"  # type: ignore[attr-defined]
        assert "TAMPERED" not in it.screen


# --- f


async def test_freeze_everything(console: Open) -> None:
    async with console(one()) as it:
        await it.press("f")
        assert "FREEZE EVERYTHING" in it.screen
        await it.press("enter")
        assert not calls(it, wire.SetFreeze)
        await it.press("tab")
        assert "END the 1 open session as well" in it.screen
        await it.press("tab", *"odd", "enter")
        await it.told("everything is frozen", "FROZEN: everything")
        (call,) = calls(it, wire.SetFreeze)
        assert (call.scope, call.reason, call.cut) == ("all", "odd", False)  # type: ignore[attr-defined]


async def test_a_freeze_of_somebody_else_is_said(console: Open) -> None:
    async with console(one()) as it:
        freeze = wire.FreezeInfo(
            id="f-1", scope="target", name="web-1\x1b", mode="hold", reason="", by="bob", since=NOW
        )
        it.bastion.push(wire.FreezesChanged(freezes=[freeze]))
        await it.told("FROZEN: web-1⟨ESC⟩")
        it.bastion.push(wire.FreezesChanged(freezes=[]))
        await it.until(lambda: "FROZEN" not in it.screen)


async def test_a_freeze_that_was_there_before_is_said(console: Open) -> None:
    bastion = one()
    bastion.freezes.append(
        wire.FreezeInfo(id="f-1", scope="all", name="", mode="refuse", reason="", by="bob", since=NOW)
    )
    async with console(bastion) as it:
        await it.told("FROZEN: everything")


async def test_a_channel_that_delivers_nothing_is_said_until_it_does(console: Open) -> None:
    async with console(one()) as it:
        channel = wire.ChannelInfo(
            name="phone\x1b", kind="ntfy", state="dead", sent=0, lost=3, queued=0, error="status 500", at=NOW
        )
        it.bastion.push(wire.ChannelsChanged(channels=[channel]))
        await it.told("NO NOTIFICATIONS: phone⟨ESC⟩")
        it.bastion.push(wire.ChannelsChanged(channels=[msgspec.structs.replace(channel, state="failing")]))
        await it.until(lambda: "NO NOTIFICATIONS" not in it.screen)


# --- who may not


@pytest.mark.parametrize("key", ["s", "greater_than_sign", "f", "x", "a", "d", "e", "A"])
async def test_an_auditor_does_nothing(console: Open, key: str) -> None:
    bastion = one()
    async with console(bastion, live=False) as it:
        await it.until(lambda: it.app.link.up)
        it.app.view.powerless = it.app.view.barred = "this console only shows: your role is auditor"
        await it.press("end", key)
        assert "your role is auditor" in it.screen
        assert bastion.votes == []
        kinds = (wire.SnoozeRequest, wire.EscalateRequest, wire.SetFreeze, wire.KillSession)
        assert not [call for call in bastion.calls if isinstance(call, kinds)]


@pytest.mark.parametrize("key", ["s", "greater_than_sign", "f", "x", "a", "d", "e", "A"])
async def test_nothing_is_done_without_a_connection(console: Open, key: str) -> None:
    bastion = one()
    async with console(bastion) as it:
        bastion.down = errors.Unreachable("gone")
        bastion.lose()
        await it.told("NOT CONNECTED")
        before = len(bastion.calls)
        await it.press(key)
        assert "not connected" in it.screen.lower()
        assert len(bastion.calls) == before
        assert bastion.votes == []


async def test_without_signatures_protecting_keys_still_work(console: Open) -> None:
    bastion = one()
    async with console(bastion) as it:
        it.app.view.barred = "no ssh-agent was forwarded"
        await it.press("a")
        assert "nothing was sent: no ssh-agent was forwarded" in it.screen
        await it.press("x")
        assert "END SESSION" in it.screen
        await it.press("y")
        await it.told("was ended")
        assert bastion.votes == []


# --- the window itself


async def test_a_resize_holds_keys_back(console: Open) -> None:
    """The rows are elsewhere: by a person, or by a tmux that somebody else attaches to."""
    async with console(one()) as it:
        await it.press("end")
        it.wait_seconds(5)
        await it.pilot.resize_terminal(100, 30)
        await it.press("a", after=0.3)
        assert it.bastion.votes == []
        await it.told("the screen had just changed")
        await it.press("a")
        await it.told("counts")


async def test_coming_back_to_the_window_holds_keys_back(console: Open) -> None:
    async with console(one()) as it:
        it.wait_seconds(5)
        it.app.post_message(events.AppBlur())
        it.app.post_message(events.AppFocus())
        await it.pilot.pause()
        await it.press("a", after=0.3)
        assert it.bastion.votes == []
        await it.press("a")
        await it.told("counts")


@pytest.mark.parametrize("size", [(20, 5), (39, 24), (80, 11)])
async def test_nothing_is_decided_where_it_cannot_be_read(console: Open, size: tuple[int, int]) -> None:
    async with console(one(), size=size) as it:
        before = len(it.bastion.calls)
        for key in ("a", "A", "d", "e", "f", "x", "s", "greater_than_sign"):
            await it.press("end", key, "y", "enter")
            assert len(it.app.screen_stack) == 2, key
        kinds = (wire.SnoozeRequest, wire.EscalateRequest, wire.SetFreeze, wire.KillSession, wire.TryEdit)
        assert not [call for call in it.bastion.calls[before:] if isinstance(call, kinds)]
        assert it.bastion.votes == []
        await it.pilot.resize_terminal(80, 24)
        await it.press("home", "a")
        await it.told("counts")


# --- without a signature, where policy accepts it


def bare(it: Console) -> None:
    it.app.view.barred, it.app.view.unsigned_way = "no ssh-agent was forwarded", "console"


async def test_what_policy_accepts_unsigned_takes_a_second_key(console: Open) -> None:
    async with console(one(tier="low", score=3, unsigned=["console"])) as it:
        bare(it)
        await it.press("a")
        assert "unsigned, recorded so: y = yes" in it.screen
        assert it.bastion.votes == []
        await it.press("y")
        await it.told("counts")
        assert it.bastion.votes == [(ONE, Choice.APPROVE, "")]


@pytest.mark.parametrize("fields", [{}, {"unsigned": ["slack"]}])
@pytest.mark.parametrize("key", ["a", "d"])
async def test_what_policy_does_not_accept_unsigned_is_refused(
    console: Open, fields: dict[str, object], key: str
) -> None:
    async with console(one(**fields)) as it:
        bare(it)
        await it.press(key, "y", "x", "enter")
        assert it.bastion.votes == []


@pytest.mark.parametrize("key", ["A", "e", "m"])
async def test_what_takes_a_signature_in_any_case(console: Open, key: str) -> None:
    async with console(one(unsigned=["console"], kind="line", sequence=1)) as it:
        bare(it)
        await it.press("end", key)
        await it.told("nothing was sent: no ssh-agent was forwarded")
        assert len(it.app.screen_stack) == 2


async def test_denying_unsigned_needs_its_reason(console: Open) -> None:
    async with console(one(unsigned=["console"])) as it:
        bare(it)
        await it.press("d", *"no", "enter")
        await it.told("counts: denied by ana: no")
