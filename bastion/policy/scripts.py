"""Whether a command line runs a file of commands whose content is not part of the line. Pure.

What is remembered must not change its meaning by a change of a file: `./deploy.sh` today is not `./deploy.sh`
tomorrow. Known by the program's name (an interpreter with a file, `source`, `make`) or by a path in front of it that
is none of the system's own directories. A name without a path is taken for a program of the system; what it does is
the facts' matter.

Not seen: files that a program reads as its configuration (`docker compose up`, `npm install`, `nginx -s reload`).
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from bastion.policy.shell import Parsed, Unparsed, parse
from bastion.policy.words import Word

SHELLS = frozenset("sh bash dash zsh ksh mksh ash fish csh tcsh busybox".split())  # noqa: SIM905 - a table
_TAKE_CODE = (
    "python python2 python3 perl ruby node nodejs deno bun php lua Rscript tclsh expect pwsh groovy "
    "ansible-playbook make gmake cmake ninja just rake npx source . run-parts at batch crontab xargs parallel"
)
INTERPRETERS = SHELLS | frozenset(_TAKE_CODE.split())
"""Programs that take what they do from a file or from stdin. Which of their words is the file is not looked at."""

INLINE = {"-c": SHELLS - {"busybox"} | {"python", "python2", "python3"}, "-e": {"perl", "ruby", "node", "nodejs"}}
"""Options, standing first, behind which the code is the line's own."""

FROM_FILE = {
    **dict.fromkeys(("sed", "awk", "gawk", "mawk"), ("f", ("--fi", "--exec", "-E", "-i", "-l"))),
    **dict.fromkeys(("psql",), ("f", ("--fi",))),
    **dict.fromkeys(("mysql", "mariadb", "sqlite3"), ("", ("--init", "-init", "--source"))),
}
"""Programs that take code from a file with an option only: a letter in a group of short ones, and beginnings of
words."""

SEDS_OWN = ("-E", "-i", "-l")
"""What means something else to sed than to awk: extended expressions, in place, line length."""

RUNNERS = {
    "npm": frozenset(["run", "run-script", "test", "start", "stop", "exec", "x"]),
    "yarn": frozenset(["run", "test", "start", "exec", "dlx"]),
    "pnpm": frozenset(["run", "test", "start", "exec", "dlx"]),
}
"""Sub-commands that run a project's scripts."""

READ_FIRST = (SHELLS - {"fish", "csh", "tcsh", "busybox"}) | frozenset(
    ["python", "python2", "python3", "perl", "ruby", "node", "nodejs", "php", "lua", "Rscript", "source", "."]
)
"""Interpreters whose first word, if it is no option, is the file that they run."""

SOURCES = frozenset(["source", "."])
"""These look a name without a `/` up in PATH first."""

CODE_LIMIT = 1 << 20
"""Bytes of a script that is read, shown and hashed; a longer one counts as unknown."""

PREFIXES = frozenset(
    ["sudo", "doas", "env", "nice", "ionice", "nohup", "time", "timeout", "stdbuf", "setsid", "command", "exec"]
)
"""Programs that run another one, which is named by a later word."""

SYSTEM = ("/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/local/bin/", "/usr/local/sbin/")

DEPTH = 4
"""Nested `bash -c` that is followed; more counts as a script."""


def runs_script(parsed: Parsed, depth: int = DEPTH) -> str:
    """The program or file by which the line runs a script; empty if it does not."""
    return next((script for each in parsed.commands() if (script := _script(each.words, depth))), "")


def script_file(parsed: Parsed) -> str:
    """The one file that the line runs, where that is certain: a simple command and nothing else, which is a path with a
    `/` in it, or an interpreter with a file as its first word. Empty for everything else."""
    found = list(parsed.commands())
    if len(found) != 1 or parsed.root.parts != (found[0],) or parsed.functions:
        return ""
    only = found[0]
    if only.assignments or only.redirects or not only.words:
        return ""
    first, *rest = only.words
    if not _certain(first):
        return ""
    name = first.text.rpartition("/")[2] if first.text.startswith(SYSTEM) else first.text
    if "/" in name:
        return name
    if name in READ_FIRST and rest and _certain(rest[0]) and not rest[0].text.startswith(("-", "+")):
        return rest[0].text if "/" in rest[0].text or name not in SOURCES else ""
    return ""


def _certain(word: Word) -> bool:
    return word.constant and not word.splits and not word.inner and "$" not in word.raw and "~" not in word.raw


def question(path: str) -> bytes:
    """What to run on the target to get the file, if it is one: to open a pipe or a device can take or do something."""
    return f"test -f {shlex.quote(path)} && head -c {CODE_LIMIT + 1} < {shlex.quote(path)}".encode()


def guarded(command: bytes, path: str, sha256: str, absent: Sequence[str] = ()) -> bytes:
    """The command behind a comparison of the file, in the same shell: it runs only with the content that was approved,
    and while there is none of the `absent`. Read alike by POSIX shells and fish. Without a path, the command as it is.
    """
    if not path:
        return command
    sum_ = f"\"$(sha256sum < {shlex.quote(path)})\" = '{sha256}  -'"
    refuse = f"echo {shlex.quote(f'bastion: {path} does not hold what was approved; it does not run')} >&2; exit 125"
    none = "".join(f"test -e {shlex.quote(each)} && eval {shlex.quote(refuse)}; " for each in absent)
    return f"test {sum_} || eval {shlex.quote(refuse)}; {none}".encode() + command


def _script(words: Sequence[Word], depth: int) -> str:
    if not words:
        return ""
    if words[0].constant and words[0].text.rpartition("/")[2] in PREFIXES:
        # any later word may be the program: with options that take values it is not certain which
        later = (words[at:] for at in range(1, len(words)) if _may_be_program(words[at]))
        return next((found for rest in later if (found := _script(rest, depth))), "")
    return _named(words, depth)


def _may_be_program(word: Word) -> bool:
    return not word.text.startswith("-") and "=" not in word.text


def _named(words: Sequence[Word], depth: int) -> str:
    if not words[0].constant:
        return "a program that is known only when it runs"
    name = words[0].text
    if name.startswith(SYSTEM):
        name = name.rpartition("/")[2]
    if "/" in name:
        return f"the file {name[:80]}"
    rest = words[1:]
    if name in RUNNERS and any(not word.constant or word.text in RUNNERS[name] for word in rest):
        return f"a script of {name}"
    if name in FROM_FILE:
        return f"a file that {name} reads" if any(_names_file(name, word) for word in rest) else ""
    if name not in INTERPRETERS or _inline(name, rest, depth):
        return ""
    return f"what {name} reads"


def _names_file(name: str, word: Word) -> bool:
    letter, long = FROM_FILE[name]
    if not word.constant or word.may_be_option:
        return word.may_be_option
    if name == "sed" and word.text.startswith(SEDS_OWN):
        return False
    short = word.text.startswith("-") and not word.text.startswith("--") and bool(letter) and letter in word.text
    return short or word.text.startswith(long)


def _inline(name: str, rest: Sequence[Word], depth: int) -> bool:
    """Whether the code stands in the line itself, and runs no script either."""
    if len(rest) < 2 or not rest[1].constant or name not in INLINE.get(rest[0].text, ()):
        return False
    if name not in SHELLS:
        return True
    inside: Parsed | Unparsed = parse(rest[1].text.encode()) if depth else Unparsed("is nested too deeply")
    return isinstance(inside, Parsed) and not runs_script(inside, depth - 1)
