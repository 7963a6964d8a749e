"""One HTTP POST, bounded in time and size, over verified TLS, which follows nobody elsewhere.

asyncio and h11: a client library that follows redirects, reads proxies from the environment, keeps cookies or
decompresses what it gets is more than a notification needs, and each of those is a way to be led on.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11

from bastion.oserrors import in_words

SECONDS = 10.0
"""For all of it: looking the name up, connecting, sending, the answer. Standard Webhooks lets a receiver take 15 to 30;
a person who waits for a notification does not."""

ANSWER_LIMIT = 64 << 10
"""Bytes of an answer that are read."""

HEADERS_LIMIT = 16 << 10
"""Bytes of an answer's head."""


class PostError(Exception):
    """It did not get there."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    retry_after: float
    """Seconds that it asks to wait; 0: does not say."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to."""

    secure: bool
    host: str
    port: int
    path: str
    """With the query."""

    @property
    def authority(self) -> str:
        """For the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


def address(url: str) -> Address:
    """Raises ValueError: not an address, or one without TLS that is not of this machine."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.password:
        raise ValueError("https://HOST/PATH, without a user")
    if any(not " " < char < "\x7f" for char in url):
        raise ValueError("an address is printable ASCII")
    secure = parts.scheme == "https"
    if not secure and not _loopback(parts.hostname):
        raise ValueError("http:// is for this machine only; elsewhere it takes https://")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Address(secure, parts.hostname, parts.port or (443 if secure else 80), path)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def post(where: Address, body: bytes, headers: dict[str, str], *, seconds: float = SECONDS) -> Answer:
    """Send and read the answer, whatever its status. Raises PostError."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(seconds):
            context = ssl.create_default_context() if where.secure else None
            reader, writer = await asyncio.open_connection(where.host, where.port, ssl=context, limit=HEADERS_LIMIT)
            return await _exchange(reader, writer, where, body, headers)
    except TimeoutError:
        raise PostError(f"no answer within {seconds:g} s") from None
    except ssl.SSLError as error:
        raise PostError(f"TLS: {error.reason or error}") from None
    except (OSError, h11.ProtocolError, ValueError) as error:
        raise PostError(in_words(error)) from None
    finally:
        if writer is not None:
            writer.transport.abort()
            await asyncio.sleep(0)  # the loop closes the socket with its next turn
            await asyncio.sleep(0)


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, where: Address, body: bytes, headers: dict[str, str]
) -> Answer:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEADERS_LIMIT)
    given = {
        "Host": where.authority,
        "User-Agent": "agent-bastion",
        "Accept": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        **headers,
    }
    request = h11.Request(method="POST", target=where.path, headers=list(given.items()))
    writer.write(connection.send(request) or b"")
    writer.write(connection.send(h11.Data(data=body)) or b"")
    writer.write(connection.send(h11.EndOfMessage()) or b"")
    await writer.drain()
    status, wait, answer = 0, 0.0, bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(HEADERS_LIMIT))
        elif isinstance(event, h11.Response):
            status, wait = event.status_code, _retry_after(event)
        elif isinstance(event, h11.Data):
            answer += event.data
            if len(answer) > ANSWER_LIMIT:
                raise PostError(f"an answer of more than {ANSWER_LIMIT} bytes")
        elif isinstance(event, h11.EndOfMessage):
            return Answer(status, bytes(answer), wait)
        elif isinstance(event, h11.ConnectionClosed):
            raise PostError("the connection was closed without an answer")


def _retry_after(response: h11.Response) -> float:
    """Seconds of a Retry-After in digits (RFC 9110 section 10.2.3); its other form, a date, is not waited for."""
    for name, value in response.headers:
        if name == b"retry-after" and value.isdigit() and len(value) < 6:
            return float(value)
    return 0.0
