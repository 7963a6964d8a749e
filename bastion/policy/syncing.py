"""Which command lines are rsync's far end of an upload, and which of its options are taken. Pure.

Theory of operation. `rsync --server OPTIONS . PATH` is received in the bastion by a rsync of its own (sftp/syncing.py),
into a tree that looks like the target's and has none of its content. So options are taken by a list: those that mean
the same there. Others would read what is not there (`--append`, `--link-dest`), write what SFTP cannot (`-H`, `-A`,
`-X`), or act before anybody decided (`--remove-source-files`); they are refused, each with the way out. Nobody's shell
runs: the path is taken as for scp (copies.py). A download (`--sender`) is none of this, nor is what hides its options.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bastion.policy.copies import Refused, literal, simple, written

STREAM = "BASTION_RSYNC"
"""Variable of the agent's; with `stream` it asks for the command itself, held as one whose writing nobody sees."""

INSTEAD = f"leave it out, or ask for a stream that nobody sees beforehand (ssh -o SetEnv={STREAM}=stream)"

_LETTERS = frozenset("vlogDtprqzcWSumOJdnxLkRIEy")
"""Bundled options that are taken (options.c, server_options). `o` and `g` come with -a: owners are not changed."""

_WHY = {
    "H": "hard links cannot be made beforehand",
    "A": "ACLs do not go over SFTP",
    "X": "extended attributes do not go over SFTP",
    "U": "times of access are not kept",
    "N": "SFTP sets no time of creation",
    "b": "backups are made of what is on the target",
    "K": "links of the target are not followed while it is received",
    "C": "it reads .cvsignore files of the target",
}

_LONG = re.compile(
    r"--(?:numeric-ids|partial|ignore-existing|existing|size-only|no-implied-dirs|delay-updates|fuzzy|no-i-r|"
    r"no-inc-recursive|use-qsort|ignore-errors|prune-empty-dirs|omit-dir-times|omit-link-times|safe-links|"
    r"copy-unsafe-links|force|stats|open-noatime|del|delete(?:-before|-during|-delay|-after|-excluded)?|"
    r"(?:timeout|bwlimit|block-size|compress-level|checksum-seed|max-size|min-size|modify-window|max-alloc|"
    r"max-delete)=[0-9.kKmMgG]+|"
    r"(?:checksum-choice|compress-choice|new-compress|old-compress)=[a-z0-9,]+|(?:log-format|out-format)=[%A-Za-z]+|"
    r"(?:info|debug)=[a-z0-9,]+)",
    re.ASCII,
)

_LONG_WHY = {
    "--remove-source-files": "files would be removed before anybody decided",
    "--inplace": "files are replaced whole",
    "--append": "what is on the target is not read",
    "--append-verify": "what is on the target is not read",
    "--mkpath": "make the directories first",
}

_SHORT = re.compile(r"-([A-Za-z0-9]*?)(e[0-9]*\.[0-9]*[A-Za-z]*)?", re.ASCII)
"""Behind `e` stands what the client can do."""


@dataclass(frozen=True, slots=True)
class Sync:
    """An upload."""

    options: tuple[str, ...]
    """As they came, behind `--server`."""
    path: bytes
    """Absolute, or from the login's home."""

    def has(self, letter: str) -> bool:
        """Whether it is among the bundled options."""
        return any(
            letter in match[1] for option in self.options if (match := _SHORT.fullmatch(option)) and option[1:2] != "-"
        )

    @property
    def deep(self) -> bool:
        """It goes below the directory: -r, or -R with names that do."""
        return self.has("r") or self.has("R")

    @property
    def times(self) -> bool:
        """Times of files are kept."""
        return self.has("t")

    @property
    def directory_times(self) -> bool:
        """And of directories."""
        return self.times and not self.has("O") and "--omit-dir-times" not in self.options

    @property
    def modes(self) -> bool:
        """Modes are kept, or which files are programs."""
        return self.has("p") or self.has("E")


def rsync(command: bytes) -> Sync | Refused | None:
    """The upload that this command line is; None for any other. Never raises."""
    words = simple(command, "rsync") if b"rsync" in command else None
    if words is None or not words or words[0].text != "--server":
        return None
    texts = [word.text for word in words]
    if "." not in texts or "--sender" in texts or "--daemon" in texts:
        return None
    dot = texts.index(".")
    options, paths = words[1:dot], words[dot + 1 :]
    if len(paths) != 1 or not all(map(written, options)):
        return None
    for option in options:
        if hides(option.text):
            return None
        if why := _refused(option.text):
            return Refused(why)
    path = literal(paths[0])
    return path if isinstance(path, Refused) else Sync(tuple(option.text for option in options), path)


def hides(option: str) -> bool:
    """Whether with it rsync sends its real options where nobody sees them (tools.py refuses those)."""
    short = _SHORT.fullmatch(option)
    return (short is not None and "s" in short[1]) or option in ("--secluded-args", "--protect-args")


def _refused(option: str) -> str:
    """Why this option is not taken; empty where it is."""
    if option.startswith("--"):
        if _LONG.fullmatch(option):
            return ""
        why = _LONG_WHY.get(option, "")
        return f"rsync {option.partition('=')[0][:40]} is not taken{f' ({why})' if why else ''}: {INSTEAD}"
    short = _SHORT.fullmatch(option)
    if short is None:
        return f"rsync {option[:40]} is not taken: {INSTEAD}"
    for letter in short[1]:
        if letter not in _LETTERS:
            why = _WHY.get(letter, "")
            return f"rsync -{letter} is not taken{f' ({why})' if why else ''}: {INSTEAD}"
    return ""
