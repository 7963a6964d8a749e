"""What things may be called: identities, targets, accounts, credentials, addresses; and shortened ids. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bastion.errors import Conflict, NotFound, UsageError

NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?", re.ASCII)
"""Names of identities and targets: 1-64 of a-z 0-9 . _ - as in DNS labels, so that one can be an SSH user name."""

CERTIFIED = "ca"
"""Credential of a target that trusts the bastion's authority instead of a key."""

HANDED = "credential"
"""Scheme of a target's credential that systemd hands to the service: `credential:NAME` (systemd.exec(5))."""
CREDENTIAL = re.compile(
    r"(?!(?:host_key|host_authority|upstream_ca|ledger_key)$)[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", re.A
)
"""Its name; systemd takes up to 255 characters. The bastion's own keys log in nowhere."""

LOGIN = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,31}", re.ASCII)
"""A remote account: what useradd(8) accepts, capitals and dots too; 32 characters is its limit."""

RESERVED = frozenset({"bastion", "local"})
"""Names that mean something else: `bastion@` is the bastion itself, `local:` its host's administrator."""


def check_name(name: str, what: str) -> None:
    """A name of a `what`. Raises UsageError."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is no name for an {what}" if what[0] in "aeiou" else f"{name!r} is no {what} name",
            "1-64 of a-z 0-9 . _ -, a letter or digit at both ends",
        )
    if name in RESERVED:
        raise UsageError(f"{name} is reserved", "choose another name")


def parse_address(text: str) -> tuple[str, int]:
    """`HOST:PORT`, `[IPv6]:PORT` or `HOST` (port 22). Raises UsageError."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?", text, re.ASCII)
    port = int(match[3] or 22) if match else 0
    if not match or not 0 < port < 65536 or text.startswith("-"):
        raise UsageError(f"{text!r} is no address", "HOST:PORT or [IPv6]:PORT")
    return match[1] or match[2], port


def pick(wanted: str, known: Iterable[str], what: str) -> str:
    """The one id that is `wanted` or begins with it. Raises NotFound, or Conflict when several do."""
    ids = list(known)
    if wanted in ids:
        return wanted
    hits = [each for each in ids if wanted and each.startswith(wanted)]
    if not hits:
        raise NotFound(f"no {what} {wanted!r}")
    if len(hits) > 1:
        raise Conflict(f"{wanted!r} could be {len(hits)} of them", "give more of the id")
    return hits[0]
