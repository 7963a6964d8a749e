"""What can go wrong, as a small tree. Refusal is a value (see model.Verdict, model.Decision); these are failures.

    BastionError            anything below; carries a hint
    ├── UsageError          the caller asked for something that makes no sense          exit 2
    │   └── ConfigError     a configuration file, with line and column                  exit 2
    ├── NotFound            no such identity, target, request or session                exit 1
    ├── Conflict            it exists already, was decided already, or changed meanwhile exit 1
    ├── NotAllowed          this identity may not do this                               exit 1
    ├── Unreachable         the daemon or a target did not answer                       exit 1
    │   └── HostKeyMismatch a target showed another key than the pinned one             exit 1
    ├── HeadMismatch        a bastion's record is not the one that was seen before      exit 1
    └── StoreError          the ledger or a recording cannot be written or read         exit 2
        └── StoreStopped    it could until now: the daemon stops, and may be started    exit 1

Messages are lower case without a full stop; the hint says what to do next.
"""

from __future__ import annotations

from typing import ClassVar


class BastionError(Exception):
    """Base of all failures that a person is told about in one line."""

    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(BastionError):
    """The request makes no sense as it stands."""

    exit_status = 2


class ConfigError(UsageError):
    """A configuration file is wrong; `line` and `column` count from 1, 0 when the place is unknown."""

    def __init__(self, path: str, message: str, *, line: int = 0, column: int = 0, hint: str = "") -> None:
        place = f"{path}:{line}:{column}" if line else path
        super().__init__(f"{place}: {message}", hint)
        self.path, self.line, self.column = path, line, column


class NotFound(BastionError):
    """No such thing."""


class Conflict(BastionError):
    """The thing exists already, has been decided already, or changed meanwhile."""


class NotAllowed(BastionError):
    """The caller's role does not permit this."""


class Unreachable(BastionError):
    """The other end did not answer."""


class HostKeyMismatch(Unreachable):
    """A target showed a host key that is not the pinned one."""


class HeadMismatch(BastionError):
    """A bastion cannot prove that its ledger continues the one that was seen before."""


class StoreError(BastionError):
    """The store cannot be opened, written or read."""

    exit_status = 2


class StoreStopped(StoreError):
    """It could be written until now: a full disk, one that fails, a signer that was killed. What is started anew may
    find it mended, so a service manager may try."""

    exit_status = 1
