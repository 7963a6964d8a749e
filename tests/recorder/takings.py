"""Ledgers from which something is taken out: administrators, a clock that can be set on, two recordings."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from recorder.entry import Entry
from recorder.ledger import Draft, Ledger
from recorder.orders import NAMESPACE, Order
from recorder.reader import Reader
from recorder.redacting import Choose, plan
from recorder.verify import Report, Verdict, verify
from tests.recorder.stories import HOST, Person, Story, ledger_key

DAY = 86_400
SECRET = b"AKIA" + b"IOSFODNN7EXAMPLE"


class Clock:
    """A wall clock that can be set on."""

    boot = "00000000-0000-4000-8000-000000000000"

    def __init__(self) -> None:
        self.now = 1_763_700_000_000_000_000

    def wall(self) -> int:
        self.now += 1_000_000
        return self.now

    def monotonic(self) -> int:
        return self.now

    def later(self, days: float) -> None:
        self.now += int(days * DAY * 1_000_000_000)


@dataclass
class Taken:
    """A ledger with `s-1` (production, over) and `s-2` (staging, over), and who may take something out of them."""

    store: Path
    ledger: Ledger
    clock: Clock
    ana: Person = field(default_factory=lambda: Person("ana"))
    ben: Person = field(default_factory=lambda: Person("ben"))
    cleo: Person = field(default_factory=lambda: Person("cleo"))

    @classmethod
    def begin(cls, store: Path) -> Taken:
        clock = Clock()
        made = cls(store, Ledger.create(store, host=HOST, key=ledger_key(), clock=clock), clock)
        story = made.story
        story.identity(made.ana, roles=("admin",))
        story.identity(made.ben, roles=("admin", "approver"))
        story.identity(made.cleo, roles=("approver",))
        for name, env in (("web-1", "production"), ("lab-1", "staging")):
            story.write(Draft("target.added", "local:0", {"name": name, "env": env}))
        for session, target in (("s-1", "web-1"), ("s-2", "lab-1")):
            story.write(Draft("session.opened", "fixer", {"target": target}, session=session))
            made.record(session)
            story.write(Draft("session.closed", "bastion", {"end": "done"}, session=session))
        return made

    @property
    def story(self) -> Story:
        return Story(self.ledger, self.ana, self.ben)

    def record(self, session: str) -> None:
        """Three commands; a key is printed by the second, in two reads."""
        lines = [b"line %d of some output\r\n" % number for number in range(400)]
        self.story.record(
            session,
            ("marker", b"r-1 ls"),
            ("output", b"".join(lines)),
            ("marker", b"r-2 env"),
            ("output", b"KEY=" + SECRET[:9]),
            ("resize", b"80x24"),
            ("output", SECRET[9:] + b"\r\n"),
            ("marker", b"r-3 true"),
            ("output", b"".join(reversed(lines))),
            ("exit", b"0"),
            chunk_bytes=4096,
        )

    def order(self, choose: Choose, session: str = "s-1", **changes: Any) -> Order:
        with Reader.open(self.store) as reader:
            frames = plan(reader, session, choose).frames
        values = {
            "origin": self.ledger.origin, "session": session, "frames": frames, "contents": (),
            "reason": "a key was printed", "expires": self.clock.now // 1000 + 3_600_000_000, "checkpoint": "0" * 64,
        }  # fmt: skip
        return Order(**{**values, **changes})

    def signed(self, order: Order, *people: Person, namespace: str = NAMESPACE) -> tuple[str, list[dict[str, str]]]:
        text = order.encode().decode()
        return text, [{"by": each.name, "signature": each.sign(text, namespace)} for each in people]

    def write(self, kind: str, body: dict[str, Any], session: str = "", cause: str = "") -> Entry:
        return self.story.write(Draft(kind, "local:0", body, session=session, cause=cause))

    def limits(self, default: int = 0, **limits: int) -> None:
        self.write("retention.configured", {"limits": limits, "default": default})


def jsoned(entry: Entry) -> Any:
    return json.loads(entry.bytes)


def ordered(taken: Taken, statement: str, signatures: list[Any], session: str = "s-1") -> Entry:
    """The entry of an order, rightful or not."""
    return taken.write("redaction.ordered", {"statement": statement, "signatures": signatures}, session)


def judged(taken: Taken, text: str) -> Report:
    """It is named, by these words."""
    report = verify(taken.store)
    assert report.verdict is Verdict.TAMPER
    assert any(text in problem.message for problem in report.problems), report.problems
    return report
