"""What somebody else on the target does to it while a person looks at a transfer that is held.

Each takes the directory that the transfer goes to, with `file` in it, and puts something else in the place of what was
looked at.
"""

from __future__ import annotations

import os
from pathlib import Path


def another_content(there: Path) -> None:
    (there / "file").write_text("changed\n")


def same_size(there: Path) -> None:
    """And the same dates."""
    status = (there / "file").stat()
    (there / "file").write_text("as it is!\n")
    os.utime(there / "file", ns=(status.st_atime_ns, status.st_mtime_ns))


def another_mode(there: Path) -> None:
    (there / "file").chmod(0o4755)


def gone(there: Path) -> None:
    (there / "file").unlink()


def a_link(there: Path) -> None:
    """To a file with the same content."""
    (there / "elsewhere").write_text("as it was\n")
    (there / "file").unlink()
    (there / "file").symlink_to("elsewhere")


def a_directory(there: Path) -> None:
    (there / "file").unlink()
    (there / "file").mkdir()


def a_fifo(there: Path) -> None:
    (there / "file").unlink()
    os.mkfifo(there / "file")


def another_directory(there: Path) -> None:
    there.rename(there.with_name("moved"))
    there.mkdir()
    (there / "file").write_text("as it is\n")


def a_linked_directory(there: Path) -> None:
    """The very same directory, behind a link."""
    there.rename(there.with_name("moved"))
    there.symlink_to("moved")


def something_new(there: Path) -> None:
    """In a directory, `old`, that goes as a whole."""
    (there / "old" / "new").write_text("nobody saw this\n")
