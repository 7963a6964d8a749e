"""What stands in the way before a rule is asked: a freeze, or a grant that is missing. Pure.

The order of everything, from what always wins to what is left:

    a `never` or `deny` rule  >  freeze  >  grant missing  >  whitelist  >  `allow` rule  >  hold
"""

from __future__ import annotations

from dataclasses import dataclass

from bastion.access import Freeze, FreezeMode
from bastion.directory import Directory
from bastion.model import RequestKind, Target, Verdict


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a request does not get to the rules."""

    verdict: Verdict
    """DENY, or HOLD, then whatever the whitelist or a rule would allow."""
    rule: str
    """`freeze f-…` or `grant`."""
    reason: str
    """One sentence; with DENY the agent gets it."""

    @property
    def said(self) -> tuple[str, str]:
        """Rule and reason."""
        return self.rule, self.reason


def obstacle(directory: Directory, kind: RequestKind, identity: str, target: str, now: int) -> Obstacle | None:
    """What stands in the way of that identity on that target at `now` (microseconds); None if nothing does."""
    place = directory.targets.get(target)
    env = place.env if place is not None else ""
    freeze = directory.access.frozen(target, env)
    if freeze is not None and freeze.mode is FreezeMode.REFUSE:
        return Obstacle(Verdict.DENY, f"freeze {freeze.id}", frozen(freeze))
    if (
        place is not None
        and kind is not RequestKind.GRANT
        and (reason := missing_grant(directory, identity, place, now))
    ):
        return Obstacle(Verdict.DENY, "grant", reason)
    if freeze is not None:
        return Obstacle(Verdict.HOLD, f"freeze {freeze.id}", frozen(freeze))
    return None


def missing_grant(directory: Directory, identity: str, target: Target, now: int) -> str:
    """Why that identity may not be on that target without a grant; empty if it may."""
    if not directory.needs_grant(target) or directory.grant(identity, target.name, now) is not None:
        return ""
    line = f"ssh bastion@bastion 'request-access {target.name} --for 30m --reason \"...\"'"
    return f"{target.name} is in {target.env}, where access takes a grant; ask: {line}"


def frozen(freeze: Freeze) -> str:
    """A freeze in one sentence."""
    return f"{freeze.name or 'everything'} is frozen: {freeze.reason}"
