"""The mailbox of a session."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from bastion.gate import effects as do
from bastion.gate import shell_events as sv
from bastion.ssh.channel import AgentChannel
from bastion.ssh.dealings import Dealings, Mailbox, end_of


async def test_a_flood_of_sizes_is_one_and_order_stays() -> None:
    box: Mailbox[sv.Event] = Mailbox()
    box.post(sv.BytesTyped(b"a"))
    for columns in range(1000):
        box.post_newest(sv.WindowChanged(columns, 24))
    box.post(sv.BytesTyped(b"b"))
    box.post_newest(sv.WindowChanged(7, 7))
    box.post_first(sv.InputEnded())
    async with asyncio.timeout(5):
        found = [await box.take() for _ in range(len(box))]
    assert found == [
        sv.InputEnded(),
        sv.BytesTyped(b"a"),
        sv.WindowChanged(999, 24),
        sv.BytesTyped(b"b"),
        sv.WindowChanged(7, 7),
    ]


class Channel:
    """As much of one as is asked."""

    def __init__(self, unsent: int, closing: bool = False) -> None:
        self._unsent, self._closing = unsent, closing

    def get_write_buffer_size(self) -> int:
        return self._unsent

    def is_closing(self) -> bool:
        return self._closing


@pytest.mark.parametrize(
    ("channel", "gone", "delivered"),
    [
        (Channel(0), False, True),
        (Channel(1), False, False),
        (Channel(1), True, True),
        (Channel(1, closing=True), False, True),
        (None, False, True),
    ],
)
def test_a_session_ends_with_its_command_only_if_nothing_waits_for_the_agent(
    channel: Channel | None, gone: bool, delivered: bool
) -> None:
    """What an agent has not taken can take it minutes, in which its session is not over."""
    dealings = Dealings.__new__(Dealings)
    dealings.channel, dealings.gone = cast(AgentChannel | None, channel), gone
    assert dealings.delivered is delivered


def test_how_a_session_ends_in_words() -> None:
    assert end_of(do.Exit(3)) == "exit 3"
    assert end_of(do.Exit(0, "TERM")) == "signal TERM"
    assert end_of(do.Exit(126, why="refused by policy")) == "refused by policy"
