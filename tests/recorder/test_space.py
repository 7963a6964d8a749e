"""Space comes back, whatever a crash leaves; nothing that lives is touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder import layout, space
from recorder.ledger import Draft, Ledger
from recorder.reader import Reader
from recorder.redacting import expire
from recorder.verify import Verdict, verify
from tests.recorder.stories import ledger_key
from tests.recorder.takings import Taken


@pytest.fixture
def taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Taken]:
    """Many recordings in packs of 1 MiB, all over."""
    monkeypatch.setattr("recorder.store.PACK_LIMIT", 1 << 20)
    made = Taken.begin(tmp_path / "store")
    made.limits(default=1)
    for number in range(10, 30):
        made.story.write(Draft("session.opened", "fixer", {"target": "web-1"}, session=f"s-{number}"))
        made.story.record(f"s-{number}", ("output", os.urandom(200_000)), chunk_bytes=1 << 16)
        made.story.write(Draft("session.closed", "bastion", {"end": "x"}, session=f"s-{number}"))
    made.clock.later(2)
    yield made
    made.ledger.close()


def blocks(store: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in store.glob("chunks-*.pack"))


def delete(taken: Taken, *numbers: int) -> None:
    with Reader.open(taken.store) as reader:
        for number in numbers:
            assert expire(taken.ledger, reader, f"s-{number}", "bastion")


def data(taken: Taken, number: int) -> int:
    with Reader.open(taken.store) as reader:
        return sum(len(frame.data) for frame in reader.frames(f"s-{number}"))


def test_a_pack_in_which_nothing_lives_is_removed_and_holes_are_punched(taken: Taken) -> None:
    before, packs = blocks(taken.store), layout.pack_numbers(taken.store)
    assert len(packs) >= 4
    delete(taken, *range(10, 21))
    assert blocks(taken.store) >= before  # redactions alone give nothing back
    freed = space.free(taken.store)
    assert freed.files >= 1
    if freed.whole:  # this file system can punch holes
        assert freed.bytes > 2_000_000
        assert blocks(taken.store) < before - 2_000_000
    assert [data(taken, number) for number in range(21, 30)] == [200_000] * 9
    assert verify(taken.store).verdict is Verdict.OK
    assert space.free(taken.store).bytes == 0  # once more gives nothing more, and harms nothing


def test_the_newest_packs_stay_for_the_writer(taken: Taken) -> None:
    numbers = layout.pack_numbers(taken.store)
    delete(taken, *range(10, 30))
    space.free(taken.store)
    assert layout.pack_numbers(taken.store)[-space.KEPT :] == numbers[-space.KEPT :]
    taken.story.write(Draft("session.opened", "fixer", {"target": "web-1"}, session="s-90"))
    taken.story.record("s-90", ("output", b"x" * 1000))
    assert data(taken, 90) == 1000
    assert verify(taken.store).verdict is Verdict.OK


def test_everything_gone_and_opened_again(taken: Taken) -> None:
    delete(taken, *range(10, 30))
    with Reader.open(taken.store) as reader:
        for session in ("s-1", "s-2"):
            expire(taken.ledger, reader, session, "bastion")
    taken.ledger.close()
    space.free(taken.store)
    assert verify(taken.store).verdict is Verdict.OK
    taken.ledger = Ledger.open(taken.store, key=ledger_key(), clock=taken.clock)
    assert blocks(taken.store) <= 1 << 20
    taken.story.write(Draft("session.opened", "fixer", {"target": "web-1"}, session="s-90"))
    taken.story.record("s-90", ("output", b"x" * 1000))
    assert data(taken, 90) == 1000
    assert verify(taken.store).verdict is Verdict.OK


def test_without_holes_the_rest_still_works(taken: Taken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(space, "_punch", lambda *_: False)
    delete(taken, *range(10, 21))
    freed = space.free(taken.store)
    assert not freed.whole
    assert freed.files >= 1
    assert verify(taken.store).verdict is Verdict.OK


def test_holes_are_whole_blocks_between_what_lives(tmp_path: Path) -> None:
    path = tmp_path / "pack"
    path.write_bytes(b"\x55" * 20 * space.BLOCK)
    spans = [(10, 100), (3 * space.BLOCK + 5, 4 * space.BLOCK), (8 * space.BLOCK, 9 * space.BLOCK + 1)]
    if not space._punch(path, spans):
        pytest.skip("this file system cannot punch holes")
    data = path.read_bytes()
    assert len(data) == 20 * space.BLOCK
    for start, end in [*spans, (9 * space.BLOCK, len(data))]:
        assert data[start:end] == b"\x55" * (end - start)
    assert data[space.BLOCK : 3 * space.BLOCK] == bytes(2 * space.BLOCK)
    assert data[4 * space.BLOCK : 8 * space.BLOCK] == bytes(4 * space.BLOCK)


KILLED = """
import os, signal, sys
from pathlib import Path
from recorder import layout, redacting, space, store
from recorder.ledger import Ledger
from recorder.reader import Reader
from recorder.orders import read_order
from tests.recorder.stories import ledger_key
from tests.recorder.takings import Clock

where, now, path, statement, signatures = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], sys.argv[5]
def die(*_args, **_kwargs): os.kill(os.getpid(), signal.SIGKILL)
def before(owner, name):
    old = getattr(owner, name)
    count = [0]
    def wrapped(*args, **kwargs):
        taking = len(args) > 1 and getattr(args[1], "taking", True)
        if taking: die()
        return old(*args, **kwargs)
    setattr(owner, name, wrapped)
def after(owner, name):
    old = getattr(owner, name)
    def wrapped(*args, **kwargs):
        made = old(*args, **kwargs)
        taking = len(args) > 1 and getattr(args[1], "taking", True)
        if taking: die()
        return made
    setattr(owner, name, wrapped)
match where:
    case "before the pack": before(store.Store, "commit")
    case "behind the pack": before(store.Store, "_transact")
    case "behind the commit": after(store.Store, "_transact")
    case "before the head":
        store.Store._fold = die
    case "behind it all": after(store.Store, "commit")
    case "before a file goes": Path.unlink = die
    case "behind a file":
        old = Path.unlink
        def unlink(self, *a): old(self, *a); die()
        Path.unlink = unlink
    case "behind a hole":
        old = space._punch
        def punch(*a): old(*a); die()
        space._punch = punch
clock = Clock(); clock.now = now
ledger = Ledger.open(path, key=ledger_key(), clock=clock)
with Reader.open(path) as reader:
    if statement:
        import json
        redacting.carry_out(ledger, reader, read_order(statement.encode()), statement, json.loads(signatures))
    for number in range(10, 21):
        redacting.expire(ledger, reader, f"s-{number}", "bastion")
    space.free(path)
ledger.close()
"""


@pytest.mark.parametrize(
    "where",
    [
        "before the pack",
        "behind the pack",
        "behind the commit",
        "before the head",
        "behind it all",
        "before a file goes",
        "behind a file",
        "behind a hole",
    ],
)
@pytest.mark.parametrize("what", ["redaction", "retention"])
def test_a_kill_at_every_step(taken: Taken, where: str, what: str) -> None:
    """Before: all is there. Behind: it is gone, and an entry says so. Nothing else is lost, and a next run ends it."""
    import json

    from recorder.redacting import holding, unfinished
    from tests.recorder.takings import SECRET

    order = taken.order(holding(SECRET))
    text, signatures = taken.signed(order, taken.ana, taken.ben)
    said = [text, json.dumps(signatures)] if what == "redaction" else ["", ""]
    taken.ledger.close()
    command = [sys.executable, "-c", KILLED, where, str(taken.clock.now), str(taken.store), *said]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    report = verify(taken.store)
    assert report.verdict in (Verdict.OK, Verdict.TORN), report.problems
    taken.ledger = Ledger.open(taken.store, key=ledger_key(), clock=taken.clock)
    with Reader.open(taken.store) as reader:
        unfinished(taken.ledger, reader)
        for number in range(10, 21):
            expire(taken.ledger, reader, f"s-{number}", "bastion")
        space.free(taken.store)
        if what == "redaction" and any(True for _ in reader.entries(types=("redaction.ordered",))):
            assert SECRET[:9] not in b"".join(frame.data for frame in reader.frames("s-1"))
    assert [data(taken, number) for number in range(21, 30)] == [200_000] * 9
    assert verify(taken.store).verdict is Verdict.OK
