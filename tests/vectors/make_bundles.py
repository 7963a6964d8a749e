"""Makes tests/vectors/bundles: small exported ledgers, sound and attacked, each with what a verifier must say of it.

    python -m tests.vectors.make_bundles [DIR]

The same bytes at every run: keys, clock and chance are fixed. Only what the format of a bundle needs is in them, so
that other implementations can take them as they are. `expected.json` in each:

    {"about": …, "key": PUBLIC KEY, "head": ANCHOR or "", "verdict": …, "seq": first bad entry or null,
     "verify_sh": exit status of verify.sh with that key}

`verify.sh` cannot take an anchor and does not look at causes: its status differs from the verdict for those.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import asyncssh

from recorder import export
from recorder.keys import LedgerKey
from recorder.ledger import Draft, Ledger
from recorder.segments import NAMESPACE
from tests.recorder.attacks import encoded, leaf, rechain
from tests.recorder.stories import HOST, Person, Story, ledger_key
from tests.vectors.recorded_bundles import RECORDED, without_casts

HERE = Path(__file__).parent / "bundles"
KEY, NEXT, OTHER = ledger_key(), ledger_key(8), ledger_key(99)
SEGMENT = "seg-000000.jsonl"


class FixedClock:
    """Ten milliseconds between any two looks."""

    boot = "00000000-0000-4000-8000-000000000000"

    def __init__(self) -> None:
        self.now = 1_763_700_000_000_000_000
        self.back = 0

    def wall(self) -> int:
        self.now += 10_000_000
        return self.now - self.back

    def monotonic(self) -> int:
        return self.now - 1_763_000_000_000_000_000


def person(name: str, seed: int) -> Person:
    """An approver whose key is always the same."""
    private = ledger_key(seed)._private
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    data = private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return Person(name, asyncssh.import_private_key(data))


@dataclass
class Making:
    """One ledger being told."""

    story: Story
    clock: FixedClock
    store: Path
    head: str = ""


def tell(work: Path, what: Callable[[Making], object], host: str = HOST, key: LedgerKey = KEY) -> Making:
    """A ledger with that story."""
    counter = iter(range(1_000_000))

    def chance(count: int) -> bytes:
        return hashlib.shake_256(next(counter).to_bytes(4, "big")).digest(count)

    clock = FixedClock()
    with mock.patch("recorder.ledger.os.urandom", chance):
        ledger = Ledger.create(work, host=host, key=key, clock=clock)
        made = Making(Story(ledger, ana=person("ana", 21), ben=person("ben", 22)), clock, work)
        try:
            what(made)
        finally:
            made.head = made.head or ledger.head().anchor
            ledger.close()
    return made


def usual(made: Making) -> None:
    """Two people, a command that was approved and ran, one that was denied."""
    story = made.story
    story.identity(story.ana)
    story.identity(story.ben)
    story.write(Draft("session.opened", "fixer", {"target": "web-1"}, session="s-1"))
    first = story.propose("r-00000001")
    story.finish(story.start(first, story.vote(first)))
    second = story.propose("r-00000002")
    story.vote(second, story.ben, "deny")
    story.write(Draft("session.closed", "bastion", {"end": "done"}, session="s-1"))


def rotated(made: Making) -> None:
    """The same under two keys."""
    usual(made)
    made.story.ledger.rotate(NEXT, actor="local:0")
    made.story.write(Draft("session.opened", "fixer", {"target": "web-2"}, session="s-2"))


def clock_back(made: Making) -> None:
    usual(made)
    made.clock.back = 3600 * 10**9
    made.story.write(Draft("session.opened", "fixer", {"target": "web-1"}, session="s-2"))


def grown(made: Making) -> None:
    """Like `usual`; the anchor is of two entries later, in a ledger that was then put back."""
    usual(made)
    story = made.story
    leaves = [leaf_of(made, seq) for seq in range(story.ledger.head().size)]
    from recorder.merkle import root

    made.head = f"{len(leaves) + 2}:{root([*leaves, bytes(32), bytes(32)]).hex()}"


def leaf_of(made: Making, seq: int) -> bytes:
    from recorder.reader import Reader

    with Reader.open(made.store) as reader:
        return bytes.fromhex(reader.entry(seq).leaf)


# --- a daemon that lies: it signs what it likes as the ledger, but no votes -------------------------------------------


def replayed(made: Making) -> None:
    """The approval of the first request again, for the second."""
    story = made.story
    story.identity(story.ana)
    first = story.propose("r-00000001")
    vote = story.vote(first)
    second = story.propose("r-00000002")
    body = {**vote.body, "digest": second.body["digest"]}
    story.write(Draft("request.decided", "ana", body, session="s-1", request="r-00000002", cause=second.leaf))


def bound_elsewhere(made: Making) -> None:
    story = made.story
    story.identity(story.ana)
    story.vote(story.propose(), proposal="ab" * 32)


def unapproved(made: Making) -> None:
    story = made.story
    story.identity(story.ana)
    first = story.propose()
    story.start(first, first)


def not_yet(made: Making) -> None:
    story = made.story
    story.vote(story.propose())
    story.identity(story.ana)


def revoked(made: Making) -> None:
    story = made.story
    story.identity(story.ana)
    story.revoke(story.ana)
    story.vote(story.propose())


# --- changes to a bundle without the key ------------------------------------------------------------------------------


def lines(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[Path], None]:
    """Change the lines of the first segment; line 0 is not an entry."""

    def apply(bundle: Path) -> None:
        path = bundle / SEGMENT
        path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))

    return apply


def rechained(bundle: Path) -> None:
    """Entry 3 changed and all that follows made to fit; the signatures are the old ones."""
    path = bundle / SEGMENT
    first, *rest = path.read_bytes().splitlines()
    entries = [json.loads(line) for line in rest]
    entries[3]["body"] = {"target": "web-9"}
    for one, other in itertools.pairwise(entries):
        other["prev"] = leaf(encoded(one)).hex()
    path.write_bytes(b"\n".join([first, *map(encoded, entries), b""]))


def resigned(key: LedgerKey) -> Callable[[Path], None]:
    """Everything that the bundle has, signed anew with that key."""

    def apply(bundle: Path) -> None:
        data = (bundle / SEGMENT).read_bytes()
        (bundle / f"{SEGMENT}.sig").write_text(key.sshsig(hashlib.sha512(data).digest(), NAMESPACE))
        origin, size, _ = (bundle / "checkpoint.txt").read_text().splitlines()
        from recorder.merkle import root

        head = key.seal(origin, int(size), root(leaf(line) for line in data.splitlines()[1:]))
        (bundle / "checkpoint").write_text(head.note)
        (bundle / "checkpoint.txt").write_bytes(head.text)
        (bundle / "checkpoint.txt.sig").write_text(head.sshsig)
        (bundle / "log-key.pub").write_text(key.line + "\n")

    return apply


def wrong_namespace(bundle: Path) -> None:
    text = (bundle / "checkpoint.txt").read_bytes()
    (bundle / "checkpoint.txt.sig").write_text(KEY.sshsig(hashlib.sha512(text).digest(), "file"))


def old_key(bundle: Path) -> None:
    last = max(bundle.glob("seg-*.jsonl"))
    armour = KEY.sshsig(hashlib.sha512(last.read_bytes()).digest(), NAMESPACE)
    last.with_name(f"{last.name}.sig").write_text(armour)


def both(*changes: Callable[[Path], None]) -> Callable[[Path], None]:
    def apply(bundle: Path) -> None:
        for change in changes:
            change(bundle)

    return apply


def nothing(_: Path) -> None:
    pass


@dataclass(frozen=True)
class Case:
    about: str
    verdict: str
    seq: int | None
    status: int
    story: Callable[[Making], None] = usual
    change: Callable[[Path], None] = nothing
    head: bool = True
    """Is the anchor of the ledger before the attack given?"""


def replace(old: bytes, new: bytes) -> Callable[[Path], None]:
    def change(rows: list[bytes]) -> list[bytes]:
        data = b"".join(rows)
        assert old in data
        return [data.replace(old, new, 1)]

    return lines(change)


def edited(entries: list[dict[str, object]]) -> list[dict[str, object]]:
    entries[-1]["body"] = {"end": "nothing happened"}
    return entries


CASES: dict[str, Case] = {
    "valid": Case("as a bastion exports it", "OK", None, 0),
    "valid-rotated": Case("its key changed once", "OK", None, 0, rotated),
    "valid-clock-back": Case("the wall clock was set back an hour", "OK", None, 0, clock_back),
    "bit-flip": Case("one character of entry 3", "TAMPER", 4, 1, change=replace(b'"web-1"', b'"web-2"')),
    "deleted": Case("entry 3 is gone", "TAMPER", 3, 1, change=lines(lambda rows: rows[:4] + rows[5:])),
    "reordered": Case(
        "entries 3 and 4 changed places", "TAMPER", 3, 1,
        change=lines(lambda rows: [*rows[:4], rows[5], rows[4], *rows[6:]]),
    ),
    "duplicated": Case(
        "the last entry twice", "TAMPER", 11, 1, change=lines(lambda rows: [*rows, rows[-1]])
    ),
    "truncated": Case("the last two entries are gone", "TAMPER", 9, 1, change=lines(lambda rows: rows[:-2])),
    "reserialised": Case(
        "entry 3 with a space between two tokens", "TAMPER", 3, 1, change=replace(b'"target":"web', b'"target": "web')
    ),
    "rechained": Case("entry 3 changed, prev of all later ones made to fit", "TAMPER", 0, 1, change=rechained),
    "signed-by-another-key": Case(
        "entry 3 changed, everything signed with a key that is not the log's", "TAMPER", 5, 1,
        change=both(rechained, resigned(OTHER)), head=False,
    ),
    "wrong-namespace": Case(
        "the checkpoint's SSHSIG was made for files", "TAMPER", 10, 1, change=wrong_namespace, head=False
    ),
    "old-key-on-new-entries": Case(
        "the last segment signed by the key before", "TAMPER", None, 1, rotated, old_key
    ),
    "old-backup": Case("put back two entries; whole and well signed", "ROLLBACK", 11, 0, grown),
    "old-backup-without-anchor": Case("the same, and nobody kept an anchor", "OK", None, 0, grown, head=False),
    "approval-replayed": Case("an approval used for another request", "TAMPER", 5, 0, replayed),
    "approval-of-another-proposal": Case("signed over another proposal", "TAMPER", 3, 0, bound_elsewhere),
    "not-approved": Case("a command was started without an approval", "TAMPER", 3, 0, unapproved),
    "approver-not-yet-one": Case("the approver was added after the vote", "TAMPER", 2, 0, not_yet),
    "approver-revoked": Case("the approver had been revoked", "TAMPER", 4, 0, revoked),
}  # fmt: skip
"""What is done without the log's key, or by a daemon that has it but no approver's."""


def special(work: Path, out: Path) -> None:
    """Those that need more than one ledger."""
    ours = tell(work / "ours", usual)
    theirs = tell(work / "theirs", usual, host="other.example")
    export.bundle(theirs.store, work / "theirs-bundle")

    def finish(name: str, about: str, verdict: str, seq: int | None, status: int, head: str) -> None:
        export.bundle(ours.store, out / name)
        if name == "entry-of-another-ledger":
            other = (work / "theirs-bundle" / SEGMENT).read_bytes().splitlines(keepends=True)
            path = out / name / SEGMENT
            path.write_bytes(b"".join([*path.read_bytes().splitlines(keepends=True)[:5], *other[5:]]))
        elif name == "checkpoint-of-another-ledger":
            for each in ("checkpoint", "checkpoint.txt", "checkpoint.txt.sig"):
                shutil.copy(work / "theirs-bundle" / each, out / name / each)
        seal(out / name, about, verdict, seq, status, head)

    finish("entry-of-another-ledger", "from entry 4 on those of another ledger", "TAMPER", 4, 1, "")
    finish("checkpoint-of-another-ledger", "another ledger's head under the same key", "TAMPER", 10, 1, "")
    anchor = ours.head
    rechain(ours.store, edited, KEY)
    mallory = tell(work / "mallory", usual, key=OTHER)
    export.bundle(mallory.store, out / "key-swapped-inside")
    seal(out / "key-swapped-inside", "all of it made anew under another key, which lies in it", "TAMPER", 0, 1, "")
    finish("stolen-key", "the last entry rewritten and signed with the log's own key", "FORK", 0, 0, anchor)
    finish("stolen-key-without-anchor", "the same, and nobody kept an anchor", "OK", None, 0, "")


def seal(bundle: Path, about: str, verdict: str, seq: int | None, status: int, head: str) -> None:
    """Sums that fit (whoever changes a bundle makes them anew), and what is expected."""
    for name in ("README", "verify.sh", "SHA256SUMS"):
        (bundle / name).unlink()
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(bundle.iterdir())]
    (bundle / "SHA256SUMS").write_text("".join(sums))
    expected = {
        "about": about, "key": KEY.line, "head": head, "verdict": verdict, "seq": seq, "verify_sh": status
    }  # fmt: skip
    (bundle / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    for path in (bundle, *bundle.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)


def make(out: Path) -> None:
    """All of them."""
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        for name, case in CASES.items():
            made = tell(work / name, case.story)
            export.bundle(made.store, out / name)
            case.change(out / name)
            seal(out / name, case.about, case.verdict, case.seq, case.status, made.head if case.head else "")
        for name, (about, verdict, seq, story, change) in RECORDED.items():
            made = tell(work / name, story)
            export.bundle(made.store, out / name, content=True)
            without_casts(out / name)
            if change is not None:
                change(out / name)
            seal(out / name, about, verdict, seq, 0, made.head)
        special(work, out)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    shutil.rmtree(target, ignore_errors=True)
    os.makedirs(target)
    make(target)
