"""How each kind of channel sends one piece of news. In the worker's process; nothing here knows of the daemon.

A sender is made of plain values (what the daemon read out of the configuration and its files) and has one coroutine,
`send`, which raises Temporary for what is worth another attempt and Permanent for what is not.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

from bastion.notify import desktop, payloads, signing
from bastion.notify.news import News
from bastion.notify.post import Address, Answer, PostError, address, post

APPRISE_SECONDS = 30.0
"""For a library of which nobody knows how long it takes: mail servers may take half a minute to say 220."""

SLACK_API = "https://slack.com/api/"


class Temporary(Exception):
    """Not delivered; another attempt may do it. `wait`: seconds that the other end asks for."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


class Permanent(Exception):
    """Not delivered, and no attempt with the same settings will do it."""


class Sender(Protocol):
    """One channel."""

    async def send(self, news: News, message: str) -> None:
        """Deliver; `message` is an id that stays over all attempts. Raises Temporary, Permanent."""


def make(settings: dict[str, Any]) -> Sender:
    """The sender for the settings of one channel. Raises Permanent: it can never send."""
    try:
        return _MAKE[settings["kind"]](settings)
    except (ValueError, KeyError) as error:
        raise Permanent(str(error)) from None


class Webhook:
    """A signed POST; see signing.py."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._where, self._key = address(settings["url"]), signing.parse_secret(settings["secret"])
        self._detail = settings["detail"]

    async def send(self, news: News, message: str) -> None:
        """Sender"""
        body = payloads.webhook(news, message)
        headers = {"Content-Type": "application/json", **signing.sign(self._key, message, int(time.time()), body)}
        await _delivered(self._where, body, headers)


class Ntfy:
    """A publication on a topic."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._where, self._topic, self._token = address(settings["url"]), settings["to"], settings["token"]

    async def send(self, news: News, message: str) -> None:
        """Sender"""
        headers = {"Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        await _delivered(self._where, payloads.ntfy(news, self._topic), headers)


class Slack:
    """An incoming webhook, or `chat.postMessage` of the web API, which says in JSON whether it worked."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._token, self._to = settings["token"], settings["to"]
        base = settings["url"] or SLACK_API
        self._where = address(base.rstrip("/") + "/chat.postMessage" if self._token else base)
        self._buttons = bool(settings["app_token"])
        if self._buttons and find_spec("slack_sdk") is None:
            raise ValueError("slack-sdk is missing: install agent-bastion[slack]")

    async def send(self, news: News, message: str) -> None:
        """Sender"""
        headers = {"Content-Type": "application/json; charset=utf-8"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        body = json.dumps(payloads.slack(news, self._to if self._token else "", buttons=self._buttons)).encode()
        answer = await _delivered(self._where, body, headers)
        if self._token:
            _check_slack(answer)


def _check_slack(answer: Answer) -> None:
    try:
        said = json.loads(answer.body)
        good = isinstance(said, dict) and said.get("ok") is True
        why = str(said.get("error", "no reason"))[:100] if isinstance(said, dict) else "another form"
    except ValueError:
        good, why = False, "no JSON"
    if not good:
        raise Permanent(f"Slack refused: {why}")


class Apprise:
    """Any service of the library apprise. `brief`: nobody knows what it makes of text."""

    def __init__(self, settings: dict[str, Any]) -> None:
        try:
            import apprise
        except ImportError:
            raise Permanent("apprise is missing: install agent-bastion[notify]") from None
        asset = apprise.AppriseAsset(
            app_id=payloads.PRODUCT,
            app_desc="",
            app_url="",
            interpret_escapes=False,
            interpret_emojis=False,
            async_mode=False,
            plugin_paths=[],
        )
        url = settings["url"]
        if settings["kind"] == "email" and not url.startswith(("mailto://", "mailtos://")):
            raise Permanent("an e-mail channel's address is mailto://... or mailtos://...")
        if settings["kind"] == "email" and parse_qs(urlsplit(url).query).get("format", ["text"]) != ["text"]:
            raise Permanent("an e-mail channel sends plain text: no format=html")  # in which text could be markup
        self._apprise = apprise.Apprise(asset=asset)
        if not self._apprise.add(url):
            raise Permanent("apprise does not know this address")
        if settings["kind"] == "email" and len(self._apprise) != 1:
            raise Permanent("an e-mail channel has one address")  # apprise takes several, of any kind
        for service in self._apprise:
            service.request_rate_per_sec = 0  # how much goes out is the daemon's to say (notifier.MOST_A_MINUTE)
        self._format = apprise.NotifyFormat.TEXT
        self._mail = settings["kind"] == "email"
        self._busy = False

    async def send(self, news: News, message: str) -> None:
        """Sender"""
        if self._busy:
            raise Temporary("the last one is still on its way")
        title, body = payloads.mail(news) if self._mail else payloads.brief(news)
        self._busy = True
        work = asyncio.get_running_loop().run_in_executor(None, self._notify, title, body)
        try:
            async with asyncio.timeout(APPRISE_SECONDS):
                good = await asyncio.shield(work)
        except TimeoutError:
            raise Temporary(f"not sent within {APPRISE_SECONDS:g} s") from None
        if not good:
            raise Temporary("apprise could not deliver it")

    def _notify(self, title: str, body: str) -> bool:
        try:
            return bool(self._apprise.notify(body=body, title=title, body_format=self._format))
        finally:
            self._busy = False


class Desktop:
    """A bubble on the desktop of whoever runs the bastion; see desktop.py."""

    def __init__(self, settings: dict[str, Any]) -> None:
        desktop.check_installed()
        self._bus = desktop.session_bus(settings["url"])

    async def send(self, news: News, message: str) -> None:
        """Sender"""
        try:
            await desktop.show(news, self._bus)
        except desktop.DesktopError as error:
            raise Temporary(str(error)) from None


async def _delivered(where: Address, body: bytes, headers: dict[str, str]) -> Answer:
    """Raises Temporary, Permanent."""
    try:
        answer = await post(where, body, headers)
    except PostError as error:
        raise Temporary(str(error)) from None
    if 200 <= answer.status < 300:
        return answer
    if 300 <= answer.status < 400:
        raise Permanent(f"status {answer.status}: it sends elsewhere, and redirects are not followed")
    if answer.status in (408, 425, 429) or answer.status >= 500:
        raise Temporary(f"status {answer.status}", answer.retry_after)
    raise Permanent(f"status {answer.status}")


_MAKE: dict[str, Callable[[dict[str, Any]], Sender]] = {
    "webhook": Webhook,
    "slack": Slack,
    "ntfy": Ntfy,
    "email": Apprise,
    "desktop": Desktop,
    "apprise": Apprise,
}
