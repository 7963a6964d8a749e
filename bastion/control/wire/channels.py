"""Notification channels as people see them. Pure."""

from __future__ import annotations

import msgspec

from bastion.control.wire.base import Call


class ChannelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One channel of `[[notify]]`."""

    name: str
    kind: str
    state: str
    """`ok`; `failing`: the last message did not arrive; `dead`: several in a row did not, or it cannot send at all;
    `starting`."""
    sent: int
    """Messages since the daemon started."""
    lost: int
    """Given up, or dropped."""
    queued: int
    error: str
    """Why the last one did not arrive; empty if it did."""
    at: int
    """When it was heard of last."""


class ListChannels(Call, frozen=True, kw_only=True, tag="list-channels"):
    """-> list[ChannelInfo]."""


class TryChannels(Call, frozen=True, kw_only=True, tag="try-channels"):
    """-> list[ChannelInfo]: a test message was sent to these, once, and how each stands then. Empty: to all."""

    names: tuple[str, ...] = ()
