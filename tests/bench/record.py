"""What the record costs: appending to a ledger, checking it, covering secrets.

Runs are interleaved; medians, by wall and by CPU time. The two differ where the machine does something else, too; what
a change is worth shows in the CPU's.
"""

from __future__ import annotations

import base64
import json
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import click

from bastion.policy.secrets import Stream
from recorder.ledger import Draft, Ledger
from recorder.request import digest as digest_of
from recorder.request import parse
from recorder.verify import verify
from tests.recorder.stories import HOST, Story, ledger_key

ENTRIES = 50_000
APPENDED, AT_ONCE = 500, 64
"""Entries that are appended one after the other; as many threads append in a crowd."""
MIB = 1 << 20
PIECE = 32 << 10
"""Bytes that a channel brings at once at most."""

OUTPUTS = {
    "text": b"the quick brown fox jumps over the lazy dog; ls -la /var/log token foo\n",
    "worst found: tokens": b"token=abcdefgh1j ",
    "worst found: addresses": b"http://a:b@",
    "worst found: colours": b"\x1b[1m",
}
"""What is covered: usual, and what was found to take the most."""


CONTENT: dict[str, object] = {
    "id": "", "state": "held", "kind": "exec", "identity": "fixer", "key": "SHA256:" + "x" * 43, "session": "",
    "target": "web-1", "env": "lab", "host_keys": ["ssh-ed25519 " + "A" * 68], "login": "root", "command": "",
    "environment": [["LANG", "C.UTF-8"]], "stdin": "none", "stdin_code": "", "reason": "the front page is down",
    "rollback": "", "task": "", "tier": "low", "score": 3, "reasons": ["it only reads"], "approvals": 1,
    "created": 1_763_699_940_000_000, "expires": 1_763_700_000_000_000, "digest": "5" * 64, "proposal": "", "votes": [],
    "decided": 0, "decision_reason": "", "attached": True, "status": "", "weights": [], "reversible": "unknown",
    "effects": [], "verbs": [], "rule": "policy p:1: allow low", "emergency": "", "approvers": [], "escalation": [],
    "escalated": [], "cwd": "", "sequence": 0, "parent": "", "mode": "", "terminal": "", "unsigned": [], "author": "",
    "edits": "", "answers": "", "edited": "", "snoozed": [], "context": [], "script": "", "script_code": "",
}  # fmt: skip
"""Of a request, as a daemon keeps it."""


def ledger(directory: Path, entries: int, *, contents: bool) -> None:
    """One of so many entries, about as a daemon writes them; with `contents`, what was asked for beside each."""
    made = Ledger.create(directory, host=HOST, key=ledger_key())
    story = Story(made)
    story.identity(story.ana)
    story.policy()
    digest = story.loaded.body["digest"]
    waiting = []
    for number in range(entries // 3):
        request, session = f"r-{number:08x}", f"s-{number // 50:08x}"
        hashed = sha256(request.encode()).hexdigest()
        payloads = {}
        if contents:
            command = base64.b64encode(f"systemctl status nginx-{number}".encode()).decode()
            fields = {**CONTENT, "id": request, "session": session, "sequence": number, "command": command}
            payloads["content"] = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
            hashed = digest_of(parse(payloads["content"]))
        body = {
            "digest": hashed, "kind": "exec", "verdict": "allow", "rule": "policy p:1: allow low", "why": "covered",
            "identity": "fixer", "key": "SHA256:" + "x" * 43, "target": "web-1", "env": "lab", "login": "root",
            "stdin": "none", "tier": "low", "score": 3, "approvals": 1, "approvers": [], "policy": digest,
            "emergency": False, "expires": "1763700000000000",
        }  # fmt: skip
        same = {"session": session, "request": request}
        ended = {"status": 0, "stdout_bytes": 10, "stderr_bytes": 0, "stdin_bytes": 0}
        waiting.append(
            made.append(
                Draft("request.proposed", "fixer", body, **same, payloads=payloads),
                Draft("command.started", "bastion", {"digest": hashed, "target": "web-1"}, cause="previous", **same),
                Draft("command.finished", "bastion", ended, cause="previous", **same),
            )
        )
        if len(waiting) == 1000:
            for each in waiting:
                each.result()
            waiting.clear()
    made.close()


def table(work: Path, runs: int) -> list[dict[str, object]]:
    """Measured and printed."""
    work.mkdir()
    rows = appending(work / "appended")
    ledger(work / "plain", ENTRIES, contents=False)
    ledger(work / "full", ENTRIES, contents=True)
    ways: dict[str, tuple[Callable[[], object], float, str]] = {
        f"ledger verify, {what}, {processes}": (_verifying(work / store, beside=beside), ENTRIES, "entries/s")
        for what, store in (("entries", "plain"), ("entries and contents", "full"))
        for processes, beside in (("one process", False), ("two", True))
    } | {
        **{f"covering, {name}": (_covering(unit), 1.0, "MiB/s") for name, unit in OUTPUTS.items()},
    }
    walls: dict[str, list[float]] = {name: [] for name in ways}
    processors: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, (work_, _, _) in ways.items():
            wall, processor = time.perf_counter(), processor_time()
            work_()
            processors[name].append(processor_time() - processor)
            walls[name].append(time.perf_counter() - wall)
    for name, (_, size, unit) in ways.items():
        wall_, processor_ = (size / statistics.median(each[name]) for each in (walls, processors))
        click.echo(f"{name}: {wall_:,.1f} {unit} by the wall, {processor_:,.1f} by the CPU")
        rows.append({"name": name, "unit": unit, "wall": wall_, "cpu": processor_})
    return rows


def appending(directory: Path) -> list[dict[str, object]]:
    """Durable appends, each synced to the disk: one after the other, and from many threads, which share commits."""
    made = Ledger.create(directory, host=HOST, key=ledger_key())
    draft = Draft("test.entry", "bench", {"text": "x" * 300})
    try:
        took = []
        for _ in range(APPENDED):
            begun = time.perf_counter()
            made.append(draft).result()
            took.append((time.perf_counter() - begun) * 1000)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            begun = time.perf_counter()
            list(pool.map(lambda _: made.append(draft).result(), range(APPENDED * 10)))
            rate = APPENDED * 10 / (time.perf_counter() - begun)
    finally:
        made.close()
    p50, p99 = statistics.median(took), sorted(took)[len(took) * 99 // 100]
    click.echo(
        f"ledger append, durable: p50 {p50:.2f} ms, p99 {p99:.2f} ms; from {AT_ONCE} threads {rate:,.0f} entries/s"
    )
    return [{"name": "ledger append", "unit": "ms", "p50": p50, "p99": p99, "crowd_per_second": rate}]


def processor_time() -> float:
    """Of this process and those that it has waited for, in seconds."""
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(each.ru_utime + each.ru_stime for each in map(resource.getrusage, whose))


def _verifying(store: Path, *, beside: bool) -> Callable[[], object]:
    def check() -> None:
        assert verify(store, beside=beside).good

    return check


def _covering(unit: bytes) -> Callable[[], object]:
    data = (unit * (MIB // len(unit) + 1))[:MIB]

    def cover() -> None:
        stream = Stream()
        for at in range(0, len(data), PIECE):
            stream.feed(data[at : at + PIECE])
        stream.flush()

    return cover
