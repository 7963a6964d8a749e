"""What an agent wrote arrives as text and as nothing else, whichever channel carries it: the whole corpus, sent by the
real senders to real sinks (HTTP, SMTP, a session bus), and looked at as what shows it would.
"""

from __future__ import annotations

import email
import email.policy
import json
import re
import xml.etree.ElementTree as xml
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from linkify_it import LinkifyIt

from bastion.notify.news import DETAIL_WIDTH, News, of_request
from bastion.notify.sending import Permanent, make
from bastion.policy.visible import visible, visible_line
from tests.bastion.control.conftest import request_info
from tests.bastion.policy.test_visible import invert
from tests.spoofing.corpus import CASES, Case
from tests.support.desktop import Bus, Desktop
from tests.support.sinks import Mail, Web

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of what apprise imports

MARKUP = [
    b"<b>approved</b><img src=x onerror=alert(1)> &lt;b&gt; &#x202e;",
    b"<!here> <!channel> <@U0ANA> <https://evil.example|approve> <!subteam^S1>",
    b"[approve](https://evil.example) ![x](http://evil.example/x.png) **bold** `x` ~~y~~ # head",
    b"@channel @everyone mail ana@evil.example, call +49301234567 or tel:110, http://10.0.0.1:8080/x, www.evil.example",
    b"x\r\nSubject: approved\r\nBcc: all@evil.example\r\nContent-Type: text/html\r\n\r\n<b>y</b>",
    b"\r\n.\r\nQUIT\r\n",
    b'"}, "actions": [{"action": "http", "url": "https://evil.example"}], "click": "https://evil.example',
    b"</markup><a href='https://evil.example'>ok</a>",
    b"{{.message}} ${x} $(x) %s %n {0}",
]
"""Beside the corpus: what the channels' own markup would make something of."""

ALL = [*CASES, *(Case(f"markup-{number}", data, b"approved") for number, data in enumerate(MARKUP))]
SOME = [*ALL[::10], *ALL[-len(MARKUP) :]]
"""For what takes a quarter of a second each: some of every family."""
SETTINGS = {"url": "", "to": "", "token": "", "secret": "", "app_token": "", "detail": True}
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LINKS = LinkifyIt(options={"fuzzy_ip": True})
"""What turns text into links in a good many programs."""


def news_of(case: Case) -> News:
    return of_request(request_info(command=case.data, tier="medium", score=40), "held")


def is_all_of_it(shown: str, case: Case) -> None:
    """The visible form, with marks in what looked like an address, and nothing else; and nobody finds a link in it."""
    assert not LINKS.test(shown) or LINKS.match(shown) is None, shown
    assert not re.search(r"//|@|[A-Za-z0-9]\.[A-Za-z0-9]|\+[0-9]|:[0-9]", re.sub(r"⟨[^⟩]*⟩", "⟨⟩", shown)), shown
    is_it(re.sub(r"⟨(//|@|\.|\+|:)⟩", r"\1", shown), case)


def is_it(shown: str, case: Case) -> None:
    assert shown == visible_line(case.data, DETAIL_WIDTH)
    if shown == visible(case.data, newlines=False):
        assert invert(shown).encode("utf-8", "surrogateescape") == case.data


async def send(kind: str, cases: list[Case] = ALL, **settings: Any) -> None:
    sender = make({**SETTINGS, "name": "x", "kind": kind, **settings})
    for case in cases:
        await sender.send(news_of(case), f"msg_{case.name}")


def keys(value: object) -> set[str]:
    """Every key in a JSON value."""
    if isinstance(value, dict):
        return set(value) | {name for each in value.values() for name in keys(each)}
    return {name for each in value for name in keys(each)} if isinstance(value, list) else set()


async def test_webhook() -> None:
    with Web() as web:
        await send("webhook", url=web.url, secret=SECRET)
    for case, got in zip(ALL, web.got, strict=True):
        said = json.loads(got.body)
        assert got.headers["webhook-id"] == f"msg_{case.name}"
        is_it(said["data"]["detail"], case)


async def test_ntfy() -> None:
    with Web() as web:
        await send("ntfy", url=web.url, to="ops")
    for case, got in zip(ALL, web.got, strict=True):
        said = json.loads(got.body)
        assert set(said) == {"topic", "title", "message", "priority", "tags", "markdown"}  # no actions, click, attach
        assert (said["topic"], said["markdown"], got.path) == ("ops", False, "/")
        assert not {"actions", "x-actions", "click", "markdown", "x-markdown", "tags", "title"} & set(got.headers)
        brief, _, detail = said["message"].partition("\n")
        assert case.data.decode("latin-1") not in brief
        is_all_of_it(detail, case)


@pytest.mark.parametrize("token", ["", "xoxb-1"])
async def test_slack(token: str) -> None:
    with Web(reply=lambda _: b'{"ok": true}') as web:
        await send("slack", url=web.url, token=token, to="#ops")
    for case, got in zip(ALL, web.got, strict=True):
        said = json.loads(got.body)
        # nothing that Slack parses: no mrkdwn, link, user, broadcast, attachment or second message
        assert keys(said) <= {
            "text", "blocks", "unfurl_links", "unfurl_media", "link_names", "parse", "channel", "type", "elements",
            "emoji",
        }  # fmt: skip
        header, rich = said["blocks"]
        assert (header["text"]["type"], rich["type"]) == ("plain_text", "rich_text")
        kinds = {piece["type"] for element in rich["elements"] for piece in element["elements"]}
        assert kinds == {"text"}
        is_it(rich["elements"][1]["elements"][0]["text"], case)
        assert not re.search(r"[<>*_~`]", re.sub(r"⟨[^⟩]*⟩", "", said["text"]))
        assert LINKS.match(said["text"]) is None


async def test_mail() -> None:
    with Mail() as mail:
        url = f"mailto://127.0.0.1:{mail.port}/?from=bastion@bastion.example&to=oncall@bastion.example&mode=insecure"
        await send("email", SOME, url=url)
    for case, data in zip(SOME, mail.got, strict=True):
        message = email.message_from_bytes(data, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        assert [part.get_content_type() for part in message.walk()] == ["text/plain"]
        assert message["subject"] == "bastion: waiting for a decision"
        assert [each.addr_spec for each in message["to"].addresses] == ["oncall@bastion.example"]
        assert (message["cc"], message["bcc"], len(message.get_all("subject") or [])) == (None, None, 1)
        _, detail, _ = message.get_content().replace("\r\n", "\n").split("\n\n")
        is_all_of_it(detail, case)


@pytest.mark.parametrize("url", ["mailto://u:p@h.example?format=html", "mailto://u:p@h.example, json://h.example"])
def test_mail_that_could_be_markup_is_not_sent(url: str) -> None:
    with pytest.raises(Permanent, match=r"plain text|one address"):
        make({**SETTINGS, "name": "x", "kind": "email", "url": url})


@pytest.mark.parametrize("abilities", [("body", "body-markup", "body-hyperlinks", "actions"), ("body",), ()])
async def test_desktop(tmp_path: Path, abilities: tuple[str, ...]) -> None:
    with Bus(tmp_path) as bus, Desktop(bus, abilities=abilities) as desktop:
        await send("desktop", url=bus.address)
    for case, got in zip(ALL, desktop.got, strict=True):
        assert (got.application, got.replaces, got.icon, got.actions) == ("agent-bastion", 0, "", [])
        assert (got.summary, got.hints) == ("bastion: waiting for a decision", {"urgency": 2})
        body = got.body
        if "body-markup" in abilities:
            parsed = xml.fromstring(f"<markup>{body}</markup>")  # noqa: S314 -- made here
            assert not list(parsed), "an element"
            body = parsed.text or ""
        brief, _, detail = body.partition("\n")
        assert LINKS.match(brief) is None
        is_all_of_it(detail, case)


@pytest.mark.parametrize("scheme", ["json", "ntfy", "xml"])
async def test_apprise_gets_no_word_of_an_agent(scheme: str) -> None:
    with Web(reply=lambda _: b"{}") as web:
        target = web.url.removeprefix("http://") + ("/ops" if scheme == "ntfy" else "/x")
        sender = make({**SETTINGS, "name": "x", "kind": "apprise", "url": f"{scheme}://{target}"})
        await sender.send(news_of(ALL[0]), "msg_1")
        await sender.send(news_of(ALL[-1]), "msg_2")
    first, second = [got.body for got in web.got]
    assert first == second  # of two commands
    assert b"waiting for a decision" in first
    if scheme == "json":
        said = json.loads(first)
        assert (said["title"], " at web-1 (production)" in said["message"]) == ("bastion: waiting for a decision", True)
