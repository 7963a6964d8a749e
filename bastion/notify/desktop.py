"""Desktop notifications: org.freedesktop.Notifications on the session bus (Desktop Notifications Specification 1.2).

Theory of operation. One connection a message: a desktop session ends and begins again, and a bus that is gone must not
be remembered. The server is asked first what it can do: only one that says `body-markup` gets the body as markup, with
every character that means something there escaped (payloads.desktop); any other one shows text as it is. No actions, no
links, no icons, no sounds: a bubble is an invitation to look.

The bus takes whoever has the account that the desktop runs as, so this is for a bastion on a person's own machine; who
works elsewhere has `bastion request watch --desktop`, which runs on theirs.
"""

from __future__ import annotations

import asyncio
import os
from importlib.util import find_spec
from typing import Any

from bastion.notify import payloads
from bastion.notify.news import News

SECONDS = 10.0
"""For all of it. A server that has to be started first (D-Bus activation) takes a second or two."""

NORMAL, CRITICAL = 1, 2
"""Urgency levels; bubbles of the second stay until somebody closes them."""

PLACE = "/org/freedesktop/Notifications"
NAME = "org.freedesktop.Notifications"


class DesktopError(Exception):
    """It did not get there."""


def session_bus(url: str = "") -> str:
    """The address of the bus: `url`, else that of this process's session. Raises ValueError for one that is none."""
    runtime = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    found = url or os.environ.get("DBUS_SESSION_BUS_ADDRESS") or f"unix:path={runtime}/bus"
    if not found.startswith(("unix:path=", "unix:abstract=")):
        raise ValueError("a desktop's url is an address of D-Bus: unix:path=/run/user/1000/bus")
    return found


def check_installed() -> None:
    """Raises ValueError."""
    if find_spec("jeepney") is None:
        raise ValueError("jeepney is missing: install agent-bastion[notify]")


async def show(news: News, bus: str) -> None:
    """Show it on the desktop whose session bus that is. Raises DesktopError."""
    from jeepney import DBusErrorResponse
    from jeepney.auth import AuthenticationError
    from jeepney.io.common import RouterClosed

    try:
        async with asyncio.timeout(SECONDS):
            await _show(news, bus)
    except TimeoutError:
        raise DesktopError(f"no answer within {SECONDS:g} s") from None
    except DBusErrorResponse as error:
        raise DesktopError(f"the bus says {error.name}"[:200]) from None
    except AuthenticationError:
        raise DesktopError("the bus does not take this account") from None
    except (OSError, EOFError) as error:
        raise DesktopError(
            f"cannot reach the bus: {getattr(error, 'strerror', '') or 'it closed the connection'}"
        ) from None
    except (ValueError, RuntimeError, RouterClosed, TypeError, KeyError) as error:
        raise DesktopError(f"no session bus: {error}"[:200]) from None


async def _show(news: News, bus: str) -> None:
    from jeepney import DBusAddress, new_method_call
    from jeepney.io.asyncio import open_dbus_router
    from jeepney.wrappers import unwrap_msg

    server = DBusAddress(PLACE, bus_name=NAME, interface=NAME)
    async with open_dbus_router(bus=bus) as router:
        (abilities,) = unwrap_msg(await router.send_and_get_reply(new_method_call(server, "GetCapabilities")))
        title, body = payloads.desktop(news, markup="body-markup" in abilities)
        hints: dict[str, Any] = {"urgency": ("y", CRITICAL if news.urgent else NORMAL)}
        # name, what it replaces, icon, title, body, actions, hints, how long it stays: as the server likes
        call = new_method_call(server, "Notify", "susssasa{sv}i", (payloads.PRODUCT, 0, "", title, body, [], hints, -1))
        unwrap_msg(await router.send_and_get_reply(call))
