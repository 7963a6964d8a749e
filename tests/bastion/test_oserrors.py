"""What the system says, in words: real failures, of the loop's own calls too."""

from __future__ import annotations

import asyncio
import errno
import socket

import pytest

from bastion.oserrors import in_words
from tests.support.ports import free_port


async def failing(host: str, port: int) -> OSError:
    """What connecting there fails with."""
    with pytest.raises(OSError, match="Connect call") as caught:
        await asyncio.open_connection(host, port)
    return caught.value


async def test_a_connection_that_is_refused() -> None:
    assert in_words(await failing("127.0.0.1", free_port())) == "connection refused"


async def test_of_several_addresses() -> None:
    """As asyncio puts several failures into one without a number."""
    error = OSError(
        "Multiple exceptions: [Errno 111] Connect call failed ('::1', 1, 0, 0), [Errno 113] Connect call ..."
    )
    assert in_words(error) == "connection refused and no route to host"


async def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use") as caught:
        await asyncio.start_server(lambda *_: None, "127.0.0.1", taken.getsockname()[1])
    assert caught.value.errno == errno.EADDRINUSE
    assert in_words(caught.value) == "address already in use"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "name or service not known"),
        (TimeoutError(), "no answer in time"),
        (TimeoutError(errno.ETIMEDOUT, "x"), "connection timed out"),
        (FileNotFoundError(errno.ENOENT, "x", "/f"), "no such file or directory"),
        (OSError("odd"), "odd"),
        (EOFError(), "EOFError"),
        (ValueError("no number"), "no number"),
        (ConnectionResetError(), "ConnectionResetError"),
    ],
)
def test_others(error: Exception, words: str) -> None:
    assert in_words(error) == words
