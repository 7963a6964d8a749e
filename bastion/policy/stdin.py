"""Whether a command reads code from its stdin. Pure.

A command that does has all of its stdin read, shown and hashed before anybody is asked; for others stdin streams after
approval. So the error that matters is to miss one: every word that names an interpreter counts, wherever it stands
(behind sudo, env, docker exec …), unless a script or a string of code follows it; and what cannot be read with
certainty counts, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from bastion.policy.shell import Parsed, parse
from bastion.policy.visible import visible_line
from bastion.policy.words import Word

INTERPRETERS = frozenset(
    "sh bash dash ash zsh ksh mksh fish csh tcsh python python2 python3 pypy perl ruby node nodejs deno php lua tclsh "
    "Rscript julia psql mysql mariadb sqlite3 redis-cli mongosh mongo ed ex at batch bc su ssh irb".split()
)
"""Programs that read commands from stdin unless they are told otherwise."""

ALWAYS = frozenset("source . eval xargs parallel crontab patch kubectl ftp sftp telnet gdb".split())
"""Programs whose stdin decides what happens, whatever their arguments."""

TOLD = frozenset("-c -e -E -m -f --command --execute --eval --file -r -p --version --help -V".split())
"""Options after which an interpreter has its code from elsewhere."""


def reads_code(command: bytes) -> str | None:
    """The sentence why `command` reads code from stdin, or None. Never raises."""
    parsed = parse(command)
    if not isinstance(parsed, Parsed):
        return f"this line {parsed.reason}"
    for each in parsed.commands():
        if each.words and not each.words[0].constant:
            return f"what `{visible_line(each.words[0].raw, 40)}` runs is known only when it runs"
        if name := _reader(each.words):
            return f"`{name}` reads its commands from stdin"
    return None


def _reader(words: Sequence[Word]) -> str:
    for at, word in enumerate(words):
        name = word.text.rpartition("/")[2]
        if name in ALWAYS and (at == 0 or name in ("xargs", "parallel")):
            return name
        if name in INTERPRETERS and not _told(words[at + 1 :]):
            return name
    return ""


def _told(words: Sequence[Word]) -> bool:
    texts = [word.text for word in words]
    return any(text in TOLD for text in texts) or any(not text.startswith("-") for text in texts)
