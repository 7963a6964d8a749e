"""`bastion request approve ID --identical`: several requests that are the same, each with a vote of its own.

Listed first, then signed one after the other, over what was fetched and listed. What was decided meanwhile is said and
passed over; any other failure, such as a signature that is declined, ends it. Exit 1 where one of them did not count.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bastion.cli import output, reach
from bastion.errors import BastionError, Conflict, NotFound, UsageError

if TYPE_CHECKING:
    from bastion.cli.options import Settings
    from bastion.control.wire import RequestInfo


def approve_each(settings: Settings, wanted: str, reason: str) -> None:
    """Show one, list the others, approve all of them."""
    from bastion.cli.request import describe
    from bastion.control import wire
    from bastion.control.identical import MOST, identical, sameness
    from bastion.model import Choice

    file = sys.stderr if settings.json else sys.stdout

    async def work() -> tuple[list[RequestInfo], list[str], BastionError | None]:
        async with reach.deciding(settings) as client:
            info = await client.call(wire.ShowRequest, wire.RequestInfo, request=wanted)
            describe(info, file=file)
            if not sameness(info):
                raise UsageError(
                    f"{info.id} is judged alone", "what is asked in a shell, was edited or breaks the glass always is"
                )
            me = client.welcome.identity
            others = [each for each in identical(info, await client.requests("held", 0)) if not _voted(each, me)]
            all_of_them = [info, *others[: MOST - 1]]
            ids = ", ".join(each.id for each in all_of_them)
            output.say(f"identical: {len(all_of_them)} requests: {ids}", file=file)
            if len(others) >= MOST:
                output.say(f"{len(others) - MOST + 1} more are identical and left for later", file=file)
            done: list[RequestInfo] = []
            passed: list[str] = []
            for each in all_of_them:
                try:
                    done.append(await client.vote(each, Choice.APPROVE, reason))
                except (Conflict, NotFound) as error:
                    passed.append(f"{each.id} was passed over: {error.message}")
                except BastionError as error:
                    return done, passed, error
            return done, passed, None

    done, passed, failure = reach.run(work())
    if settings.json:
        output.as_json([output.structure(each) for each in done])
    for each in done if not settings.json else ():
        missing = each.approvals - sum(vote.choice == "approve" for vote in each.votes)
        rest = f", {missing} more needed" if each.state == "held" else ""
        output.say(f"approved {each.id} by {output.shown(each.votes[-1].by)}{rest}")
    if failure is not None:
        raise failure
    if passed:
        raise Conflict("; ".join(passed))


def _voted(info: RequestInfo, me: str) -> bool:
    return any(vote.by == me for vote in info.votes)
