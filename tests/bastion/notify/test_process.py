"""The process that sends, and what becomes of it when it dies, hangs, turns in circles or eats memory; real ones."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bastion.clock import Clock
from bastion.notify import process
from bastion.notify.news import News
from bastion.notify.notifier import TRIES, Notifier
from bastion.notify.process import Process, processor_seconds
from bastion.outlets import Outlet
from tests.bastion.notify.test_sending import NEWS, notifier, webhook
from tests.support.ports import until
from tests.support.sinks import Web


class Watched:
    """A Process and what it told; the worker is a program of the test's."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> None:
        root = tmp_path / "root" / "bastion" / "notify"
        root.mkdir(parents=True)
        for each in (root.parent / "__init__.py", root / "__init__.py"):
            each.touch()
        (root / "worker.py").write_text(textwrap.dedent(program))
        monkeypatch.setattr(process, "ROOT", str(tmp_path / "root"))
        monkeypatch.setattr(sys, "executable", os.path.realpath(sys.executable))  # else the checkout's .pth comes first
        monkeypatch.setattr(process, "LOOK_SECONDS", 0.05)
        self.said: list[dict[str, Any]] = []
        self.ups, self.downs = 0, list[str]()
        self.it = Process({"channels": []}, self.said.append, self._up, self.downs.append, pace=0.01)

    def _up(self) -> None:
        self.ups += 1

    async def __aenter__(self) -> Watched:
        self.it.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.it.close()


async def test_it_is_fed_and_heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x")
    program = """
        import json, os, sys
        for line in sys.stdin:
            print(json.dumps({"got": json.loads(line), "env": sorted(os.environ), "cwd": os.getcwd()}), flush=True)
        print(json.dumps({"got": "the end"}), flush=True)
    """
    async with Watched(tmp_path, monkeypatch, program) as watched:
        assert not watched.it.write({})  # none runs yet
        await until(lambda: watched.said, "it has its settings")
        assert watched.it.write({"n": 1})
        await until(lambda: len(watched.said) == 2, "it answers")
        assert watched.it.pid
    assert [each["got"] for each in watched.said] == [{"channels": []}, {"n": 1}, "the end"]  # heard to its last word
    assert watched.said[0]["cwd"] == "/"
    assert "CREDENTIALS_DIRECTORY" not in watched.said[0]["env"]
    assert not watched.it.pid


async def test_one_that_dies_at_once_is_started_with_growing_pauses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        if seconds != process.LOOK_SECONDS and seconds > 0.01:  # not of `until`
            slept.append(round(seconds, 2))
            seconds = 0
        await sleep(seconds)

    watched = Watched(tmp_path, monkeypatch, "raise SystemExit(3)")
    watched.it._pace = 1
    monkeypatch.setattr(process.asyncio, "sleep", note)
    async with watched:
        await until(lambda: len(watched.downs) >= 6, "it died and died")
    assert slept[:6] == [1, 5, 30, 300, 300, 300]
    assert watched.downs[0] == "the process that sends ended (3)"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import time; time.sleep(600)", "said nothing for 0.5 s, and was ended"),
        ("while True: pass", "took too much of a processor, and was ended"),
        ("import os, time; os.write(1, b'no json\\n'); time.sleep(600)", "said something else"),
        ("import os, time; os.write(1, b'x' * (2 << 20)); time.sleep(600)", "said something else"),
    ],
)
async def test_one_that_misbehaves_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, words: str
) -> None:
    monkeypatch.setattr(process, "SILENT_SECONDS", 0.5 if "nothing" in words else 60.0)
    monkeypatch.setattr(process, "CPU_BURST", 0.3 if "processor" in words else 30.0)
    async with Watched(tmp_path, monkeypatch, program) as watched:
        await until(lambda: watched.downs, "it is ended")
        assert words in watched.downs[0]
        await until(lambda: watched.ups >= 2, "there is another one")


async def test_one_that_does_not_read_is_waited_for_by_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Watched(tmp_path, monkeypatch, "import time; time.sleep(600)") as watched:
        await until(lambda: watched.ups, "it runs")
        taken = 0
        while watched.it.write({"x": "y" * 10_000}):
            taken += 1
            assert taken < 200
        assert taken * 10_000 > process.BEHIND
        monkeypatch.setattr(process, "STOP_SECONDS", 0.1)


def test_processor_time() -> None:
    assert processor_seconds(os.getpid()) > 0
    assert processor_seconds(2**22 + 1) == 0


# --- the real worker ------------------------------------------------------------------------------------------------


async def test_what_it_was_killed_over_goes_to_the_next_under_the_same_id(tmp_path: Path) -> None:
    """A worker that is stopped in the middle of an attempt; its successor sends what nobody knows the fate of."""
    with Web(answers=[(503, {"Retry-After": "60"}, b"")]) as web:
        async with notifier(tmp_path, webhook(tmp_path, web.url)) as made:
            made._process._pace = 0.02
            made.tell(NEWS)
            await until(lambda: web.got, "it was tried")
            os.kill(made.pid, signal.SIGKILL)
            await until(lambda: made.infos()[0].sent == 1, "the next one sends it")
            assert (made.infos()[0].state, made.infos()[0].lost) == ("ok", 0)
    assert len({got.headers["webhook-id"] for got in web.got}) == 1
    assert len(web.got) == 2


async def test_a_message_that_kills_is_given_up(tmp_path: Path) -> None:
    with Web(answers=[(503, {"Retry-After": "60"}, b"")] * 50) as web:
        async with notifier(tmp_path, webhook(tmp_path, web.url)) as made:
            made.tell(NEWS)
            for number in range(TRIES):
                await until(lambda: len(web.got) > number, "it was tried")  # noqa: B023
                os.kill(made.pid, signal.SIGKILL)
                await until(lambda: made.infos()[0].state == "dead", "it is noticed")
            await until(lambda: made.infos()[0].lost == 1, "it is given up")
            assert made.infos()[0].error == "the process that sends ended over it"


async def test_it_has_given_up_what_it_does_not_need(tmp_path: Path) -> None:
    """Limits and confinement of the worker as it runs."""
    with Web() as web:
        outlet = webhook(tmp_path, web.url)
        made = Notifier([outlet], tmp_path, Clock(), hidden=[tmp_path])
        made.start()
        await until(lambda: made.infos()[0].state == "ok", "it runs")
        status = Path(f"/proc/{made.pid}/status").read_text()
        limits = Path(f"/proc/{made.pid}/limits").read_text()
        made.tell(NEWS)
        await until(lambda: web.got, "and sends")
        await made.close()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert (fields["NoNewPrivs"], fields["Seccomp"], int(fields["CapEff"], 16)) == ("1", "2", 0)
    rows = {line[:25].strip(): line[25:].split()[:2] for line in limits.splitlines()}
    assert rows["Max address space"] == [str(1 << 30)] * 2
    assert rows["Max file size"] == ["0", "0"]
    assert rows["Max open files"] == ["256", "256"]


async def test_every_kind_of_channel_works_confined(tmp_path: Path) -> None:
    """Libraries that load the rest of themselves late, name look-ups, threads: from within."""
    with Web() as web:
        url = tmp_path / "apprise.url"
        url.write_text(web.url.replace("http://127.0.0.1", "json://localhost"))
        url.chmod(0o600)
        outlets = [webhook(tmp_path, web.url), Outlet("any", "apprise", url_file="apprise.url")]
        made = Notifier(outlets, tmp_path, Clock(), hidden=[tmp_path])
        made.start()
        await until(lambda: all(each.state == "ok" for each in made.infos()), "it runs")
        assert [each.state for each in await made.test([])] == ["ok", "ok"]
        await made.close()
    assert len(web.got) == 2


# --- what outlives the daemon ----------------------------------------------------------------------------------------


HELD = News("held", "r-0123abcd: x", request="r-0123abcd", digest="ab", at=0, key="held r-0123abcd ab")


def outbox(tmp_path: Path, web: Web, **options: Any) -> Notifier:
    return Notifier([webhook(tmp_path, web.url)], tmp_path, Clock(), outbox=tmp_path / "outbox", pace=0.02, **options)


def now(news: News) -> News:
    return replace(news, at=Clock().wall())


async def test_what_was_told_is_not_told_again_and_what_was_not_is(tmp_path: Path) -> None:
    """Four daemons on one outbox; each one is gone without a word to its file, as after kill -9."""
    with Web() as web:
        first = outbox(tmp_path, web)
        first.start()
        first.tell(now(HELD))
        await until(lambda: first.infos()[0].sent == 1, "it is told")
        await first.close()
        assert (tmp_path / "outbox").stat().st_mode & 0o777 == 0o600
        second = outbox(tmp_path, web)  # its worker never starts
        second._outbox.open(Clock().wall())
        second.tell(now(HELD))
        second.tell(now(News("escalated", "escalated: r-0123abcd", "because, said ana")))
        second.tell(now(News("approved-high", "r-1: y", "rm -rf /secret", digest="cd", key="approved-high r-1 cd")))
        second._outbox.close()
        assert len(web.got) == 1
        kept = (tmp_path / "outbox").read_bytes()
        assert b"because, said ana" in kept
        assert b"secret" not in kept
        with (tmp_path / "outbox").open("ab") as file:
            file.write(b'{"tell": "cut sho')
        third = outbox(tmp_path, web)
        third.start()
        third.tell(now(HELD))
        await until(lambda: third.infos()[0].sent == 2, "what was under way is told")
        await third.close()
        fourth = outbox(tmp_path, web)
        fourth.start()
        await until(lambda: fourth.infos()[0].state == "ok", "it runs")
        await fourth.close()
    said = [json.loads(got.body) for got in web.got]
    assert [(each["type"], each["data"]["detail"]) for each in said] == [
        ("bastion.held", ""), ("bastion.escalated", "because, said ana"), ("bastion.approved-high", ""),
    ]  # fmt: skip


async def test_what_is_held_and_was_on_its_way_is_told_anew_under_its_old_id(tmp_path: Path) -> None:
    """With what the agent wrote, which is not kept: the desk has it."""
    with Web() as web:
        first = outbox(tmp_path, web)
        first._outbox.open(Clock().wall())
        first.tell(now(HELD))
        first._outbox.close()
        message = json.loads((tmp_path / "outbox").read_bytes().splitlines()[-1])["tell"]
        second = outbox(tmp_path, web)
        second.start()
        assert not second._channels["hook"].under_way
        second.tell(now(replace(HELD, detail="rm ⟨ESC⟩")))
        await until(lambda: second.infos()[0].sent == 1, "it is told")
        await second.close()
    (got,) = web.got
    assert (got.headers["webhook-id"], json.loads(got.body)["data"]["detail"]) == (message, "rm ⟨ESC⟩")


async def test_a_normal_end_is_no_loss(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Web() as web:
        async with notifier(tmp_path, webhook(tmp_path, web.url)) as made:
            assert made.pid
    assert not caplog.records
