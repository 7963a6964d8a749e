"""What can go wrong here, as a small tree.

    RecorderError           anything below; carries a hint
    ├── NotAStore           the directory holds no store, or what `create` left when it was killed
    ├── StoreBusy           another process writes to this store
    ├── StoreDamaged        the store contradicts its own signatures; names the first bad entry
    ├── StoreFailed         it cannot be written any more: disk full, fsync failed, I/O error, closed
    ├── KeyFileError        the ledger key cannot be used: absent, too open, another kind
    ├── EntryError          a value that cannot stand in an entry, or bytes that are no entry
    ├── NoteError           bytes that are no checkpoint, or one that the key did not sign
    ├── FrameError          bytes that are no frames
    ├── KeyframeError       data that is no screen's state
    └── CastError           text that is no asciicast

Messages are lower case without a full stop; the hint says what to do next.
"""

from __future__ import annotations


class RecorderError(Exception):
    """Base of all failures of this package."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class NotAStore(RecorderError):
    """There is no store in that directory."""


class StoreBusy(RecorderError):
    """Another process holds the store's lock."""


class StoreDamaged(RecorderError):
    """The store was changed, or has lost something that it had acknowledged."""

    def __init__(self, message: str, hint: str = "", seq: int | None = None) -> None:
        super().__init__(message, hint or "keep the directory as it is and run `verify` on a copy")
        self.seq = seq
        """Number of the first bad entry, where one can be named."""


class StoreFailed(RecorderError):
    """A write failed. Nothing more is written to this store by this process."""


class KeyFileError(RecorderError):
    """The ledger key cannot be used."""


class EntryError(RecorderError):
    """A value that cannot stand in an entry, or bytes that are no canonical entry."""


class NoteError(RecorderError):
    """Bytes that are no signed checkpoint."""


class FrameError(RecorderError):
    """Bytes that are no frames."""


class KeyframeError(RecorderError):
    """Data that is no screen's state."""


class CastError(RecorderError):
    """Text that is no asciicast."""
