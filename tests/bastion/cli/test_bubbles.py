"""An approver's own desktop: what is shown there of what a bastion pushes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from bastion.cli.bubbles import WAITING, Bubbles, showing
from bastion.control import wire
from bastion.errors import UsageError
from bastion.notify import desktop as sender
from tests.bastion.control.conftest import request_info
from tests.support.desktop import Bus, Desktop
from tests.support.ports import until


def held(name: str, **changes: object) -> wire.RequestChanged:
    return wire.RequestChanged(request=request_info(id=name, state="held", **changes))


async def test_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Bus(tmp_path) as bus, Desktop(bus) as desktop:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus.address)
        async with showing(wanted=True) as bubbles:
            assert bubbles is not None
            bubbles.hear(held("r-00000001"))
            bubbles.hear(held("r-00000001", attached=True))  # a change, no other request
            bubbles.hear(held("r-00000002"))
            bubbles.hear(wire.RequestChanged(request=request_info(id="r-00000002", state="approved")))  # never shown
            bubbles.hear(wire.Alert(kind="freeze.set", text="everything is frozen: \x1b[31m", at=1))
            bubbles.hear(wire.Alert(kind="identity.revoked", text="no news for channels", at=1))
            bubbles.hear(wire.PresenceChanged(people=[]))
            await until(lambda: len(desktop.got) >= 2, "they are shown")
            for number in range(WAITING + 5):
                bubbles.hear(held(f"r-1000000{number:x}"))
            await until(lambda: any(each.body.startswith("5 more") for each in desktop.got), "the rest is counted")
    assert [("r-00000001" in each.body, each.summary) for each in desktop.got[:2]] == [
        (True, "bastion: waiting for a decision"),
        (False, "bastion: freeze"),
    ]
    assert desktop.got[1].body.endswith("everything is frozen: ⟨ESC⟩[31m")
    assert len(desktop.got) == 2 + WAITING + 1


async def test_no_desktop_is_said_once_and_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={tmp_path / 'bus'}")
    async with showing(wanted=True) as bubbles:
        assert bubbles is not None
        for number in range(3):
            bubbles.hear(held(f"r-0000000{number}"))
        await until(lambda: not bubbles._queue, "all were tried")
        await asyncio.sleep(0)
    assert capsys.readouterr().err.count("nothing is shown on the desktop: cannot reach the bus") == 1


async def test_where_there_can_be_none(monkeypatch: pytest.MonkeyPatch) -> None:
    async with showing(wanted=False) as bubbles:
        assert bubbles is None
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "tcp:host=x")
    with pytest.raises(UsageError, match="no desktop"):
        Bubbles()
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS")
    monkeypatch.setattr(sender, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match="jeepney is missing"):
        Bubbles()
