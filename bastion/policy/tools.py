"""Tools, and ways of theirs, that cannot work through a gate, known by what they run first and told why at once. Pure.

Theory of operation. Each of these starts a server of its own on the target and then speaks to that past everything that
is judged line by line. To hold their first command would only move the question to something that nobody can answer.
This is a courtesy, and no protection: what is not recognised is held like anything else.
rsync as a daemon, and with its options hidden, is refused for the same reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

MOSH = "mosh goes on over UDP past the bastion, where nothing can be held or recorded: use ssh TARGET@bastion"
VSCODE = (
    "VS Code Remote installs a server on the target and works through that, past what is held here: edit over sftp, "
    "and run commands with ssh TARGET@bastion"
)

RSYNC_DAEMON = "rsync as a daemon does what its configuration says, commands in it too: copy with rsync over ssh"
RSYNC_SECLUDED = (
    "with --secluded-args (-s, --protect-args) rsync sends its options and paths where nobody sees them: "
    "run it without, or with --no-secluded-args"
)
_SECLUDED = re.compile(r"-[A-Za-df-z0-9]*s.*|--(?:secluded|protect)-args")
"""`s` among the bundled options, before the `e` behind which stands what the client can do."""

HEADS = {"mosh-server": MOSH, "code-server": VSCODE, "code-tunnel": VSCODE}
"""Programs, by the last part of their name."""

MARKS = {b"VSCODE_AGENT_FOLDER": VSCODE, b"vscodeAgentFolder": VSCODE}
"""What stands in the script that the client feeds to a shell's stdin; editors made from VS Code have the same."""


def may_be(command: bytes, stdin: bytes) -> bool:
    """Whether it is worth to look: most commands are spared the parsing."""
    return bool(stdin) or b"rsync" in command or any(name.encode() in command for name in HEADS)


def refusal(heads: frozenset[str], readings: Iterable[Sequence[str]], stdin: bytes) -> str:
    """Why this cannot work here; empty for everything else. `heads`: names of the programs that a command runs;
    `readings`: their words."""
    named = next((HEADS[name] for name in HEADS if name in heads), "")
    return named or (_rsync(readings) if "rsync" in heads else "") or fed(stdin)


def _rsync(readings: Iterable[Sequence[str]]) -> str:
    for words in readings:
        if words[0].rpartition("/")[2] != "rsync":
            continue
        if "--daemon" in words:
            return RSYNC_DAEMON
        if "--server" in words and any(_SECLUDED.fullmatch(word) for word in words):
            return RSYNC_SECLUDED
    return ""


def fed(stdin: bytes) -> str:
    """The same of a script on stdin alone, whole or not."""
    return next((why for mark, why in MARKS.items() if mark in stdin), "")
