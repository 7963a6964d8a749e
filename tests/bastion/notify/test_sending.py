"""Notifications with real sinks: what arrives, what is tried again, what is given up; and that nobody waits."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import email
import email.policy
import hashlib
import hmac
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path

import pytest

from bastion.clock import Clock
from bastion.errors import NotFound, UsageError
from bastion.notify.news import News
from bastion.notify.notifier import Notifier
from bastion.notify.pacing import MOST_A_MINUTE
from bastion.notify.post import ANSWER_LIMIT, PostError, address, post
from bastion.outlets import Outlet
from tests.support.ports import until
from tests.support.sinks import Hangs, Mail, Web

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NEWS = News("held", "r-0123abcd: agent-7 on deploy@web-1 (production), risk 46 medium, 1 approval needed", "rm ⟨ESC⟩ x",
            request="r-0123abcd", tier="medium", score=46, identity="agent-7", target="web-1", at=1)  # fmt: skip
Alerts = list[tuple[str, str]]


def secret(base: Path, name: str, text: str) -> str:
    path = base / name
    path.write_text(text)
    path.chmod(0o600)
    return name


@asynccontextmanager
async def notifier(base: Path, *outlets: Outlet, alerts: Alerts | None = None) -> AsyncIterator[Notifier]:
    found: Alerts = [] if alerts is None else alerts
    made = Notifier(outlets, base, Clock(), alert=lambda kind, text: found.append((kind, text)), pace=0.02)
    made.start()
    try:
        await until(lambda: all(info.state != "starting" for info in made.infos()), "the worker runs")
        yield made
    finally:
        await made.close()


def webhook(base: Path, url: str, name: str = "hook") -> Outlet:
    return Outlet(name, "webhook", url=url, secret_file=secret(base, "hook.secret", SECRET))


async def test_a_signed_webhook(tmp_path: Path) -> None:
    with Web() as web:
        async with notifier(tmp_path, webhook(tmp_path, web.url + "/in?x=1")) as made:
            made.tell(NEWS)
            await until(lambda: made.infos()[0].sent == 1, "it is sent")
    (got,) = web.got
    assert got.path == "/in?x=1"
    said = json.loads(got.body)
    assert (said["type"], said["data"]["detail"], said["data"]["request"]) == (
        "bastion.held",
        "rm ⟨ESC⟩ x",
        "r-0123abcd",
    )
    signed = f"{got.headers['webhook-id']}.{got.headers['webhook-timestamp']}.".encode() + got.body
    mac = hmac.new(base64.b64decode(SECRET.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    assert got.headers["webhook-signature"] == "v1," + base64.b64encode(mac).decode()
    assert abs(int(got.headers["webhook-timestamp"]) - time.time()) < 30


async def test_it_is_tried_again_with_the_same_id(tmp_path: Path) -> None:
    busy = (503, {"Retry-After": "0"}, b"")
    with Web(answers=[busy, (429, {}, b""), busy]) as web:
        async with notifier(tmp_path, webhook(tmp_path, web.url)) as made:
            made.tell(NEWS)
            await until(lambda: made.infos()[0].sent == 1, "it is sent")
            assert (made.infos()[0].state, made.infos()[0].error, made.infos()[0].lost) == ("ok", "", 0)
    assert len(web.got) == 4
    assert len({got.headers["webhook-id"] for got in web.got}) == 1


@pytest.mark.parametrize(
    ("answer", "words", "tries"),
    [
        ((400, {}, b""), "status 400", 1),
        ((410, {}, b""), "status 410", 1),
        ((302, {"Location": "https://evil.example/"}, b""), "redirects are not followed", 1),
        ((500, {}, b""), "status 500", 5),
        ((200, {}, b"x" * (ANSWER_LIMIT + 1)), "an answer of more than", 5),
    ],
)
async def test_what_is_given_up(
    tmp_path: Path, answer: tuple[int, dict[str, str], bytes], words: str, tries: int
) -> None:
    alerts: Alerts = []
    with Web(answers=[answer] * 20) as web:
        async with notifier(tmp_path, webhook(tmp_path, web.url), alerts=alerts) as made:
            made.tell(NEWS)
            await until(lambda: made.infos()[0].lost == 1, "it is given up")
            assert len(web.got) == tries
            assert made.infos()[0].state == "failing"
            assert words in made.infos()[0].error
            made.tell(NEWS)
            made.tell(NEWS)
            await until(lambda: made.infos()[0].state == "dead", "the channel is dead")
            assert [kind for kind, _ in alerts] == ["notify.dead"]
            assert words in alerts[0][1]
            web.answers.clear()
            made.tell(NEWS)
            await until(lambda: made.infos()[0].state == "ok", "it lives again")


def certify(key: Path, certificate: Path) -> None:
    """A certificate for 127.0.0.1 that nobody vouches for."""
    kind = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    name = ["-subj", "/CN=sink", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*kind, *name, "-keyout", key, "-out", certificate], check=True, capture_output=True)


async def test_tls_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made_by = tmp_path / "tls.pem"
    await asyncio.to_thread(certify, made_by, tmp_path / "c.pem")
    certificate = (tmp_path / "c.pem").read_text()
    made_by.write_text(made_by.read_text() + certificate)
    with Web(certificate=made_by) as web:
        with pytest.raises(PostError, match="TLS"):
            await post(address(web.url), b"{}", {})
        assert not web.got
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "c.pem"))
        assert (await post(address(web.url), b"{}", {})).status == 200
        with pytest.raises(PostError):  # the name counts, too
            await post(address(web.url.replace("127.0.0.1", "localhost")), b"{}", {})


async def test_an_answer_that_drips_is_not_waited_for(tmp_path: Path) -> None:
    over = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while True:
                writer.write(b"H")
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.close()
        over.set()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(PostError):
        await post(address(f"http://127.0.0.1:{port}"), b"{}", {}, seconds=0.3)
    await over.wait()
    server.close()


@pytest.mark.parametrize(
    "url", ["http://hooks.example/x", "ftp://x", "https://u:p@x/", "https:///x", "https://x/\n", "x"]
)
def test_addresses_that_are_not_taken(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- any
        address(url)


async def test_a_channel_that_hangs_holds_up_no_other_and_nobody(tmp_path: Path) -> None:
    with Web() as web, Hangs() as hangs:
        outlets = (webhook(tmp_path, hangs.url, "stuck"), webhook(tmp_path, web.url))
        async with notifier(tmp_path, *outlets) as made:
            begun, busy = time.monotonic(), time.thread_time()
            for _ in range(MOST_A_MINUTE):
                made.tell(NEWS)
            assert time.thread_time() - busy < 0.5
            await until(lambda: len(web.got) == MOST_A_MINUTE, "the other channel has all")
            stuck = made.infos()[0]
            assert stuck.sent == 0
        assert time.monotonic() - begun < 30


async def test_too_many_are_told_in_one(tmp_path: Path) -> None:
    with Web() as web:
        async with notifier(tmp_path, webhook(tmp_path, web.url)) as made:
            for _ in range(MOST_A_MINUTE + 7):
                made.tell(NEWS)
            await until(lambda: len(web.got) == MOST_A_MINUTE, "those of this minute came")
            made._channels["hook"].pacing._minute -= 1
            made._tell_rest()
            await until(lambda: len(web.got) == MOST_A_MINUTE + 1, "and one for the rest")
            made.tell(News("ledger", "the ledger has failed"))  # no flood of requests hides it
            await until(lambda: len(web.got) == MOST_A_MINUTE + 2, "what the bastion has to say of itself is told")
    last = json.loads(web.got[-2].body)
    assert (last["type"], last["data"]["brief"][:2]) == ("bastion.more", "7 ")
    assert json.loads(web.got[-1].body)["type"] == "bastion.ledger"


async def test_no_flood_of_one_sort_hides_another(tmp_path: Path) -> None:
    with Web() as web:
        async with notifier(tmp_path, webhook(tmp_path, web.url)) as made:
            for kind in ("escalated", "expired", "held"):
                for _ in range(MOST_A_MINUTE):
                    made.tell(News(kind, "x"))
            for kind in ("emergency", "freeze", "recorder"):
                made.tell(News(kind, "x"))
            await until(lambda: len(web.got) == MOST_A_MINUTE + 3, "what is not of requests is told")
    assert [json.loads(got.body)["type"] for got in web.got][-3:] == [
        "bastion.emergency",
        "bastion.freeze",
        "bastion.recorder",
    ]


async def test_ntfy(tmp_path: Path) -> None:
    outlet = Outlet("phone", "ntfy", url="", to="oncall", token_file=secret(tmp_path, "t", "tk_1"))
    with Web() as web:
        async with notifier(tmp_path, with_url(outlet, web.url)) as made:
            made.tell(NEWS)
            await until(lambda: web.got, "it is there")
    said = json.loads(web.got[0].body)
    assert (said["topic"], said["priority"], said["markdown"]) == ("oncall", 4, False)
    assert web.got[0].headers["authorization"] == "Bearer tk_1"
    assert said["message"].endswith("\nrm ⟨ESC⟩ x")


def with_url(outlet: Outlet, url: str) -> Outlet:
    return dataclasses.replace(outlet, url=url)


async def test_slack_by_webhook_and_by_its_api(tmp_path: Path) -> None:
    hook = Outlet("hook", "slack", url="")
    api = Outlet("api", "slack", url="", to="#ops", token_file=secret(tmp_path, "t", "xoxb-1"))
    answers = [b'{"ok": true}', b'{"ok": false, "error": "channel_not_found"}']
    with Web(reply=lambda got: answers.pop(0) if "chat" in got.path else b"ok") as web:
        async with notifier(
            tmp_path, with_url(hook, web.url + "/services/T/B/X"), with_url(api, web.url + "/api/")
        ) as made:
            made.tell(NEWS)
            await until(lambda: all(info.sent == 1 for info in made.infos()), "both came")
            made.tell_one("api", NEWS)
            await until(lambda: made.infos()[1].lost == 1, "Slack refuses")
            assert made.infos()[1].error == "Slack refused: channel_not_found"
    paths = {got.path: json.loads(got.body) for got in web.got}
    assert set(paths) == {"/services/T/B/X", "/api/chat.postMessage"}
    assert paths["/api/chat.postMessage"]["channel"] == "#ops"
    assert "channel" not in paths["/services/T/B/X"]


async def test_mail(tmp_path: Path) -> None:
    with Mail() as mail:
        url = f"mailto://127.0.0.1:{mail.port}/?from=bastion@bastion.example&to=oncall@bastion.example&mode=insecure"
        outlet = Outlet("mail", "email", url_file=secret(tmp_path, "mail.url", url))
        async with notifier(tmp_path, outlet) as made:
            made.tell(NEWS)
            await until(lambda: mail.got or made.infos()[0].error, "it is there")
            assert not made.infos()[0].error
    message = email.message_from_bytes(mail.got[0], policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert message["subject"] == "bastion: waiting for a decision"
    assert message["to"].addresses[0].addr_spec == "oncall@bastion.example"
    body = message.get_body(("plain",))
    assert body is not None
    assert "rm ⟨ESC⟩ x" in body.get_content()
    assert "deploy⟨@⟩web-1" in body.get_content()


async def test_without_detail_no_word_of_an_agent(tmp_path: Path) -> None:
    with Web() as web:
        async with notifier(tmp_path, dataclasses.replace(webhook(tmp_path, web.url), detail=False)) as made:
            made.tell(NEWS)
            await until(lambda: web.got, "it is there")
    assert b"ESC" not in web.got[0].body


async def test_a_worker_that_dies_is_started_again(tmp_path: Path) -> None:
    with Web() as web:
        async with notifier(tmp_path, webhook(tmp_path, web.url)) as made:
            os.kill(made.pid, signal.SIGKILL)
            await until(lambda: made.infos()[0].state == "dead", "it is noticed")
            await until(lambda: made.infos()[0].state == "ok", "it is there again")
            made.tell(NEWS)
            await until(lambda: web.got, "and sends")


async def test_what_is_queued_is_sent_before_the_end(tmp_path: Path) -> None:
    with Web() as web:
        async with notifier(tmp_path, webhook(tmp_path, web.url)) as made:
            made.tell(NEWS)
        assert len(web.got) == 1


async def test_a_test_says_what_became_of_it(tmp_path: Path) -> None:
    with Web() as web:
        outlets = (webhook(tmp_path, web.url), Outlet("bad", "apprise", url_file=secret(tmp_path, "u", "nosuch://x")))
        async with notifier(tmp_path, *outlets) as made:
            (one,) = await made.test(["hook"])
            assert (one.state, one.sent) == ("ok", 1)
            good, bad = await made.test([])
            assert (good.state, bad.state) == ("ok", "dead")
            assert "apprise does not know this address" in bad.error
            with pytest.raises(NotFound):
                await made.test(["nobody"])
    assert json.loads(web.got[0].body)["type"] == "bastion.test"


@pytest.mark.parametrize(
    ("outlet", "words"),
    [
        (Outlet("a", "webhook", url="https://x", secret_file="open"), "readable by others"),
        (Outlet("a", "webhook", url="https://x", secret_file="missing"), "cannot read"),
        (Outlet("a", "webhook", url="https://x", secret_file="short"), "24 to 64"),
        (Outlet("a", "webhook", url="http://x", secret_file="good"), "https"),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, outlet: Outlet, words: str) -> None:
    (tmp_path / "open").write_text(SECRET)
    (tmp_path / "open").chmod(0o644)
    secret(tmp_path, "short", "whsec_YWJj")
    secret(tmp_path, "good", SECRET)
    with pytest.raises(UsageError, match=words):
        Notifier([outlet], tmp_path, Clock())
