"""A request as this console knows it: checked, pinned, merged. Pure.

Theory of operation. The first time a request is seen, its digest is computed here from what will be displayed; if
that is not the digest that the bastion claims, nobody can vote on it. From then on everything but its progress is
pinned: a later message that tells anything else of the same request is not taken over, it is trouble. Progress only
goes forward (held, then ended; votes and status are added), so messages that arrive twice, late or in another order
give the same result. Only `attached` and `snoozed` may go back and forth; there the last word counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bastion.control import wire
from bastion.control.identical import PROGRESS, sameness
from bastion.model import State

PINNED = tuple(name for name in wire.RequestInfo.__struct_fields__ if name not in PROGRESS)
"""All fields but those of its progress; also any that the protocol gains later."""


@dataclass(frozen=True, slots=True)
class Item:
    """One request, and whether it can be decided on."""

    info: wire.RequestInfo
    digest: str
    """Computed here; empty when it could not be."""
    trouble: str = ""
    """Why nobody can vote on it, in words; empty when all is well."""
    gone: bool = False
    """The bastion does not know it any more."""
    same: str = ""
    """Hash of all that is judged (control/identical.py); empty for what is judged alone."""

    @property
    def id(self) -> str:
        return self.info.id

    @property
    def held(self) -> bool:
        """It still awaits a decision."""
        return self.info.state == State.HELD and not self.gone

    def snoozed_by(self, me: str, wall: int) -> bool:
        """This person has put it aside; `wall` is the bastion's time."""
        return any(who == me and until > wall for who, until in self.info.snoozed)

    @classmethod
    def first(cls, info: wire.RequestInfo) -> Item:
        """The request as it is first seen. Never raises."""
        try:
            digest = info.to_model().digest
        except ValueError as error:  # an enum or a character that this console does not know
            return cls(info, "", f"this console does not understand the request ({error})")
        if digest != info.digest:
            return cls(info, digest, "what is shown here is not what the bastion hashed")
        return cls(info, digest, same=sameness(info))

    def merged(self, news: wire.RequestInfo) -> Item:
        """The request after another message about it."""
        changed = [name for name in PINNED if getattr(news, name) != getattr(self.info, name)]
        if changed:
            return replace(self, trouble=f"the bastion changed it after it was shown ({', '.join(changed)})")
        if _progress(news) < _progress(self.info):
            return self
        if self.info.state not in (State.HELD, news.state):
            return replace(self, trouble=f"the bastion told two endings ({self.info.state}, then {news.state})")
        return replace(self, info=news, gone=self.gone and news.state == State.HELD)


def _progress(info: wire.RequestInfo) -> tuple[bool, bool, int]:
    """How far a request has come; a message that knows less is an old one."""
    return info.state != State.HELD, bool(info.status), len(info.votes)
