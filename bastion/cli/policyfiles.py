"""Policies and actions in files, as the verbs of `bastion policy` take them: read as the daemon would read them."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bastion.errors import UsageError

if TYPE_CHECKING:
    from bastion.policy.judge import Judgement
    from bastion.policy.rules import Policy

FILE = click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
JSON = click.option("--json", "json", is_flag=True, help="Print JSON (docs/json.md).")


def load(file: Path) -> Policy:
    """As the daemon would. Raises ConfigError."""
    from bastion import policyfile

    return policyfile.load(file, approvals=1, timeout=60)[0]


def judged(policy: Policy, action: Path) -> Judgement:
    """What a policy says of an action, with nothing whitelisted or granted. Raises UsageError."""
    from bastion.policy.action import ACTION_LIMIT, read
    from bastion.policy.judge import judge
    from bastion.policy.risk import assess

    if str(action) == "-":
        text = stdin()
    else:
        try:
            with action.open("rb") as file:
                data = file.read(ACTION_LIMIT + 1)
            text = data.decode()
        except OSError as error:
            raise UsageError(f"{action} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise UsageError(f"{action} is not UTF-8") from None
    return judge(read(text, assess), policy, None, now())


def stdin() -> str:
    """Raises UsageError."""
    try:
        return sys.stdin.buffer.read((1 << 20) + 1).decode()
    except UnicodeDecodeError:
        raise UsageError("stdin is not UTF-8") from None


def now() -> int:
    """In microseconds since the epoch."""
    return time.time_ns() // 1000
