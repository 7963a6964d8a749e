"""Desktop notifications, on a real session bus."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from bastion.clock import Clock
from bastion.errors import UsageError
from bastion.notify import desktop as sender
from bastion.notify.desktop import DesktopError, session_bus, show
from bastion.notify.news import News
from bastion.notify.notifier import Notifier
from bastion.notify.sending import Permanent, make
from bastion.outlets import Outlet
from tests.bastion.notify.test_sending import NEWS, notifier
from tests.support.desktop import Bus, Desktop
from tests.support.ports import until


async def test_a_desktop_that_goes_and_comes_again(tmp_path: Path) -> None:
    """Through the worker. The bus ends with its session, and another one is there at the next login."""
    address = f"unix:path={tmp_path / 'bus'}"
    async with notifier(tmp_path, Outlet("desk", "desktop", url=address)) as made:
        with Bus(tmp_path), Desktop(Bus(tmp_path), abilities=("body", "body-markup")) as shown:
            made.tell(NEWS)
            await until(lambda: made.infos()[0].sent == 1, "it is shown")
        (bubble,) = shown.got
        assert (bubble.summary, bubble.hints) == ("bastion: waiting for a decision", {"urgency": 2})
        assert bubble.body.endswith("\nrm ⟨ESC⟩ x")
        for _ in range(3):
            made.tell(NEWS)
        await until(lambda: made.infos()[0].state == "dead", "nobody is there")
        assert made.infos()[0].error.startswith("cannot reach the bus")
        (tmp_path / "bus").unlink()
        with Bus(tmp_path), Desktop(Bus(tmp_path)) as shown:
            made.tell(NEWS)
            await until(lambda: made.infos()[0].state == "ok", "it is there again")
        assert len(shown.got) == 1


@pytest.mark.parametrize("detail", [True, False])
async def test_what_is_not_urgent_and_without_detail(tmp_path: Path, detail: bool) -> None:
    with Bus(tmp_path) as bus, Desktop(bus) as shown:
        await show(News("freeze", "freeze", "because <b>" if detail else ""), bus.address)
    (bubble,) = shown.got
    assert (bubble.body, bubble.hints) == ("freeze\nbecause <b>" if detail else "freeze", {"urgency": 1})


async def test_what_goes_wrong_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "SECONDS", 0.3)
    with pytest.raises(DesktopError, match="cannot reach the bus"):
        await show(NEWS, f"unix:path={tmp_path / 'bus'}")
    with pytest.raises(DesktopError, match="no session bus"):
        await show(NEWS, "unix:nonsense")
    with Bus(tmp_path) as bus:
        with pytest.raises(DesktopError, match=r"the bus says .*(ServiceUnknown|NameHasNoOwner)"):
            await show(NEWS, bus.address)
        with Desktop(bus, refuse="org.example.Error.Full"), pytest.raises(DesktopError, match=r"says org.example"):
            await show(NEWS, bus.address)
        with Desktop(bus, silent=True), pytest.raises(DesktopError, match=r"no answer within 0.3 s"):
            await show(NEWS, bus.address)


def test_where_the_bus_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    assert session_bus() == "unix:path=/run/user/7/bus"
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:abstract=/tmp/x,guid=1")
    assert session_bus() == "unix:abstract=/tmp/x,guid=1"
    assert session_bus("unix:path=/x") == "unix:path=/x"
    for wrong in ("tcp:host=evil.example,port=1", "dbus://", "unixexec:path=/bin/sh"):
        with pytest.raises(UsageError, match=r"address of D-Bus"):
            Notifier([Outlet("desk", "desktop", url=wrong)], tmp_path, Clock())
    monkeypatch.setattr(sender, "find_spec", lambda _: None)
    with pytest.raises(Permanent, match=r"agent-bastion\[notify\]"):
        make({"name": "desk", "kind": "desktop", "url": ""})


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # jeepney leaves the socket to be found
async def test_a_bus_that_hangs_up(tmp_path: Path) -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read(10)
            writer.write(b"REJECTED EXTERNAL\r\n")
            writer.close()

    async with await asyncio.start_unix_server(hang_up, tmp_path / "bus"):
        with pytest.raises(DesktopError, match=r"does not take this account|closed the connection"):
            await show(NEWS, f"unix:path={tmp_path / 'bus'}")
