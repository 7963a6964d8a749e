"""News as each kind of channel takes it. Pure.

Theory of operation. What an agent wrote must not become anything but text: no mention, link, markup, header or second
line of a subject. News comes in visible form, which is printable ASCII and the four marks of policy.visible, so control
characters and line breaks are gone before this file. What is left is each channel's own markup:

    webhook   JSON: nothing is markup
    slack     Block Kit; text of others only in `rich_text_preformatted` elements, whose text is not parsed, and in the
              fallback `text` with & < > escaped as Slack asks, links defanged, `link_names` and `parse` off
    ntfy      JSON, `markdown` false; phones make links of what looks like one, so it is defanged
    email     plain text through apprise; mail programs make links, so it is defanged
    desktop   a server that takes markup (`body-markup`) gets & < > escaped, any other one text; desktops make links of
              what looks like one, so it is defanged
    apprise   the brief only: it could be any of a hundred services

`defang` puts a mark into what programs take for an address: `https:⟨//⟩evil⟨.⟩example`. The marks are of the visible
form, where their brackets cannot come from anybody else, so the text can still be told from every other.
"""

from __future__ import annotations

import json
import re
from typing import Any

from bastion.notify.news import News
from bastion.policy.visible import CLOSE, OPEN

SUBJECT_WIDTH = 120
"""Characters of a title: mail programs and phones show fewer."""

PRODUCT = "agent-bastion"

_LINKS = re.compile(r"(?P<mark>⟨[^⟩]*⟩)|//|@|(?<=[A-Za-z0-9])\.(?=[A-Za-z0-9])|(?<=\w)\.(?=/)|\+(?=[0-9])|:(?=[0-9])")


def defang(text: str) -> str:
    """Nothing in it looks like an address of the web, of mail or of a telephone."""
    return _LINKS.sub(lambda match: match["mark"] or f"{OPEN}{match[0]}{CLOSE}", text)


def title(news: News) -> str:
    """One short line, defanged; printable ASCII but for the marks."""
    return f"bastion: {news.title}"[:SUBJECT_WIDTH]


def webhook(news: News, message: str) -> bytes:
    """The body of a webhook: an event in the form that Standard Webhooks suggests, `type`, `timestamp`, `data`."""
    data: dict[str, Any] = {
        "id": message,
        "title": news.title,
        "brief": news.brief,
        "detail": news.detail,
        "urgent": news.urgent,
        "request": news.request,
        "digest": news.digest,
        "identity": news.identity,
        "target": news.target,
        "tier": news.tier,
        "score": news.score,
    }
    return json.dumps({"type": f"bastion.{news.kind}", "timestamp": news.at, "data": data}).encode()


def ntfy(news: News, topic: str) -> bytes:
    """The body of a publication as JSON (docs.ntfy.sh/publish, Publish as JSON)."""
    message = defang(news.brief) + (f"\n{defang(news.detail)}" if news.detail else "")
    fields = {
        "topic": topic,
        "title": title(news),
        "message": message,
        "priority": 4 if news.urgent else 3,
        "tags": [PRODUCT, news.kind],
        "markdown": False,
    }
    return json.dumps(fields).encode()


def slack(news: News, channel: str = "", *, buttons: bool = False) -> dict[str, Any]:
    """A message of Slack. `buttons`: somebody listens for them, and policy lets them count."""
    lines = [{"type": "rich_text_section", "elements": [{"type": "text", "text": news.brief}]}]
    if news.detail:
        lines.append({"type": "rich_text_preformatted", "elements": [{"type": "text", "text": news.detail}]})
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": title(news), "emoji": False}},
        {"type": "rich_text", "elements": lines},
    ]
    if buttons and news.buttons:
        value = f"{news.request} {news.digest}"
        blocks.append(
            {
                "type": "actions",
                "block_id": f"decide {news.request}",
                "elements": [
                    _button("approve", "Approve (unsigned)", value, "primary"),
                    _button("deny", "Deny", value, "danger"),
                ],
            }
        )
    message: dict[str, Any] = {
        "text": escape_slack(defang(f"{title(news)}: {news.brief}")),
        "blocks": blocks,
        "unfurl_links": False,
        "unfurl_media": False,
        "link_names": False,
        "parse": "none",
    }
    return {"channel": channel, **message} if channel else message


def _button(action: str, label: str, value: str, style: str) -> dict[str, Any]:
    text = {"type": "plain_text", "text": label, "emoji": False}
    return {"type": "button", "action_id": action, "text": text, "value": value, "style": style}


def escape_slack(text: str) -> str:
    """For mrkdwn: the three characters that Slack takes for control sequences (docs.slack.dev, Formatting message
    text), and what it takes for emphasis."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"[*_~`]", lambda match: f"{OPEN}{match[0]}{CLOSE}", text)


def mail(news: News) -> tuple[str, str]:
    """(subject, body). One line each but for the body's own breaks."""
    body = [defang(news.brief)]
    if news.detail:
        body += ["", defang(news.detail)]
    body += ["", "Decide with `bastion tui` or `bastion request show " + (news.request or "ID") + "`."]
    return title(news), "\n".join(body)


def desktop(news: News, *, markup: bool) -> tuple[str, str]:
    """(summary, body) of a desktop notification. `markup`: the server takes the body for markup (Desktop Notifications
    Specification, Markup)."""
    body = "\n".join(defang(text) for text in (news.brief, news.detail) if text)
    if markup:
        body = body.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return title(news), body


def brief(news: News) -> tuple[str, str]:
    """(title, text) for channels of which nobody knows what they make of text."""
    return title(news), news.brief.replace("@", " at ")
