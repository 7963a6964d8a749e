"""`bastion session redact | hold | release | holds`: what is taken out of recordings, and what must stay.

An order to redact is signed by people. Where two have to sign, the first saves it into a file (`--save`), and the
second looks at it and carries it out (`--order FILE`): nothing waits in the bastion meanwhile.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bastion.cli import output, reach
from bastion.cli.options import Settings, remote_verb
from bastion.errors import Conflict, StoreError, UsageError

if TYPE_CHECKING:
    from bastion.control.client import Client
    from bastion.control.wire import HoldInfo, RedactionInfo

ORDER_LIMIT = 64 << 10
"""Bytes of a file with an order: it fits into an entry of 16 KiB."""


@click.command("redact")
@click.argument("session", metavar="[ID]", required=False)
@click.option("--at", metavar="TIME", help="From this time of the recording on: seconds, M:SS or H:MM:SS.")
@click.option("--until", metavar="TIME", help="Up to this time.")
@click.option("--request", metavar="ID", help="What this request put out.")
@click.option("--text", metavar="TEXT", help="Wherever this is; `-` reads it from stdin, so that no history has it.")
@click.option("--secrets", is_flag=True, help="Wherever the rules find a secret.")
@click.option("--content", "contents", multiple=True, metavar="ID", help="The content of this request, too.")
@click.option("--reason", default="", help="Why; stands in the ledger for ever.")
@click.option("--save", type=click.Path(path_type=Path), metavar="FILE", help="Sign it, and save it for the next one.")
@click.option("--order", type=click.Path(path_type=Path), metavar="FILE", help="Sign this one, too, and carry it out.")
@remote_verb
def redact(settings: Settings, session: str | None, **given: Any) -> None:
    """Take something out of a recording, for good. Takes the keys of two people with the role admin.

    The ledger keeps who, when, why, which frames and a hash of what was there; the rest of the recording still proves
    itself, and `ledger verify` says what is missing. Nothing is taken out of the ledger's entries.
    """
    if (session is None) is (given["order"] is None):
        raise UsageError("name a session, or an order in a file", "one of them")
    done = reach.run(_carry_out(settings, given["order"]) if session is None else _begin(settings, session, given))
    if settings.json:
        output.as_json(done)
    elif "saved" in done:
        output.say(f"signed, saved in {output.shown(str(done['saved']))}: not carried out yet")
    else:
        output.say(f"redacted {output.shown(done['session'])}: frames {done['frames'] or 'none'}")


async def _begin(settings: Settings, session: str, given: dict[str, Any]) -> dict[str, Any]:
    from bastion.control import wire
    from bastion.control.timeline import place
    from bastion.custody import ORDER_SECONDS, checked_reason
    from recorder.orders import Order, ranges_of

    reason = checked_reason(given["reason"])
    text = given["text"]
    if text == "-":
        text = sys.stdin.read().removesuffix("\n")
    async with _signing(settings) as client:
        info = await client.call(wire.ShowSession, wire.SessionInfo, session=session)
        plan = await client.call(
            wire.PlanRedaction,
            wire.RedactionInfo,
            session=info.id,
            first=place(given["at"] or "0"),
            last=place(given["until"]) if given["until"] else (1 << 53 if given["at"] else -1),
            request=given["request"] or "",
            text=(text or "").encode("utf-8", "surrogateescape"),
            secrets=given["secrets"],
            contents=tuple(given["contents"]),
        )
        _show(settings, plan, reason)
        order = Order(
            origin=client.welcome.origin,
            session=info.id,
            frames=ranges_of(plan.frames),
            contents=tuple(plan.contents),
            reason=reason,
            expires=time.time_ns() // 1000 + ORDER_SECONDS * 1_000_000,
            checkpoint=hashlib.sha256(client.welcome.checkpoint.encode()).hexdigest(),
        )
        statement = order.encode()
        signature = await _sign(client, statement)
        if given["save"] is not None:
            _save(given["save"], statement, [signature])
            return {**output.structure(plan), "saved": str(given["save"])}
        if plan.people > 1:
            raise UsageError(f"it takes {plan.people} people", "--save FILE, and another one: --order FILE")
        return dict(output.structure(await _send(client, statement, [signature])))


async def _carry_out(settings: Settings, path: Path) -> dict[str, Any]:
    from bastion.control.wire import RedactionInfo
    from recorder.orders import ranges_text, read_order
    from recorder.votes import Violation

    try:
        with path.open("rb") as file:
            saved = json.loads(file.read(ORDER_LIMIT))
        statement, signatures = saved["statement"].encode(), [str(each) for each in saved["signatures"]]
        order = read_order(statement)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, Violation) as error:
        raise UsageError(f"{path} is no order: {error}") from None
    async with _signing(settings) as client:
        plan = RedactionInfo(
            session=order.session, frames=ranges_text(order.frames), contents=list(order.contents), count=0, bytes=0,
            people=len(signatures) + 1,
        )  # fmt: skip
        _show(settings, plan, order.reason)
        return dict(output.structure(await _send(client, statement, [*signatures, await _sign(client, statement)])))


def _show(settings: Settings, plan: RedactionInfo, reason: str) -> None:
    """What is signed, before it is."""
    about = sys.stderr if settings.json else sys.stdout
    rows = (
        ("session", plan.session),
        ("frames", (plan.frames or "none") + (f" ({plan.count}, {plan.bytes} bytes)" if plan.count else "")),
        ("contents", ", ".join(f"of entry {seq}" for seq in plan.contents) or "none"),
        ("reason", reason),
    )
    for name, text in rows:
        output.say(f"{name:12}{output.shown(text)}", file=about)


def _signing(settings: Settings) -> Any:
    return reach.deciding(settings, role="admin")


async def _sign(client: Client, statement: bytes) -> str:
    from bastion.control.wire import REDACTION_NAMESPACE

    if client.signer is None:
        raise UsageError("no key to sign with", "--key FILE names an admin's key")
    return await client.signer.sign(statement, REDACTION_NAMESPACE)


async def _send(client: Client, statement: bytes, signatures: list[str]) -> RedactionInfo:
    from bastion.control import wire

    return await client.call(wire.Redact, wire.RedactionInfo, statement=statement, signatures=signatures, seconds=600.0)


def _save(path: Path, statement: bytes, signatures: list[str]) -> None:
    import os

    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            json.dump({"statement": statement.decode(), "signatures": signatures}, file, indent=1)
    except FileExistsError:
        raise Conflict(f"{path} exists", "nothing was written; choose another file") from None
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from None


@click.command("hold")
@click.argument("session", metavar="ID")
@click.option("--reason", required=True, help="Why; stands in the ledger.")
@remote_verb
def hold(settings: Settings, session: str, reason: str) -> None:
    """Keep a session's recording, whatever its age, and let nothing be redacted in it, until it is released."""
    _change(settings, "PlaceHold", session, reason, "held")


@click.command("release")
@click.argument("session", metavar="ID")
@click.option("--reason", required=True, help="Why; stands in the ledger.")
@remote_verb
def release(settings: Settings, session: str, reason: str) -> None:
    """Lift a hold: retention counts again."""
    _change(settings, "LiftHold", session, reason, "released")


@click.command("holds")
@remote_verb
def holds(settings: Settings) -> None:
    """List the sessions that are held."""

    async def work() -> list[HoldInfo]:
        from bastion.control import wire

        async with reach.daemon(settings, why="it knows them") as client:
            return await client.call(wire.ListHolds, list[wire.HoldInfo])

    rows = reach.run(work())
    if settings.json:
        output.as_json([output.structure(row) for row in rows])
    else:
        output.table(
            ("SESSION", "SINCE", "BY", "REASON"),
            [(row.session, output.when(row.since), row.by, row.reason) for row in rows],
        )


def _change(settings: Settings, call: str, session: str, reason: str, word: str) -> None:
    async def work() -> HoldInfo:
        from bastion.control import wire

        async with reach.daemon(settings, why="holds are its business") as client:
            info = await client.call(wire.ShowSession, wire.SessionInfo, session=session)
            return await client.call(getattr(wire, call), wire.HoldInfo, session=info.id, reason=reason)

    info = reach.run(work())
    if settings.json:
        output.as_json(output.structure(info))
    else:
        output.say(f"{word} {output.shown(info.session)}")


VERBS = (redact, hold, release, holds)
