"""The risk of a held command where people see it, and of the code that it reads on stdin."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from bastion.control.client import Client
from bastion.model import Choice
from tests.support.house import ROOT, House

pytestmark = pytest.mark.e2e


def shown(house: House, request: str, *words: str) -> str:
    command = [sys.executable, "-m", "bastion", "--config", str(house.config.path), "request", "show", request, *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout


async def test_a_request_says_what_it_would_do(house: House, ana: Client) -> None:
    process = await house.ssh("web-1", "systemctl restart no-such-service && rm -r /srv/no-such-directory")
    info = await house.held(ana)
    assert info.tier == "high"
    assert info.score == sum(info.weights)
    text = shown(house, info.id)
    assert f"risk        {info.score} high, cannot be undone\n" in text
    assert "deletes files recursively: /srv/no-such-directory (is data)\n" in text
    assert "effects     deletes: /srv/no-such-directory\n" in text
    assert "effects     service: no-such-service\n" in text
    as_json = json.loads(shown(house, info.id, "--json"))
    assert {"delete", "restart"} <= set(as_json["verbs"])
    assert ["deletes", "/srv/no-such-directory"] in as_json["effects"]
    await ana.vote(info, Choice.DENY, "seen")
    outcome = await house.finish(process)
    assert outcome.status == 126
    assert f"risk {info.score} high: deletes files recursively" in outcome.stderr


@pytest.mark.parametrize(("code", "tier"), [(b"uptime\n", "low"), (b"rm -r /srv/no-such-directory\n", "high")])
async def test_code_on_stdin_is_judged_as_what_it_is(house: House, ana: Client, code: bytes, tier: str) -> None:
    process = await house.ssh("web-1", "bash -s", stdin=b"")
    assert process.stdin is not None
    process.stdin.write(code)
    process.stdin.close()
    info = await house.held(ana, b"bash -s")
    assert info.tier == tier
    await ana.vote(info, Choice.DENY, "seen")
    await house.finish(process)
