"""What an agent wrote stays text, whatever takes the message."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.control.wire import Alert
from bastion.notify import payloads
from bastion.notify.news import BRIEF_WIDTH, DETAIL_WIDTH, KINDS, News, of_alert, of_request, plain
from bastion.policy.visible import visible_line
from tests.bastion.control.conftest import request_info

HOSTILE = [
    "<!here> <!channel> <@U123> <https://evil.example|click> &lt;",
    "*bold* _it_ ~s~ `code` ```",
    "@here @channel @everyone",
    "https://evil.example/x www.evil.example mail me@evil.example",
    "x\r\nBcc: all@evil.example\r\n\r\nbody",
    "\x1b]8;;https://evil.example\x07click\x1b]8;;\x07",
    "\u202egpj.exe \u200b\u2066",
    "[link](https://evil.example) ![i](https://evil.example/i.png)",
    "<b>b</b><img src=x onerror=alert(1)>",
    ":rotating_light: \\u0041",
]


def news_of(command: str, **changes: object) -> News:
    return of_request(
        request_info(command=command.encode("utf-8", "surrogatepass"), tier="medium", score=46, **changes), "held"
    )


def texts(value: object) -> list[str]:
    """Every text in a JSON value."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for each in value.values() for text in texts(each)]
    return [text for each in value for text in texts(each)] if isinstance(value, list) else []


@pytest.mark.parametrize("command", HOSTILE)
def test_slack_gets_it_as_text_only(command: str) -> None:
    message = payloads.slack(news_of(command), buttons=True)
    (rich,) = [block for block in message["blocks"] if block["type"] == "rich_text"]
    for element in rich["elements"]:
        for piece in element["elements"]:
            assert set(piece) == {"type", "text"}
            assert piece["type"] == "text"  # never link, user, channel, broadcast, emoji
    assert rich["elements"][1] == {
        "type": "rich_text_preformatted",
        "elements": [{"type": "text", "text": visible_line(command.encode("utf-8", "surrogatepass"), DETAIL_WIDTH)}],
    }
    assert "mrkdwn" not in texts(message)
    assert not re.search(r"[<>@]|&(?!amp;|lt;|gt;)", message["text"].replace("⟨@⟩", ""))
    assert (message["link_names"], message["parse"], message["unfurl_links"]) == (False, "none", False)


@pytest.mark.parametrize("command", HOSTILE)
def test_phones_and_mail_programs_find_no_link(command: str) -> None:
    ntfy = json.loads(payloads.ntfy(news_of(command), "ops"))
    subject, body = payloads.mail(news_of(command))
    assert ntfy["markdown"] is False
    for text in (ntfy["title"], ntfy["message"], subject, body.rpartition("\n\n")[0]):
        assert not re.search(r"//|[A-Za-z0-9]\.[A-Za-z0-9]|@", re.sub(r"⟨[^⟩]*⟩", "⟨⟩", text)), text
        assert "\r" not in text
    assert "\n" not in subject
    assert len(subject) <= payloads.SUBJECT_WIDTH


@given(st.text() | st.sampled_from(HOSTILE))
def test_defanging_loses_nothing(text: str) -> None:
    """Taking the marks out gives the visible form back: what is seen is still one text only."""
    shown = visible_line(text, 10_000)
    assert re.sub(r"⟨(//|@|\.|\+|:)⟩", r"\1", payloads.defang(shown)) == shown


@given(st.text())
def test_every_payload_is_ascii_json_and_bounded(command: str) -> None:
    news = news_of(command * 50)
    for body in (payloads.webhook(news, "msg_1"), payloads.ntfy(news, "t"), json.dumps(payloads.slack(news)).encode()):
        assert body.isascii()
        assert len(body) < 12_000
        json.loads(body)


def test_a_brief_holds_nothing_that_an_agent_wrote() -> None:
    news = news_of("SECRETWORD")
    assert "SECRETWORD" not in news.brief
    assert plain("a*b<c>\n" + "x" * 999) == ("a?b?c??" + "x" * 999)[:BRIEF_WIDTH]
    assert payloads.brief(news)[1].isascii()
    assert "@" not in payloads.brief(news)[1]


def test_alerts_that_are_news() -> None:
    news = of_alert(Alert(kind="request.escalated", text="r-0123abcd goes to group boss: \x1b[31m", at=7))
    assert news is not None
    assert (news.kind, news.request, news.brief) == ("escalated", "r-0123abcd", "escalated: r-0123abcd")
    assert news.detail == "r-0123abcd goes to group boss: ⟨ESC⟩[31m"
    assert of_alert(Alert(kind="nothing.known", text="", at=0)) is None


def test_what_is_told_once_only() -> None:
    """Its key is of what the bastion says; what people wrote behind it neither makes nor changes one."""

    def key(kind: str, text: str) -> str:
        news = of_alert(Alert(kind=kind, text=text, at=7))
        assert news is not None
        return news.key

    timed = key("request.escalated", "r-0123abcd goes to group boss: nobody decided in time")
    assert timed == key("request.escalated", "r-0123abcd goes to group boss: ana asks, hurry")
    assert timed != key("request.escalated", "r-0123abcd goes to group second: nobody decided in time")
    assert (
        key("request.escalated", "r-0123abcd needs somebody to decide: ana asks, r-0123abcd goes to group boss") == ""
    )
    assert key("request.expired", "r-0123abcd is denied: nobody decided in time") == "expired r-0123abcd"
    assert key("freeze.set", "everything is frozen (refuse): r-0123abcd") == ""


def test_every_event_has_words() -> None:
    from bastion.outlets import EVENTS

    assert {*EVENTS, "more", "answer", "test"} == set(KINDS)
