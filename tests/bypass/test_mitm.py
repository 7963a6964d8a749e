"""The third adapter: an intercepting bastion, where it is installed (`./dev bypass mitm` does that)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.bypass.adapters import mitm
from tests.bypass.adapters.all import ADAPTERS, ALWAYS
from tests.bypass.run import Outcome, run
from tests.bypass.vector import Channel
from tests.bypass.vectors.all import VECTORS
from tests.support import peers


@pytest.mark.e2e
@pytest.mark.peers
async def test_one_attack_of_each_kind_gets_past_it() -> None:
    """The real program between a real client and a real sshd."""
    if not peers.installed():
        pytest.skip("ssh-mitm is not installed: `./dev bypass mitm` does that")
    async with mitm.Mitm() as adapter:
        for channel in (Channel.EXEC, Channel.SHELL):
            vector = next(each for each in VECTORS if each.bites and each.channel is channel and not each.needs)
            result = await run(adapter, vector)
            assert result.outcome is Outcome.BYPASSED, (vector.id, result)


def test_without_a_way_to_install_it_there_is_a_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_network(*command: str) -> None:
        raise subprocess.CalledProcessError(1, command, stderr="looking\nERROR: no matching distribution\n")

    monkeypatch.setattr(peers, "HOME", tmp_path)
    monkeypatch.setattr(peers, "_run", no_network)
    assert ADAPTERS["mitm"]() is None
    assert capsys.readouterr().err == f"{peers.PACKAGE} could not be installed: ERROR: no matching distribution\n"
    assert not peers.installed()


def test_it_is_not_part_of_an_ordinary_run() -> None:
    assert "mitm" not in ALWAYS
