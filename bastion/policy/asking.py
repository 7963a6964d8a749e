"""What an agent can say to the bastion itself: `ssh bastion@bastion COMMAND`. Pure.

    help                                             targets        whoami        requests
    request-access TARGET --for 30m --reason "why"

Theory of operation. This is no shell. A line is split into words by blanks and quotes, nothing is expanded, and a
word or option that is not listed here is refused with the line to type. A reason goes on to the next option or the
end: it is words for people, and the agent's own shell often takes the quotes that were put round it. A request for
access is put into one canonical spelling, `request-access TARGET --for SECONDSs`, which is what is shown, hashed,
approved, and read back by the ledger's verifier.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LINE_LIMIT = 4096
"""Bytes of one such line: a target, a time and a reason of 1,024 characters."""

REASON_LIMIT = 1024
"""Characters of a reason: it stands in a ledger entry."""

HELP = """\
targets                                          where you may ask for something, and where it takes a grant
whoami                                           who you are to the bastion
requests                                         what you asked for lately, and what became of it
request-access TARGET --for 30m --reason "why"   ask for access where it takes a grant
help                                             this
"""

PLAIN = frozenset({"help", "targets", "whoami", "requests"})
"""Words that stand alone."""

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LASTING = re.compile(r"([0-9]{1,7})([smhd])", re.ASCII)
_WORDS = re.compile(r"""[ \t]*((?:[^ \t"'\\]+|"[^"\\]*"|'[^']*')+)(?=[ \t]|$)""")
_CANONICAL = re.compile(rb"request-access ([a-z0-9._-]{1,64}) --for ([1-9][0-9]{0,6})s")


class NotUnderstood(ValueError):
    """The line is not one of these; the message is for the agent."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One line that was understood."""

    verb: str
    """One of PLAIN, or `request-access`."""
    target: str = ""
    seconds: int = 0
    reason: str = ""


def read(line: bytes) -> Ask:
    """What the line asks for. Raises NotUnderstood and nothing else."""
    words = _split(line)
    verb = words[0] if words else "help"
    if verb in PLAIN:
        if len(words) > 1:
            raise NotUnderstood(f"{verb} takes no words")
        return Ask(verb)
    if verb != "request-access":
        raise NotUnderstood("the bastion has no such command; `ssh bastion@bastion help` lists those it has")
    return _access(words[1:])


def _split(line: bytes) -> list[str]:
    if len(line) > LINE_LIMIT:
        raise NotUnderstood(f"a line has at most {LINE_LIMIT} bytes")
    try:
        text = line.decode().rstrip(" \t\n")
    except UnicodeDecodeError:
        raise NotUnderstood("the line is not UTF-8") from None
    if not text.isprintable() and any(not char.isprintable() and char != "\t" for char in text):
        raise NotUnderstood("the line holds control or invisible characters")
    words, at = [], 0
    while at < len(text):
        match = _WORDS.match(text, at)
        if match is None:
            raise NotUnderstood(
                "words are separated by blanks; \" or ' round some of them group, and there are no other quotes"
            )
        words.append(re.sub(r"\"([^\"]*)\"|'([^']*)'", lambda found: found[1] or found[2] or "", match[1]))
        at = match.end()
    return words


def _access(words: list[str]) -> Ask:
    usage = 'request-access TARGET --for 30m --reason "why"'
    given: dict[str, str] = {}
    target = ""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word in ("--for", "--reason"):
            if word in given or not rest:
                raise NotUnderstood(f"{word} is given once, with a value: {usage}")
            given[word] = rest.pop(0)
            while word == "--reason" and rest and not rest[0].startswith("-"):
                given[word] += f" {rest.pop(0)}"
        elif word.startswith("-") or target:
            raise NotUnderstood(f"this is not understood: {usage}")
        else:
            target = word
    if not target or set(given) != {"--for", "--reason"}:
        raise NotUnderstood(f"target, time and reason are wanted: {usage}")
    lasting = _LASTING.fullmatch(given["--for"])
    seconds = int(lasting[1]) * _UNITS[lasting[2]] if lasting else 0
    if not seconds:
        raise NotUnderstood("a time is a whole number and s, m, h or d: 30s, 10m, 8h")
    reason = given["--reason"].strip()
    if not 0 < len(reason) <= REASON_LIMIT or not reason.isprintable():
        raise NotUnderstood(f"a reason has 1 to {REASON_LIMIT} printable characters")
    return Ask("request-access", target, seconds, reason)


def spelt(target: str, seconds: int) -> bytes:
    """The one spelling of a request for access."""
    return b"request-access %s --for %ds" % (target.encode(), seconds)


def seconds_of(command: bytes) -> int:
    """How long a request for access in that spelling asks for. Raises NotUnderstood."""
    match = _CANONICAL.fullmatch(command)
    if match is None:
        raise NotUnderstood("this is no request for access")
    return int(match[2])
