"""Buttons in Slack: what is taken for a press, and what becomes of one."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.control import wire
from bastion.model import Choice
from bastion.notify.slack import pressed
from tests.support.house import ROOT, House
from tests.support.ports import until
from tests.support.sinks import FakeSlack
from tests.support.sshd import Sshd

DIGEST = "ab" * 32
GOOD: dict[str, Any] = {
    "type": "block_actions",
    "user": {"id": "U0123"},
    "actions": [{"action_id": "approve", "value": f"r-0123abcd {DIGEST}"}],
}
POLICY = """policy "tests" {
  version 1
  accept slack for medium, low
}
"""


def test_a_press() -> None:
    assert pressed(GOOD, "chat") == {
        "channel": "chat", "user": "U0123", "choice": "approve", "request": "r-0123abcd", "digest": DIGEST,
    }  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"type": "view_submission"},
        {"user": {}},
        {"user": {"id": 7}},
        {"actions": []},
        {"actions": GOOD["actions"] * 2},
        {"actions": [{"action_id": "run", "value": GOOD["actions"][0]["value"]}]},
        {"actions": [{"action_id": "approve", "value": f"r-0123abcd {DIGEST}\n"}]},
        {"actions": [{"action_id": "approve", "value": "r-0123abcd"}]},
        {"actions": [{"action_id": "approve"}]},
    ],
)
def test_anything_else_is_none(change: dict[str, Any]) -> None:
    assert pressed({**GOOD, **change}, "chat") is None


@given(
    st.recursive(
        st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_garbage_is_none(value: Any) -> None:
    for name in GOOD:
        assert pressed({**GOOD, name: value}, "chat") is None or name == "user"
    assert pressed(value if isinstance(value, dict) else {}, "chat") is None


@pytest.fixture(scope="module")
def slack() -> Iterator[FakeSlack]:
    with FakeSlack() as made:
        yield made


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, slack: FakeSlack) -> Iterator[House]:
    sshd = Sshd(tmp_path_factory.mktemp("target"))
    sshd.start()
    made = House(tmp_path_factory.mktemp("house"), POLICY)
    made.add_target("web-1", sshd)
    for name, text in (("bot", "xoxb-1"), ("app", "xapp-1")):
        (made.config.path.parent / name).write_text(text)
        (made.config.path.parent / name).chmod(0o600)
    made.configure(
        f'[[notify]]\nname = "chat"\nkind = "slack"\nurl = "{slack.api}"\nto = "#ops"\ntoken_file = "bot"\n'
        'app_token_file = "app"\napprovers = ["U0ANA=ana", "U0EVE=eve"]\n'
    )
    made.start()
    yield made
    made.stop()
    sshd.stop()


def answers(slack: FakeSlack) -> list[str]:
    return [json.dumps(message) for message in slack.messages if "what became of a button" in json.dumps(message)]


@pytest.mark.e2e
async def test_a_button_counts_where_policy_accepts_it(house: House, slack: FakeSlack) -> None:
    await until(lambda: slack.connected, "the worker is connected")
    ana = await house.remote("ana")
    ssh = await house.ssh("web-1", "echo from slack # <!here>")
    info = await house.held(ana, b"echo from slack # <!here>")
    assert info.tier in ("low", "medium"), info.tier
    assert info.unsigned == ["slack"]
    await until(lambda: slack.buttons(info.id), "there are buttons")
    button = slack.buttons(info.id)["approve"]
    for user, words in (("U0NOBODY", "is nobody here"), ("U0EVE", "is no approver")):
        before = len(answers(slack))
        slack.press(button, user, envelope=f"e-{user}")
        await until(lambda: len(answers(slack)) > before, "it is answered")  # noqa: B023
        assert words in answers(slack)[-1]
    slack.press({**button, "value": f"{info.id} {'0' * 64}"}, "U0ANA")
    await until(lambda: "another request" in answers(slack)[-1], "the digest counts")
    assert (await ana.call(wire.ShowRequest, wire.RequestInfo, request=info.id)).state == "held"
    slack.press(button, "U0ANA", envelope="e-good")
    outcome = await house.finish(ssh)
    assert outcome.stdout == b"from slack\n"
    await until(lambda: "e-good" in slack.acknowledged, "it is acknowledged")
    lines = await ana.call(wire.ListLedger, list[wire.LedgerLine], after=-1, limit=1000)
    (vote,) = [
        entry["body"] for line in lines if (entry := json.loads(line.entry))["request"] == info.id
        and entry["type"] == "request.decided"
    ]  # fmt: skip
    assert (vote["by"], vote["via"], vote["via_user"], vote["signature"]) == ("ana", "slack", "U0ANA", "")
    assert "Bearer xoxb-1" in slack.tokens
    command = [sys.executable, "-m", "bastion", "--config", str(house.config.path), "ledger", "verify"]
    done = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "which no person signed" in done.stdout
    await ana.close()


@pytest.mark.e2e
async def test_never_for_high_risk(house: House, slack: FakeSlack) -> None:
    await until(lambda: slack.connected, "the worker is connected")
    ana = await house.remote("ana")
    ssh = await house.ssh("web-1", "rm -rf /srv/nowhere")
    info = await house.held(ana, b"rm -rf /srv/nowhere")
    assert (info.tier, info.unsigned) == ("high", [])
    await until(lambda: any(info.id in json.dumps(message) for message in slack.messages), "it is told")
    assert not slack.buttons(info.id)
    forged = {"action_id": "approve", "value": f"{info.id} {info.digest}"}
    slack.press(forged, "U0ANA", envelope="e-forged")
    await until(lambda: answers(slack) and "no button" in answers(slack)[-1], "it does not count")
    await ana.vote(info, Choice.DENY, "no")
    assert (await house.finish(ssh)).status == 126
    await ana.close()
