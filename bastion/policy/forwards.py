"""Where a forward leads: HOST:PORT in one spelling, so that what policy names is what is shown and dialled. Pure.

Theory of operation. The target dials, and its resolver says which address a name has: the bastion never looks a name
up, so there is no address that was checked and another that is used. What is compared is the spelling, and there is
one spelling for each destination: names in lower case, addresses as RFC 5952 and four decimal numbers have them. What
has a second meaning somewhere (`127.1`, `0x7f000001`, `2130706433`, `::ffff:127.0.0.1`, a trailing dot, a scope) is
refused, not normalised: resolvers read such forms each in their own way (inet_aton(3), WHATWG URL 3.5).

    name     labels of letters, digits, `-` and `_`, at most 63 each and 253 in all (RFC 1035 2.3.4)
    IPv4     four decimal numbers without leading zeros
    IPv6     any form of RFC 4291 2.2; in policy and in a request's text between brackets

A name and the address that it has are two destinations: policy that names `127.0.0.1:5432` does not name
`localhost:5432`.

Not protected: who controls the target's resolver (or its /etc/hosts) says where a name leads. Where that matters,
policy names an address.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

NAME_LIMIT = 253
"""Characters of a host name: RFC 1035 section 2.3.4, less the lengths and the root."""

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*", re.ASCII)
"""A last label of this form makes a resolver take the whole for an address (WHATWG URL 3.5, "ends in a number")."""
_WRITTEN = re.compile(r"(?:\[([0-9A-Fa-f:.%]+)\]|([^\[\]:\s]+)):([0-9]{1,5})", re.ASCII)
_COMMAND = re.compile(rb"forward (\S+) for ([1-9][0-9]{0,6})s")


class NotADestination(ValueError):
    """It cannot be one; the message says what would be."""


@dataclass(frozen=True, slots=True)
class Destination:
    """One, in its one spelling."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def destination(host: str, port: int) -> Destination:
    """Of what a client asked for (RFC 4254 section 7.2). Raises NotADestination and nothing else."""
    if not 0 < port <= 65535:
        raise NotADestination("a port is a number from 1 to 65535")
    return Destination(_host(host), port)


def parse(text: str) -> Destination:
    """`HOST:PORT` or `[IPv6]:PORT`, as policy has it. Raises NotADestination."""
    match = _WRITTEN.fullmatch(text)
    if match is None:
        raise NotADestination("a destination is HOST:PORT or [IPv6]:PORT")
    if match[1] is not None and ":" not in match[1]:
        raise NotADestination("only IPv6 addresses stand in brackets")
    return destination(match[1] or match[2], int(match[3]))


def command(where: Destination, seconds: int) -> bytes:
    """The text of a request for it: what is shown and hashed."""
    return f"forward {where} for {seconds}s".encode()


def read(text: bytes) -> tuple[Destination, int]:
    """What `command` wrote: where it leads, and for how many seconds. Raises NotADestination."""
    match = _COMMAND.fullmatch(text)
    if match is None:
        raise NotADestination("that asks for no forward")
    where = parse(match[1].decode("ascii", "replace"))
    if command(where, int(match[2])) != text:
        raise NotADestination("that is not how a forward is written")
    return where, int(match[2])


def _host(host: str) -> str:
    if ":" in host:
        return _ipv6(host)
    lowered = host.lower() if host.isascii() else ""
    labels = lowered.split(".")
    if lowered.endswith("."):
        raise NotADestination("a host is written without the dot at its end")
    if _NUMBER.fullmatch(labels[-1]):
        return _ipv4(lowered)
    if len(lowered) > NAME_LIMIT or not all(_LABEL.fullmatch(label) for label in labels):
        raise NotADestination("a host is a name of letters, digits, dots and hyphens, or an address")
    return lowered


def _ipv4(host: str) -> str:
    try:
        address = ipaddress.IPv4Address(host)
    except ValueError:
        raise NotADestination("an IPv4 address is four decimal numbers without leading zeros") from None
    _usable(address)
    return str(address)


def _ipv6(host: str) -> str:
    if "%" in host:
        raise NotADestination("an address with a scope means another host on every machine")
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError:
        raise NotADestination("that is no IPv6 address") from None
    if address.ipv4_mapped is not None or address.sixtofour is not None or address.teredo is not None:
        raise NotADestination("an IPv4 address is written as one, not inside an IPv6 address")
    _usable(address)
    return address.compressed


def _usable(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if address.is_unspecified:  # connect(2) takes it for the host itself
        raise NotADestination("the address that means every address is no destination")
    if address.is_multicast or str(address) == "255.255.255.255":
        raise NotADestination("a forward leads to one host")
