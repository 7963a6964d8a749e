"""What is taken out is gone, everywhere; the rest is as it was; the verifier tells it from what was lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from recorder import export, replay
from recorder.errors import RecorderError
from recorder.ledger import Draft, Ledger
from recorder.orders import RANGES_LIMIT
from recorder.reader import Missing, Reader
from recorder.redacting import NothingToRedact, between, carry_out, expire, holding, plan, unfinished, while_running
from recorder.verify import Verdict, verify
from tests.recorder.attacks import database
from tests.recorder.stories import ledger_key
from tests.recorder.takings import SECRET, Taken


def redact(taken: Taken, session: str = "s-1", text: bytes = SECRET) -> None:
    order = taken.order(holding(text), session)
    with Reader.open(taken.store) as reader:
        carry_out(taken.ledger, reader, order, *taken.signed(order, taken.ana, taken.ben))


def data(taken: Taken, session: str = "s-1") -> bytes:
    with Reader.open(taken.store) as reader:
        return b"".join(frame.data for frame in reader.frames(session))


def test_a_text_goes_and_the_rest_stays(taken: Taken) -> None:
    before = data(taken)
    assert b"KEY=" + SECRET[:9] in before
    redact(taken)
    after = data(taken)
    assert SECRET[:9] not in after
    assert SECRET[9:] not in after
    assert after.count(b"[redacted: ") == 2
    assert after.count(b"line 7 of") == before.count(b"line 7 of") == 2
    assert b"80x24" in after
    report = verify(taken.store)
    assert (report.verdict, report.problems, report.redacted, report.deleted) == (Verdict.OK, (), 1, 0)
    assert any("redacted" in note for note in report.notes)


def test_it_is_gone_from_every_file_once_the_store_is_closed(taken: Taken) -> None:
    with Reader.open(taken.store) as reader:
        chunk = next(
            each
            for each in reader.entries(types=("recording.chunk",), session="s-1")
            if any(SECRET[:9] in frame.data for frame in reader.chunk(each))
        )
    with database(taken.store) as db:
        (key,) = db.execute("SELECT key FROM chunks WHERE seq = ?", (chunk.seq,)).fetchone()
    redact(taken)
    taken.ledger.close()
    for path in taken.store.rglob("*"):
        if path.is_file():
            assert key not in path.read_bytes(), path
    taken.ledger = Ledger.open(taken.store, key=ledger_key(), clock=taken.clock)
    assert verify(taken.store).verdict is Verdict.OK


def test_a_second_redaction_of_a_chunk_stands_on_the_first(taken: Taken) -> None:
    redact(taken)
    redact(taken, text=b"line 399 of")
    redact(taken, text=b"r-2 env")
    shown = data(taken)
    assert b"r-2 env" not in shown
    assert SECRET[:9] not in shown
    assert verify(taken.store).verdict is Verdict.OK
    with pytest.raises(NothingToRedact):
        taken.order(holding(SECRET))


def test_it_is_gone_from_casts_texts_and_bundles(taken: Taken, tmp_path: Path) -> None:
    redact(taken)
    with Reader.open(taken.store) as reader:
        cast = "".join(export.cast(reader, "s-1"))
        text = "\n".join(export.text(reader, "s-1"))
    for shown in (cast, text):
        assert SECRET[:9].decode() not in shown
        assert "[redacted: " in shown
    export.bundle(taken.store, tmp_path / "bundle", content=True)
    report = verify(tmp_path / "bundle")
    assert (report.verdict, report.redacted) == (Verdict.OK, 1)
    assert all(SECRET not in path.read_bytes() for path in (tmp_path / "bundle").rglob("*") if path.is_file())
    export.bundle(taken.store, tmp_path / "bare")
    assert verify(tmp_path / "bare").verdict is Verdict.OK


def test_a_replay_goes_on_over_what_is_gone(taken: Taken) -> None:
    order = taken.order(while_running("r-2"))
    with Reader.open(taken.store) as reader:
        carry_out(taken.ledger, reader, order, *taken.signed(order, taken.ana))
        lines = list(replay.text(reader.frames("s-1")))
    assert sum("[redacted: " in line for line in lines) >= 1
    assert verify(taken.store).notes.count("a redaction was ordered by one person") == 1


def test_the_key_of_what_is_derived_changes_with_it(taken: Taken) -> None:
    """What was rendered under it cannot be read any more."""
    with Reader.open(taken.store) as reader:
        entries = list(reader.entries(types=("recording.chunk",)))
        before = {entry.seq: reader.chunk_key(entry) for entry in entries}
        redact(taken)
        stone = next(reader.newest("recording.redacted"))
        changed = [entry.seq for entry in entries if reader.chunk_key(entry) != before[entry.seq]]
    assert changed == [stone.body["chunk"]]


def test_a_time_is_redacted_from_its_first_to_its_last_frame(taken: Taken) -> None:
    with Reader.open(taken.store) as reader:
        frames = list(reader.frames("s-1"))
        found = plan(reader, "s-1", between(0, frames[-1].at_us))
    assert found.frames == ((0, len(frames) - 1),)
    assert found.count == sum(frame.kind not in ("resize", "exit") for frame in frames)
    order = taken.order(between(0, frames[-1].at_us))
    with Reader.open(taken.store) as reader:
        carry_out(taken.ledger, reader, order, *taken.signed(order, taken.ana, taken.ben))
        left = list(reader.frames("s-1"))
    assert [frame.data for frame in left if not frame.gone] == [b"80x24", b"0"]
    assert verify(taken.store).verdict is Verdict.OK


def test_nothing_is_no_order(taken: Taken) -> None:
    with Reader.open(taken.store) as reader:
        for choose in (holding(b"nowhere"), while_running("r-9"), between(10**12, 10**13)):
            with pytest.raises(NothingToRedact):
                plan(reader, "s-1", choose)
        with pytest.raises(NothingToRedact):
            plan(reader, "s-0", between(0, 10))


def test_too_many_places_are_refused(taken: Taken) -> None:
    taken.story.write(Draft("session.opened", "fixer", {"target": "web-1"}, session="s-3"))
    frames = [(kind, b"x") for _ in range(RANGES_LIMIT + 1) for kind in ("output", "stderr")]
    taken.story.record("s-3", *frames)
    with Reader.open(taken.store) as reader, pytest.raises(RecorderError, match="places"):
        plan(reader, "s-3", lambda found: (number for number, frame in found if frame.kind == "stderr"))


def test_what_a_crash_left_of_an_order_is_done_at_the_next_start(taken: Taken) -> None:
    order = taken.order(holding(b"line 3"))
    text, signatures = taken.signed(order, taken.ana, taken.ben)
    taken.story.write(Draft("redaction.ordered", "ana", {"statement": text, "signatures": signatures}, session="s-1"))
    assert b"line 3" in data(taken)
    assert verify(taken.store).verdict is Verdict.OK  # nothing is missing yet
    with Reader.open(taken.store) as reader:
        assert unfinished(taken.ledger, reader) > 1
        assert unfinished(taken.ledger, reader) == 0
    assert b"line 3" not in data(taken)
    assert verify(taken.store).verdict is Verdict.OK


def test_the_content_of_a_request_goes(taken: Taken) -> None:
    proposal = taken.story.write(
        Draft("request.proposed", "fixer", {"digest": "0" * 64, "verdict": "deny"}, session="s-1", request="r-1",
              payloads={"content": b"no content of ours"})
    )  # fmt: skip
    order = taken.order(holding(SECRET), contents=(proposal.seq,))
    with Reader.open(taken.store) as reader:
        carry_out(taken.ledger, reader, order, *taken.signed(order, taken.ana, taken.ben))
        with pytest.raises(Missing):
            reader.payload(proposal, "content")
    report = verify(taken.store)
    assert (report.redacted, [each for each in report.problems if "content" in each.message]) == (2, [])


def test_a_recording_whose_time_is_over_goes_as_a_whole(taken: Taken) -> None:
    taken.limits(production=30)
    taken.clock.later(30.1)
    with Reader.open(taken.store) as reader:
        assert expire(taken.ledger, reader, "s-1", "bastion") > 0
        assert expire(taken.ledger, reader, "s-1", "bastion") == 0
        with pytest.raises(Missing, match="deleted at the end of its time"):
            list(reader.frames("s-1"))
        assert list(reader.frames("s-2"))
    report = verify(taken.store)
    assert (report.verdict, report.problems, report.deleted) == (Verdict.OK, (), 1)


def test_redacted_then_deleted(taken: Taken) -> None:
    redact(taken)
    taken.limits(default=1)
    taken.clock.later(2)
    with Reader.open(taken.store) as reader:
        expire(taken.ledger, reader, "s-1", "bastion")
        assert unfinished(taken.ledger, reader) == 0
    report = verify(taken.store)
    assert (report.verdict, report.problems) == (Verdict.OK, ())


def test_a_store_opens_again_without_its_newest_recording(taken: Taken) -> None:
    taken.limits(default=1)
    taken.clock.later(2)
    with Reader.open(taken.store) as reader:
        for session in ("s-1", "s-2"):
            expire(taken.ledger, reader, session, "bastion")
    taken.ledger.close()
    taken.ledger = Ledger.open(taken.store, key=ledger_key(), clock=taken.clock)
    taken.story.write(Draft("session.opened", "fixer", {"target": "web-1"}, session="s-4"))
    taken.record("s-4")
    assert SECRET[:9] in data(taken, "s-4")
    assert verify(taken.store).verdict is Verdict.OK


def test_verify_beside_redactions_never_cries_wolf(taken: Taken) -> None:
    """Redactions, deletions and the freeing of their space, while somebody verifies again and again."""
    import threading

    from recorder.space import free

    taken.limits(default=1)
    for number in range(10, 40):
        taken.story.write(Draft("session.opened", "fixer", {"target": "web-1"}, session=f"s-{number}"))
        taken.record(f"s-{number}")
        taken.story.write(Draft("session.closed", "bastion", {"end": "x"}, session=f"s-{number}"))
    taken.clock.later(2)
    verdicts: list[tuple[Verdict, object]] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set() or not verdicts:
            report = verify(taken.store)
            verdicts.append((report.verdict, report.problems))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        with Reader.open(taken.store) as reader:
            for number in range(10, 40):
                if number % 2:
                    redact(taken, f"s-{number}")
                expire(taken.ledger, reader, f"s-{number}", "bastion")
                free(taken.store)
    finally:
        stop.set()
        watcher.join()
    assert {verdict for verdict, _ in verdicts} == {Verdict.OK}, [each for each in verdicts if each[1]][:1]


def test_an_export_beside_redactions_is_whole_or_says_why_not(taken: Taken, tmp_path: Path) -> None:
    import threading

    from recorder.errors import StoreFailed
    from recorder.space import free

    taken.limits(default=1)
    for number in range(10, 24):
        taken.story.write(Draft("session.opened", "fixer", {"target": "web-1"}, session=f"s-{number}"))
        taken.record(f"s-{number}")
        taken.story.write(Draft("session.closed", "bastion", {"end": "x"}, session=f"s-{number}"))
    taken.clock.later(2)
    stop, told = threading.Event(), list[str]()

    def export_again() -> None:
        while not stop.is_set() or not told:
            out = tmp_path / f"bundle-{len(told)}"
            try:
                export.bundle(taken.store, out, content=True)
                told.append(verify(out).verdict)
            except StoreFailed as error:
                told.append(error.hint)
            shutil.rmtree(out)

    exporter = threading.Thread(target=export_again)
    exporter.start()
    try:
        with Reader.open(taken.store) as reader:
            for number in range(10, 24):
                redact(taken, f"s-{number}")
                expire(taken.ledger, reader, f"s-{number}", "bastion")
                free(taken.store)
    finally:
        stop.set()
        exporter.join()
    assert set(told) <= {"OK", "export it again"}


def test_a_copy_from_before_is_told_from_one_after(taken: Taken, tmp_path: Path) -> None:
    """Whoever puts the old rows back, to have the secret again or to hide behind it, is seen."""
    taken.ledger.close()
    shutil.copytree(taken.store, tmp_path / "old")
    taken.ledger = Ledger.open(taken.store, key=ledger_key(), clock=taken.clock)
    redact(taken)
    taken.ledger.close()
    with database(tmp_path / "old") as db:
        rows = db.execute("SELECT seq, pack, offset, length, key FROM chunks").fetchall()
    with database(taken.store) as db:
        db.executemany("UPDATE chunks SET pack=?2, offset=?3, length=?4, key=?5 WHERE seq=?1", rows)
    report = verify(taken.store)
    assert report.verdict is Verdict.TAMPER
    assert "still there" in report.message
    taken.ledger = Ledger.open(taken.store, key=ledger_key(), clock=taken.clock)
