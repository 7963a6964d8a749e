"""VS Code Remote and mosh are told why they cannot work here."""

from __future__ import annotations

import json

import pytest

from bastion.model import Verdict
from bastion.policy.action import read
from bastion.policy.judge import judge
from bastion.policy.risk import assess
from bastion.policy.rules import built_in
from bastion.policy.tools import MOSH, RSYNC_DAEMON, RSYNC_SECLUDED, VSCODE, fed


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("mosh-server new -s -c 256 -l LANG=C.UTF-8", MOSH),
        ("/usr/bin/mosh-server new", MOSH),
        ("LANG=C mosh-server new", MOSH),
        ("sh -c 'exec mosh-server new -s'", MOSH),
        ("~/.vscode-server/bin/abc/bin/code-server --start-server", VSCODE),
        ("rsync --server --daemon .", RSYNC_DAEMON),
        ("rsync --daemon --config=/tmp/x", RSYNC_DAEMON),
        ("sudo rsync --server --sender --daemon .", RSYNC_DAEMON),
        ("rsync --server --sender -slogDtpre.LsfxCIvu . /tmp", RSYNC_SECLUDED),
        ("rsync --server -s", RSYNC_SECLUDED),
        ("rsync --server --secluded-args . /tmp", RSYNC_SECLUDED),
        ("rsync --server --sender -logDtpre.LsfxCIvu . /tmp", ""),
        ("rsync -as a b", ""),
        ("echo mosh-server", ""),
        ("ls ~/.vscode-server", ""),
        ("bash", ""),
    ],
)
def test_commands(command: str, why: str) -> None:
    question = read(json.dumps({"agent": "a", "target": "t", "command": command}), assess)
    said = judge(question, built_in(), None, 0)
    assert (said.verdict, said.rule == "tool") == ((Verdict.DENY, True) if why else (Verdict.HOLD, False))
    assert not why or said.reason == why


def test_scripts() -> None:
    assert fed(b'export VSCODE_AGENT_FOLDER="$HOME/.vscode-server"\n') == VSCODE
    assert fed(b"rm -rf ~/.vscode-server\n") == ""
