"""Buttons, attacked: pressed again, by others, for what they do not stand for, at the same time as a console's vote. On
a real broker and ledger; tests/bastion/notify/test_slack.py has the way from Slack to here."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bastion.audit import Audit
from bastion.broker import Broker
from bastion.clock import Clock
from bastion.control.pressing import Pressing
from bastion.desk import Desk
from bastion.directory import Directory
from bastion.errors import BastionError
from bastion.history import Left
from bastion.model import Assessment, Choice, Decision, Request, Tier, TtyMode, Verdict
from bastion.notify.news import News, of_request
from bastion.notify.notifier import Notifier
from bastion.notify.pacing import ANSWERS_A_MINUTE, MOST_A_MINUTE
from bastion.outlets import Outlet
from bastion.policy.judge import Judgement
from recorder.keys import LedgerKey
from recorder.ledger import Ledger
from recorder.reader import Reader
from tests.bastion.desks import make_request, make_vote
from tests.support.keys import make_key

MAPPED = (("U0ANA", "ana"), ("U0BEN", "ben"), ("U0EVE", "eve"), ("U0AGENT", "agent-7"))


class Chat:
    """Everything from a press on."""

    def __init__(self, tmp_path: Path) -> None:
        self.store = tmp_path / "store"
        self.ledger = Ledger.create(self.store, host="bastion.example", key=LedgerKey.create(tmp_path / "key"))
        self.directory = Directory()
        for name, kind, roles in (
            ("ana", "human", ["approver"]), ("ben", "human", ["approver"]), ("cyd", "human", ["approver"]),
            ("eve", "human", ["auditor"]), ("agent-7", "agent", []),
        ):  # fmt: skip
            key = make_key(tmp_path / name)
            self.directory.apply("identity.added", self.directory.plan_identity(name, kind, roles, key))
        members = {"boss": frozenset({"ben"})}
        desk = Desk(ticket=600, limit=20, members=lambda group: members.get(group, frozenset()))
        self.broker = Broker(desk, Audit(self.ledger), Clock(), timeout=60)
        outlet = Outlet("chat", "slack", approvers=MAPPED)
        notifier = Notifier([], tmp_path, Clock())
        self.answers: list[News] = []
        notifier.tell_one = lambda name, news: self.answers.append(news)  # type: ignore[method-assign]
        self.accepted: tuple[str, ...] = ("slack",)
        self.pressing = Pressing(self.broker, self.directory, notifier, [outlet], lambda _: self.accepted)
        self.told: list[Decision] = []

    def hold(self, name: str = "r-1", **changes: Any) -> Request:
        fields = {"assessment": Assessment(40, Tier.MEDIUM, ()), "unsigned": ("slack",), **changes}
        request = dataclasses.replace(make_request(name), **fields)
        self.broker.hold(request, "ab" * 32, "s-1", lambda decision, _: self.told.append(decision))
        return request

    async def press(self, about: Request, user: str = "U0ANA", choice: str = "approve", **changes: str) -> str:
        """What is answered."""
        said = {"channel": "chat", "user": user, "choice": choice, "request": about.id, "digest": about.digest}
        before = len(self.answers)
        await self.pressing.press({**said, **changes})
        (answer,) = self.answers[before:]
        return answer.brief + " " + answer.detail

    def state(self, name: str = "r-1") -> str:
        info = self.broker.info(name)
        assert info is not None
        return info.state

    def votes(self) -> list[tuple[str, str, str]]:
        """(by, choice, way) as the ledger has them."""
        with Reader.open(self.store) as reader:
            found = list(reader.entries(types=("request.decided",)))
        return [(str(e.body["by"]), str(e.body["choice"]), str(e.body.get("via", ""))) for e in found]


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[Chat]:
    made = Chat(tmp_path)
    yield made
    made.broker.close()
    made.ledger.close()


async def test_one_press_is_one_vote_however_often_it_is_sent(chat: Chat) -> None:
    """Slack sends an interaction again that it thinks was lost; who taps taps twice."""
    request = chat.hold(approvals=2)
    assert "counted as ana, unsigned" in await chat.press(request)
    for _ in range(3):
        assert "has voted on this request already" in await chat.press(request)
    assert "has voted" in await chat.press(request, choice="deny")  # nobody takes their word back
    assert (chat.state(), chat.votes()) == ("held", [("ana", "approve", "slack")])
    assert "counted as ben" in await chat.press(request, "U0BEN")
    assert chat.state() == "approved"
    for user, choice in itertools.product(("U0ANA", "U0BEN"), ("approve", "deny")):
        assert "is approved already" in await chat.press(request, user, choice)
    assert [decision.by for decision in chat.told] == [("ana", "ben")]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"user": "U0NOBODY"}, "is nobody here"),
        ({"user": "ana"}, "is nobody here"),
        ({"user": "U0EVE"}, "is no approver"),
        ({"user": "U0AGENT"}, "is no approver"),
        ({"digest": "00" * 32}, "another request"),
        ({"digest": ""}, "another request"),
        ({"request": "r-2"}, "no request"),
        ({"choice": "expired"}, "no button says this"),
        ({"choice": ""}, "no button says this"),
    ],
)
async def test_what_it_does_not_stand_for(chat: Chat, changes: dict[str, str], words: str) -> None:
    request = chat.hold()
    assert words in await chat.press(request, **changes)
    assert (chat.state(), chat.votes(), chat.told) == ("held", [], [])


async def test_of_another_channel_nothing_is_known(chat: Chat) -> None:
    request = chat.hold()
    said = {"channel": "other", "user": "U0ANA", "choice": "approve", "request": request.id, "digest": request.digest}
    await chat.pressing.press(said)
    assert (chat.answers, chat.state()) == ([], "held")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"unsigned": ()}, "policy accepts no button"),
        ({"unsigned": ("console",)}, "policy accepts no button"),
        ({"assessment": Assessment(90, Tier.HIGH, ())}, "never decided without a signature"),
        ({"assessment": Assessment(None, Tier.UNRATED, ())}, "never decided without a signature"),
        ({"mode": TtyMode.RAW, "terminal": True}, "granted with a signature"),
        ({"approvers": ("boss",)}, "not in group boss"),
        ({"identity": "ana"}, "nobody decides their own request"),
    ],
)
async def test_where_no_button_counts(chat: Chat, changes: dict[str, Any], words: str) -> None:
    request = chat.hold(**changes)
    assert words in await chat.press(request)
    assert (chat.state(), chat.votes()) == ("held", [])
    info = chat.broker.info("r-1")
    assert info is not None
    if "signature" in words or "policy" in words:
        assert not of_request(info, "held").buttons


async def test_a_policy_that_accepts_it_no_more(chat: Chat) -> None:
    """The button hangs in the channel for as long as the request is held; the policy can have changed meanwhile."""
    request = chat.hold()
    chat.accepted = ()
    for choice in ("approve", "deny"):
        assert "accepts no button for it any more" in await chat.press(request, choice=choice)
    assert chat.state() == "held"


async def test_the_button_of_what_was_edited(chat: Chat) -> None:
    """Neither the old one, whose command does not run, nor a press for the new one, for which nobody got a button."""
    old = chat.hold()
    new = dataclasses.replace(
        make_request("r-2", command=b"edited"), author="ben", edits="r-1", answers="x",
        assessment=Assessment(40, Tier.MEDIUM, ()),
    )  # fmt: skip
    await chat.broker.edit("r-1", new, Judgement(Verdict.HOLD, new.digest, "default", ""), b"{}", "", "")
    assert "is withdrawn already" in await chat.press(old)
    assert "another request" in await chat.press(old, request="r-2")
    assert "policy accepts no button" in await chat.press(new)
    assert chat.state("r-2") == "held"


async def test_a_revoked_approvers_button(chat: Chat) -> None:
    request = chat.hold(approvals=2)
    await chat.press(request)
    chat.directory.apply("identity.revoked", chat.directory.plan_revocation("ana", "left"))
    chat.broker.disown("ana")
    await chat.broker.write_disowned("ana")
    assert "was revoked" in await chat.press(request)
    assert "counted as ben" in await chat.press(request, "U0BEN")
    assert chat.state() == "held"  # one of two


@pytest.mark.parametrize("order", list(itertools.permutations(("press", "console", "other"))))
async def test_races_with_the_console(chat: Chat, order: tuple[str, ...]) -> None:
    """ana presses and votes at once, ben denies at once: one vote of each at most, one decision, deny wins, and the
    ledger says the same as the desk."""
    request = chat.hold(approvals=2)
    works = {
        "press": lambda: chat.press(request),
        "console": lambda: chat.broker.vote(make_vote(request, "ana"), b"{}"),
        "other": lambda: chat.broker.vote(make_vote(request, "ben", Choice.DENY), b"{}"),
    }
    results = await asyncio.gather(*(works[name]() for name in order), return_exceptions=True)
    assert all(isinstance(each, BastionError) for each in results if isinstance(each, BaseException))
    votes = chat.votes()
    assert len({by for by, _, _ in votes}) == len(votes)
    assert chat.state() == "denied"
    assert votes[-1] == ("ben", "deny", "")
    assert len(chat.told) == 1


@pytest.mark.parametrize("first", ["press", "console"])
async def test_a_race_for_the_last_approval(chat: Chat, first: str) -> None:
    """One approval is enough, and two people give it at once: the first one's counts, the other is told."""
    request = chat.hold()
    works = [chat.press(request, "U0BEN"), chat.broker.vote(make_vote(request, "cyd"), b"{}")]
    if first == "console":
        works.reverse()
    await asyncio.gather(*works, return_exceptions=True)
    assert len(chat.votes()) == 1
    assert chat.votes()[0][0] == ("ben" if first == "press" else "cyd")
    assert (chat.state(), len(chat.told)) == ("approved", 1)
    assert chat.broker.take("r-1", "s-1")
    assert not chat.broker.take("r-1", "s-1")


async def test_a_press_from_before_a_restart(chat: Chat) -> None:
    """What was counted stays counted: the same press again is no second vote. The votes come back with the request."""
    now = Clock().wall()
    request = chat.hold(approvals=2, created=now, expires=now + 60_000_000)
    await chat.press(request)
    info = chat.broker.info("r-1")
    assert info is not None
    vote = dataclasses.replace(make_vote(request, "ana"), signature="", via="slack", via_user="U0ANA")
    again = Broker(Desk(ticket=600, limit=9), Audit(chat.ledger), Clock(), timeout=60)
    left = Left(info=info, votes=(vote,), escalated=(), grounds="", decided=0)
    again.restore(left, 600)
    chat.pressing._broker = again
    assert "has voted on this request already" in await chat.press(request)
    assert "counted as ben" in await chat.press(request, "U0BEN")
    again.close()


def test_presses_do_not_use_up_what_people_are_told_with(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("https://hooks.example/x")
    (tmp_path / "url").chmod(0o600)
    notifier = Notifier([Outlet("chat", "slack", url_file="url")], tmp_path, Clock())
    written: list[str] = []
    notifier._write = lambda each, message, news, attempts=0: bool(written.append(news.kind)) or True  # type: ignore
    for _ in range(ANSWERS_A_MINUTE * 5):
        notifier.tell_one("chat", News("answer", "r-0123abcd: not counted"))
    for _ in range(MOST_A_MINUTE):
        notifier.tell_one("chat", News("held", "x"))
    assert (written.count("answer"), written.count("held")) == (ANSWERS_A_MINUTE, MOST_A_MINUTE)


@pytest.mark.parametrize(
    "said",
    [None, [], {"user": "U"}, {"channel": "chat", "user": 7, "choice": "approve", "request": "r-1", "digest": "x"}],
)
def test_what_the_worker_makes_up_ends_it(tmp_path: Path, said: object) -> None:
    with pytest.raises(TypeError):
        Notifier([], tmp_path, Clock())._heard({"press": said})
