"""Buttons in Slack: Socket Mode, in the worker's process. Nothing listens: the worker connects to Slack.

Theory of operation. slack-sdk keeps a websocket to Slack open, with the app-level token, and calls `press` in a thread
of its own for each interaction. Each is acknowledged at once, whatever becomes of it, as Slack wants it within 3 s.
What is handed on is who pressed which of our two buttons with which value; whether it counts is the daemon's matter
(control/pressing.py). Nothing else that Slack sends means anything here.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from typing import Any

CHOICES = ("approve", "deny")
"""Action ids of payloads.slack."""

VALUE = re.compile(r"(r-[0-9a-f]{8}) ([0-9a-f]{64})")
"""Request and digest, as the button carries them."""

RETRY_SECONDS = 10.0
"""Between attempts to connect for the first time; later ones are slack-sdk's."""

Press = Callable[[dict[str, Any]], None]


def pressed(payload: dict[str, Any], channel: str) -> dict[str, str] | None:
    """One press of one of our buttons, out of an interaction of Slack; None for anything else. Never raises."""
    try:
        (action,) = payload["actions"]
        user, choice, value = payload["user"]["id"], action["action_id"], action["value"]
        found = VALUE.fullmatch(value)
        if payload["type"] != "block_actions" or choice not in CHOICES or found is None or not isinstance(user, str):
            return None
    except (KeyError, TypeError, ValueError):
        return None
    return {"channel": channel, "user": user[:64], "choice": choice, "request": found[1], "digest": found[2]}


def listen(settings: dict[str, Any], press: Press) -> None:
    """Listen for ever, in a thread that ends with the process."""
    thread = threading.Thread(target=_listen, args=(settings, press), name=f"slack {settings['name']}", daemon=True)
    thread.start()


def _listen(settings: dict[str, Any], press: Press) -> None:
    from slack_sdk.socket_mode import SocketModeClient
    from slack_sdk.socket_mode.client import BaseSocketModeClient
    from slack_sdk.socket_mode.request import SocketModeRequest
    from slack_sdk.socket_mode.response import SocketModeResponse
    from slack_sdk.web import WebClient

    logging.getLogger("slack_sdk").setLevel(logging.CRITICAL)
    base = {"base_url": settings["url"]} if settings["url"] else {}
    web = WebClient(token=settings["token"], timeout=10, **base)
    client = SocketModeClient(app_token=settings["app_token"], web_client=web, concurrency=2)

    def heard(_: BaseSocketModeClient, request: SocketModeRequest) -> None:
        client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))
        if request.type == "interactive":
            found = pressed(request.payload, settings["name"])
            if found is not None:
                press(found)

    client.socket_mode_request_listeners.append(heard)
    while True:
        try:
            client.connect()
        except Exception:  # noqa: BLE001 -- a library and a network at work: it is tried again
            time.sleep(RETRY_SECONDS * settings["pace"])
        else:
            return
