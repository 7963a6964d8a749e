"""A policy from files: read safely, with what it includes, and checked before anybody trusts it.

Theory of operation. A file is opened once, must be a regular one, is refused by its size before a byte of it is read,
and must not have changed when its last byte was read: what is judged by is what was hashed. Included files are named
relative to the including one and must really lie (links resolved) in the directory of the policy itself or below, so
that a policy is one directory that can be reviewed. In errors and in the ledger a file has its name as seen from there;
so the hash of a policy is the same wherever its directory stands.
"""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

from bastion.errors import ConfigError
from bastion.policy import language
from bastion.policy.lint import Finding, Severity, lint
from bastion.policy.rules import Policy
from bastion.policy.tokens import FILE_LIMIT, Place
from bastion.toml import place_of

FILE = "policy.bastion"


def read(path: Path) -> Policy:
    """The policy in `path`, whatever lint would say of it. Raises ConfigError with file, line and column."""
    base = Path(os.path.realpath(path)).parent
    shown = path.parent

    def include(place: Place, file: str, wanted: str) -> tuple[str, str]:
        where = base / Path(file).parent / wanted
        real = Path(os.path.realpath(where))
        if Path(wanted).is_absolute() or not real.is_relative_to(base):
            raise place.error(f'"{wanted}" is outside the directory of the policy')
        try:
            return str(real.relative_to(base)), read_text(real, shown / real.relative_to(base))
        except ConfigError as error:
            raise place.error(f"cannot include: {error.message}", error.hint) from None

    text = read_text(path, path)
    try:
        return language.parse(text, os.path.basename(path), include)
    except ConfigError as error:
        if error.line and not os.path.isabs(error.path):
            text = error.message.split(": ", 1)[1]
            raise ConfigError(
                str(shown / error.path), text, line=error.line, column=error.column, hint=error.hint
            ) from None
        raise


def load(path: Path, *, approvals: int, timeout: int) -> tuple[Policy, list[Finding]]:
    """The policy, fit to be put in force, and what lint warns of. Raises ConfigError, also for lint's errors."""
    policy = replace(read(path), default_approvals=approvals, default_timeout=timeout)
    findings = lint(policy)
    for finding in findings:
        if finding.severity is Severity.ERROR:
            place = finding.place
            raise ConfigError(
                str(path.parent / place.file), finding.message, line=place.line, column=place.column, hint=finding.hint
            )
    return policy, findings


def read_text(path: Path, shown: Path) -> str:
    """The text of one regular file; `shown` is its name in errors. Raises ConfigError."""
    try:
        # NONBLOCK: opening a pipe that nobody writes to would wait for ever
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise ConfigError(str(shown), f"cannot be read: {getattr(error, 'strerror', '') or error}") from None
    before = os.fstat(fd)
    if not stat.S_ISREG(before.st_mode):
        os.close(fd)
        raise ConfigError(str(shown), "cannot be read: not a regular file")
    with os.fdopen(fd, "rb") as file:
        if before.st_size > FILE_LIMIT:
            raise ConfigError(str(shown), f"has {before.st_size} bytes; a policy has at most {FILE_LIMIT}")
        try:
            data = file.read(FILE_LIMIT + 1)
        except OSError as error:
            raise ConfigError(str(shown), f"cannot be read: {error.strerror}") from None
        if len(data) > FILE_LIMIT:
            raise ConfigError(str(shown), f"has more than {FILE_LIMIT} bytes")
        if _version(os.fstat(fd)) != _version(before) or len(data) != before.st_size:
            raise ConfigError(str(shown), "changed while it was read", hint="rename a new file over it")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        text = data[: error.start].decode("utf-8")
        place = place_of(text, len(text))
        raise ConfigError(str(shown), "not UTF-8", line=place.line, column=place.column) from None


def version(path: Path) -> tuple[int, ...] | None:
    """Changes when the file at `path` is another one or was written to; None while there is none."""
    try:
        return _version(os.stat(path))
    except OSError:
        return None


def _version(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
