from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import Future, wait
from contextlib import closing
from pathlib import Path

import pytest

from recorder import entry as entries
from recorder import layout
from recorder.clock import Clock
from recorder.entry import Entry
from recorder.errors import (
    EntryError,
    NotAStore,
    RecorderError,
    StoreBusy,
    StoreDamaged,
    StoreFailed,
)
from recorder.keys import LedgerKey
from recorder.ledger import CAUSE_PREVIOUS, GROUP_ENTRIES, PATIENCE_BYTES, PAYLOAD_LIMIT, Draft, Job, Ledger
from recorder.notary import Sealed
from recorder.reader import Missing, Reader
from recorder.store import FOLD_COMMITS, Group
from recorder.verify import Verdict, verify


def note(text: str = "x", **fields: object) -> Draft:
    return Draft("session.opened", "fixer", {"text": text, **fields})


def test_genesis_and_origin(ledger: Ledger, store: Path, key: LedgerKey) -> None:
    with Reader.open(store) as reader:
        genesis = reader.entry(0)
        assert genesis.origin == "bastion.example"
        assert genesis.prev == ""
        assert genesis.type == "store.created"
        assert genesis.body["log_key"] == key.line
        assert ledger.origin == f"bastion.example/{genesis.leaf[:8]}"
        assert reader.checkpoint() == ledger.head()
    assert ledger.head().size == 1
    assert store.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in store.iterdir()} == {0o600}


def test_append_is_a_chain(ledger: Ledger, store: Path) -> None:
    first, second = ledger.append(note("a"), note("b")).result(10)
    (third,) = ledger.append(note("c")).result(10)
    assert [first.seq, second.seq, third.seq] == [1, 2, 3]
    assert (second.prev, third.prev) == (first.leaf, second.leaf)
    assert first.origin == ledger.origin
    assert ledger.head().size == 4
    with Reader.open(store) as reader:
        assert list(reader.entries(after=0)) == [first, second, third]
        assert reader.entry(2) == second
        with pytest.raises(Missing):
            reader.entry(4)


def test_cause_previous(ledger: Ledger) -> None:
    first, second = ledger.append(note("a"), Draft("session.closed", "x", {}, cause=CAUSE_PREVIOUS)).result(10)
    assert second.cause == first.leaf
    with pytest.raises(EntryError):
        ledger.append(Draft("session.closed", "x", {}, cause=CAUSE_PREVIOUS)).result(10)


def test_a_bad_draft_fails_its_call_alone(ledger: Ledger) -> None:
    good = ledger.append(note("a"))
    bad = ledger.append(note("b"), note(half=0.5))
    after = ledger.append(note("c"))
    with pytest.raises(EntryError):
        bad.result(10)
    assert [good.result(10)[0].seq, after.result(10)[0].seq] == [1, 2]
    assert ledger.failed is None


@pytest.mark.parametrize(
    "draft",
    [Draft("a.b", 5, {}), Draft("a.b", "x", 5), Draft(None, "x", {}), Draft("a.b", "x", {}, payloads={"p": "text"})],
)
def test_a_draft_of_wrong_types_ends_nothing_else(ledger: Ledger, draft: Draft) -> None:
    with pytest.raises(EntryError):
        ledger.append(draft).result(10)
    assert ledger.append(note()).result(10)[0].seq == 1


def test_payloads(ledger: Ledger, store: Path) -> None:
    secret = b"secret\0\xff" * 100
    (made,) = ledger.append(Draft("target.added", "x", {"name": "w"}, payloads={"note": secret})).result(10)
    assert made.body["note"]["bytes"] == len(secret)
    with Reader.open(store) as reader:
        assert reader.payload(reader.entry(made.seq), "note") == secret
        with pytest.raises(Missing):
            reader.payload(made, "name")
    (again,) = ledger.append(Draft("target.added", "x", {"name": "w"}, payloads={"note": secret})).result(10)
    assert again.body["note"]["sha256"] != made.body["note"]["sha256"], "the salt is fresh"


def test_payload_limit(ledger: Ledger) -> None:
    ledger.append(Draft("a.b", "x", {}, payloads={"p": bytes(PAYLOAD_LIMIT)})).result(30)
    with pytest.raises(EntryError, match="limit"):
        ledger.append(Draft("a.b", "x", {}, payloads={"p": bytes(PAYLOAD_LIMIT + 1)})).result(30)
    with pytest.raises(EntryError, match="body"):
        ledger.append(Draft("a.b", "x", {"p": 1}, payloads={"p": b""})).result(30)


def test_reader_conditions(ledger: Ledger, store: Path) -> None:
    drafts = [
        Draft(kind, "x", {}, session=session, request=request)
        for kind in ("session.opened", "request.proposed")
        for session in ("s-1", "s-2")
        for request in ("", "r-1")
    ]
    made = ledger.append(*drafts).result(10)
    with Reader.open(store) as reader:
        assert list(reader.entries(types=("request.proposed",))) == list(made[4:])
        assert list(reader.entries(session="s-2")) == [made[2], made[3], made[6], made[7]]
        assert list(reader.entries(request="r-1", session="s-1")) == [made[1], made[5]]
        assert list(reader.entries(after=made[5].seq)) == list(made[6:])
        assert list(reader.entries(limit=2)) == [reader.entry(0), made[0]]
        assert list(reader.entries(types=("store.created", "session.opened"), limit=3, after=0)) == list(made[:3])


def test_reading_goes_on_while_it_is_written(ledger: Ledger, store: Path) -> None:
    with Reader.open(store) as reader:
        walk = reader.entries()
        assert next(walk).seq == 0
        made = ledger.append(*(note(str(i)) for i in range(600))).result(10)
        assert [entry.seq for entry in reader.entries(after=0)] == [entry.seq for entry in made]


def test_reader_in_several_threads(ledger: Ledger, store: Path) -> None:
    ledger.append(*(note(str(i)) for i in range(500))).result(10)
    found: list[int] = []
    with Reader.open(store) as reader:
        threads = [threading.Thread(target=lambda: found.append(len(list(reader.entries())))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [501] * 4


def test_many_callers_group_up(ledger: Ledger, store: Path) -> None:
    """The order of calls of one thread is the order of its entries, whatever the others do."""
    done: dict[int, list[int]] = {}

    def write(who: int) -> None:
        futures = [ledger.append(note(f"{who}-{i}")) for i in range(3 * GROUP_ENTRIES)]
        done[who] = [future.result(30)[0].seq for future in futures]

    threads = [threading.Thread(target=write, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(seqs == sorted(seqs) for seqs in done.values())
    assert sorted(seq for seqs in done.values() for seq in seqs) == list(range(1, 12 * GROUP_ENTRIES + 1))
    assert verify(store).verdict is Verdict.OK


def test_what_nobody_waits_for_waits_for_company(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """For so long and so much; and what somebody waits for takes it along at once."""
    commits: list[list[str]] = []
    commit = ledger._store.commit

    def counted(group: Group) -> object:
        commits.append([entry.type for entry in group.entries])
        return commit(group)

    def chunk(size: int = 0) -> Future[tuple[Entry, ...]]:
        future: Future[tuple[Entry, ...]] = Future()
        draft = Draft("session.opened", "fixer", {}, payloads={"bulk": bytes(size)} if size else {})
        ledger.submit(Job((draft,), future.set_result, future.set_exception, patient=True))
        return future

    monkeypatch.setattr(ledger._store, "commit", counted)
    monkeypatch.setattr("recorder.ledger.PATIENCE_SECONDS", 600)
    waiting = [chunk() for _ in range(3)]
    assert not wait(waiting, 0.2).done
    assert ledger.append(note()).result(10)
    assert all(each.done() for each in waiting)
    assert [len(each) for each in commits] == [4]
    assert chunk(PATIENCE_BYTES).result(10), "that is enough"
    monkeypatch.setattr("recorder.ledger.PATIENCE_SECONDS", 0.01)
    assert chunk().result(10), "nobody came"


def patient(ledger: Ledger) -> Future[tuple[Entry, ...]]:
    """Something that nobody waits for."""
    future: Future[tuple[Entry, ...]] = Future()
    ledger.submit(Job((note(),), future.set_result, future.set_exception, patient=True))
    return future


def test_what_waits_for_company_is_written_at_the_end(
    ledger: Ledger, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.ledger.PATIENCE_SECONDS", 600)
    waiting = [patient(ledger) for _ in range(3)]
    ledger.close()
    assert [len(each.result(0)) for each in waiting] == [1, 1, 1]
    assert verify(store).verdict is Verdict.OK
    with pytest.raises(StoreFailed):
        patient(ledger).result(0)


def test_what_waits_for_company_is_told_that_the_store_fails(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Group) -> object:
        raise StoreFailed("the disk is full")

    monkeypatch.setattr(ledger._store, "commit", broken)
    monkeypatch.setattr("recorder.ledger.PATIENCE_SECONDS", 600)
    waiting = [patient(ledger) for _ in range(3)]
    for each in (ledger.append(note()), *waiting, patient(ledger)):
        monkeypatch.setattr("recorder.ledger.PATIENCE_SECONDS", 0)
        with pytest.raises(StoreFailed, match="disk is full"):
            each.result(10)


def test_nobody_waits_behind_what_waits_for_company(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it comes before, behind or between."""
    monkeypatch.setattr("recorder.ledger.PATIENCE_SECONDS", 600)
    for _ in range(20):
        before = [patient(ledger) for _ in range(2)]
        waited = [ledger.append(note()) for _ in range(2)]
        behind = patient(ledger)
        for each in (*before, *waited):
            each.result(10)
        ledger.append(note()).result(10)
        behind.result(10)
    last = patient(ledger)
    ledger.seal_segment().result(10)
    last.result(10)


def test_reopened(ledger: Ledger, store: Path, key: LedgerKey) -> None:
    ledger.append(*(note(str(i)) for i in range(1500))).result(10)
    head = ledger.head()
    ledger.close()
    again = Ledger.open(store, key=key)
    try:
        assert again.head().note == head.note
        assert again.origin == ledger.origin
        (made,) = again.append(note("later")).result(10)
        assert made.seq == 1501
    finally:
        again.close()
    report = verify(store, head=head.anchor)
    assert (report.verdict, report.entries) == (Verdict.OK, 1502)


def test_a_second_writer_is_refused(ledger: Ledger, store: Path, key: LedgerKey) -> None:
    with pytest.raises(StoreBusy):
        Ledger.open(store, key=key)
    ledger.append(note()).result(10)


def test_another_key_is_refused(ledger: Ledger, store: Path) -> None:
    ledger.close()
    with pytest.raises(StoreFailed, match="key"):
        Ledger.open(store, key=LedgerKey.generate())


def test_nothing_is_created_by_accident(tmp_path: Path, key: LedgerKey) -> None:
    for directory in (tmp_path, tmp_path / "absent"):
        with pytest.raises(NotAStore):
            Ledger.open(directory, key=key)
        with pytest.raises(NotAStore):
            Reader.open(directory)
        with pytest.raises(NotAStore):
            verify(directory)
    assert list(tmp_path.iterdir()) == []


def test_create_overwrites_nothing(ledger: Ledger, store: Path, tmp_path: Path, key: LedgerKey) -> None:
    with pytest.raises(RecorderError, match="empty"):
        Ledger.create(store, host="h", key=key)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("mine")
    with pytest.raises(RecorderError, match="empty"):
        Ledger.create(tmp_path / "other", host="h", key=key)
    with pytest.raises(EntryError):
        Ledger.create(tmp_path / "new", host="not a host", key=key)
    assert not (tmp_path / "new").exists()


def test_a_store_that_others_can_use_is_refused(ledger: Ledger, store: Path, key: LedgerKey) -> None:
    ledger.close()
    store.chmod(0o750)
    with pytest.raises(StoreFailed, match="others"):
        Ledger.open(store, key=key)


def test_closed(ledger: Ledger) -> None:
    ledger.close()
    ledger.close()
    with pytest.raises(StoreFailed):
        ledger.append(note()).result(10)
    with pytest.raises(StoreFailed):
        ledger.recording("s-1", actor="x", notify=lambda: None)


def test_close_writes_what_is_queued(ledger: Ledger, store: Path) -> None:
    futures = [ledger.append(note(str(i))) for i in range(1000)]
    ledger.close()
    assert [future.result(0)[0].seq for future in futures] == list(range(1, 1001))
    assert verify(store).entries == 1001


def test_a_caller_cannot_cancel_what_is_queued(ledger: Ledger) -> None:
    future = ledger.append(note())
    assert not future.cancel()
    assert future.result(10)


def test_a_clock_that_is_set_back(store: Path, key: LedgerKey) -> None:
    wall, mono = [1_763_692_000_000_000_000], [5_000_000_000]
    clock = Clock(lambda: wall[0], lambda: mono[0], "b0")
    ledger = Ledger.create(store, host="h", key=key, clock=clock)
    before = ledger.append(note()).result(10)[0]
    wall[0] -= 3600 * 10**9
    mono[0] += 1_000_000
    after = ledger.append(note()).result(10)[0]
    mono[0] = 0  # cannot happen on Linux; entries must stay in order all the same
    third = ledger.append(note()).result(10)[0]
    ledger.close()
    assert after.t < before.t
    assert before.mono < after.mono <= third.mono
    report = verify(store)
    assert report.verdict is Verdict.OK
    assert any("set back" in text for text in report.notes)


def test_a_clock_out_of_range_refuses(store: Path, key: LedgerKey) -> None:
    wall = [1]
    ledger = Ledger.create(store, host="h", key=key, clock=Clock(lambda: wall[0], lambda: 0, "b0"))
    wall[0] = (entries.INTEGER_LIMIT + 1) * 1000
    with pytest.raises(EntryError):
        ledger.append(note()).result(10)
    wall[0] = 1
    ledger.append(note()).result(10)
    ledger.close()


def test_kept_checkpoints_are_few(ledger: Ledger, store: Path) -> None:
    for count in range(5):
        ledger.append(*(note(f"{count}-{i}") for i in range(600))).result(10)
    with Reader.open(store) as reader:
        sizes = [size for size, _, _ in reader._store.checkpoints()]
    assert sizes == [601, 1801, 3001], "the last of each 1,024, and the newest"


class TestHeadFile:
    def test_behind_is_mended(self, ledger: Ledger, store: Path, key: LedgerKey) -> None:
        ledger.append(note("a")).result(10)
        old = (store / layout.HEAD).read_bytes()
        ledger.append(note("b")).result(10)
        head = ledger.head()
        ledger.close()
        (store / layout.HEAD).write_bytes(old)
        assert verify(store).verdict is Verdict.TORN
        again = Ledger.open(store, key=key)
        assert again.head().note == head.note
        again.close()
        assert verify(store).verdict is Verdict.OK

    def test_one_torn_slot_is_mended(self, ledger: Ledger, store: Path, key: LedgerKey) -> None:
        for text in "abc":
            ledger.append(note(text)).result(10)
        ledger.close()
        for slot in (0, 1):
            data = (store / layout.HEAD).read_bytes()
            torn = bytearray(data)
            torn[slot * layout.SLOT + 30 : slot * layout.SLOT + 60] = bytes(30)
            (store / layout.HEAD).write_bytes(bytes(torn))
            assert verify(store).good
            Ledger.open(store, key=key).close()
            assert verify(store).verdict is Verdict.OK

    def test_ahead_means_lost_entries(self, ledger: Ledger, store: Path, key: LedgerKey) -> None:
        """A WAL that was cut: SQLite says ok, the head file does not."""
        ledger.append(note("a")).result(10)
        wal = store / (layout.DATABASE + "-wal")
        kept = wal.stat().st_size
        ledger.append(note("b")).result(10)
        copy = store.parent / "copy"
        copy.mkdir(mode=0o700)
        for path in store.iterdir():
            if not path.name.endswith("-shm"):
                (copy / path.name).write_bytes(path.read_bytes())
        with (copy / wal.name).open("r+b") as file:
            file.truncate(kept)
        report = verify(copy)
        assert (report.verdict, report.seq) == (Verdict.TAMPER, 2)
        with pytest.raises(StoreDamaged, match="missing") as caught:
            Ledger.open(copy, key=key)
        assert caught.value.seq == 2

    @pytest.mark.parametrize("data", [b"", b"\0" * 8192, None])
    def test_missing_is_damage(self, ledger: Ledger, store: Path, key: LedgerKey, data: bytes | None) -> None:
        ledger.append(note("a")).result(10)
        ledger.close()
        if data is None:
            (store / layout.HEAD).unlink()
        else:
            (store / layout.HEAD).write_bytes(data)
        assert verify(store).verdict is Verdict.TAMPER
        with pytest.raises(StoreDamaged, match="head"):
            Ledger.open(store, key=key)


def test_the_wal_cut_at_every_frame(ledger: Ledger, store: Path, tmp_path: Path) -> None:
    """Whatever a cut WAL loses of what was acknowledged is noticed; what it does not lose is no false alarm."""
    for text in "abcdef":
        ledger.append(note(text)).result(10)
    whole = (store / (layout.DATABASE + "-wal")).read_bytes()
    frame, header = 4096 + 24, 32
    verdicts = []
    for number in range((len(whole) - header) // frame + 1):
        copy = tmp_path / str(number)
        copy.mkdir(mode=0o700)
        for name in (layout.DATABASE, layout.HEAD, layout.LOCK):
            (copy / name).write_bytes((store / name).read_bytes())
        (copy / (layout.DATABASE + "-wal")).write_bytes(whole[: header + number * frame])
        try:
            verdicts.append(verify(copy).verdict)
        except NotAStore:
            verdicts.append(Verdict.TAMPER)  # before the first commit there is no store at all
    assert verdicts[-1] is Verdict.OK
    assert set(verdicts[:-1]) == {Verdict.TAMPER}


def test_the_wal_is_folded_in_when_nothing_waits(ledger: Ledger, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not by the commit of one that does."""
    folded = threading.Event()
    fold = ledger._store.fold

    def told() -> None:
        fold()
        folded.set()

    monkeypatch.setattr(ledger._store, "fold", told)
    for _ in range(FOLD_COMMITS - 2):  # the first entry was a commit, too
        ledger.append(note()).result(10)
    assert not ledger._store.unfolded
    ledger.append(note()).result(10)
    assert folded.wait(20)
    assert not ledger._store.unfolded
    assert not ledger._store._broken
    with closing(sqlite3.connect(store / layout.DATABASE)) as database:  # all of it is in the database by now
        _, pages, done = database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        assert pages == done


@pytest.mark.parametrize(("code", "broken"), [(sqlite3.SQLITE_IOERR_FSYNC, True), (sqlite3.SQLITE_FULL, False)])
def test_after_a_fold_that_failed_to_sync_nothing_is_acknowledged(ledger: Ledger, code: int, broken: bool) -> None:
    """The next sync may say that all is well, when the pages are gone; a full disk is no such thing."""

    class Failing:
        def execute(self, _: str) -> None:
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = code
            raise error

    database = ledger._store._db
    ledger._store._db = Failing()  # type: ignore[assignment]
    ledger._store.fold()
    ledger._store._db = database
    if broken:
        with pytest.raises(StoreFailed):
            ledger.append(note()).result(10)
    else:
        ledger.append(note()).result(10)


def test_a_signer_that_fails_between_leaves_nothing(
    ledger: Ledger, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are in a transaction by then; nobody ever sees them."""
    before = ledger.head()

    def gone() -> Sealed:
        raise StoreFailed("the signer has ended")

    monkeypatch.setattr(ledger._notary, "answer", gone)
    with pytest.raises(StoreFailed):
        ledger.append(note("lost")).result(10)
    with pytest.raises(StoreFailed):
        ledger.append(note("later")).result(10)
    assert ledger.head() == before
    ledger.close()
    with Reader.open(store) as reader:
        assert reader.size() == before.size
    assert verify(store).verdict is Verdict.OK
