"""The mailbox of a session."""

from __future__ import annotations

import asyncio

from bastion.gate import shell_events as sv
from bastion.ssh.dealings import Mailbox


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
