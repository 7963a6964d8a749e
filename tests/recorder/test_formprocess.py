"""Two processes say of a ledger what one says: of sound ones, of attacked ones, and of random changes."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from recorder import strict
from recorder.errors import RecorderError
from recorder.form import Forming, Page, Taken
from recorder.formprocess import FormProcess, Unclear
from recorder.formworker import READY, Order, answer, part
from recorder.ledger import Draft, Ledger
from recorder.report import Report, Verdict
from recorder.source import PAGE, Source, open_source
from recorder.verify import _Verifier, verify
from tests.recorder.forgeries import ATTACKS, mutations
from tests.recorder.stories import HOST, Story, ledger_key

BUNDLES = Path(__file__).parents[1] / "vectors" / "bundles"


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Something of everything, of several pages of 8 entries."""
    directory = tmp_path_factory.mktemp("master") / "store"
    ledger = Ledger.create(directory, host=HOST, key=ledger_key())
    story = Story(ledger)
    story.everything()
    ledger.append(*(Draft("a.b", "x", {"n": number, "s": ["é", None]}) for number in range(20))).result(30)
    story.write(Draft("session.closed", "bastion", {"end": "done"}, session="s-2"))
    ledger.close()
    return directory


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Several pages, and segments, as they are."""
    ledger = Ledger.create(tmp_path / "large", host=HOST, key=ledger_key())
    Story(ledger).everything()
    for _ in range(3):
        ledger.append(*(Draft("a.b", "x", {"n": number, "s": ["é", None]}) for number in range(PAGE))).result(30)
    ledger.close()
    return tmp_path / "large"


@pytest.fixture
def copy(master: Path, tmp_path: Path) -> Path:
    shutil.copytree(master, tmp_path / "copy")
    (tmp_path / "copy").chmod(0o700)
    return tmp_path / "copy"


@dataclass
class Asked:
    """Of how many ledgers other processes were asked, and what."""

    begun: list[Order] = field(default_factory=list)
    verifiers: int = 0

    @property
    def again(self) -> bool:
        """Was anything unclear?"""
        return self.verifiers > 1


class Here(FormProcess):
    """The other side runs in this process, all of it before ours."""

    def __init__(self, path: Path, asked: Asked) -> None:
        self._path, self._asked, self._out = path, asked, io.BytesIO()
        super().__init__(self._out, io.BytesIO())
        self._ask(lambda source: part(self._out, READY))
        self._out.seek(0)

    def _ask(self, work: Callable[[Source], object]) -> None:
        try:
            with closing(open_source(self._path)) as source, source.snapshot():
                work(source)
        except RecorderError:
            pass

    def begin(self, order: Order) -> None:
        super().begin(order)
        self._asked.begun.append(order)
        at = self._out.tell()
        self._ask(lambda source: answer(order, source, self._out))
        self._out.seek(at)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Other processes are none: hundreds of ledgers a second."""
    asked = Asked()
    monkeypatch.setattr("recorder.source.PAGE", 2)
    monkeypatch.setattr(FormProcess, "start", lambda path: Here(path, asked))
    count_verifiers(monkeypatch, asked)
    return asked


def count_verifiers(monkeypatch: pytest.MonkeyPatch, asked: Asked) -> None:
    good = _Verifier.__init__

    def counted(self: _Verifier, *given: Any) -> None:
        asked.verifiers += 1
        good(self, *given)

    monkeypatch.setattr(_Verifier, "__init__", counted)


def judged(path: Path, *, beside: bool, key: str | None = None, head: str | None = None) -> Report | str:
    try:
        return verify(path, beside=beside, key=key, head=head)
    except RecorderError as error:
        return error.message


@pytest.mark.parametrize("name", ATTACKS)
def test_attacked_stores(name: str, copy: Path, here: Asked) -> None:
    ATTACKS[name][0](copy)
    one = judged(copy, beside=False)
    assert isinstance(one, Report)
    assert one.verdict is Verdict.TAMPER
    assert judged(copy, beside=True) == one
    assert here.begun or name in ("first entry deleted", "trigger planted"), "which are found before"


def test_vectors(here: Asked) -> None:
    for path in sorted(BUNDLES.iterdir()):
        expected = json.loads((path / "expected.json").read_text())
        given = {"key": expected["key"], "head": expected["head"] or None}
        two = judged(path, beside=True, **given)
        assert two == judged(path, beside=False, **given), path.name
        assert isinstance(two, Report)
        assert (two.verdict, two.seq) == (expected["verdict"], expected["seq"]), path.name
    assert len(here.begun) > 30


def test_random_changes(copy: Path, here: Asked) -> None:
    caught = 0
    for seed in range(1000, 1025):
        for _ in mutations(copy, seed):
            one = judged(copy, beside=False)
            assert judged(copy, beside=True) == one, f"seed {seed}"
            caught += not (isinstance(one, Report) and one.good)
    assert 5 < caught < 25
    assert len(here.begun) > 10


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has a second process waits for it, even where everything could be done meanwhile."""
    good = FormProcess.ready
    monkeypatch.setattr(FormProcess, "ready", lambda self: good(self, 30))


@pytest.mark.usefixtures("patient")
def test_a_real_process(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = verify(large, beside=False)
    assert one.verdict is Verdict.OK
    ATTACKS["deleted"][0](shutil.copytree(large, large.with_name("other")))
    assert verify(large.with_name("other"), beside=True) == verify(large.with_name("other"), beside=False)
    asked, pages = Asked(), list[int]()
    count_verifiers(monkeypatch, asked)
    good = Forming.take
    monkeypatch.setattr(Forming, "take", lambda self, page: pages.append(1) or good(self, page))  # type: ignore[func-returns-value]
    assert verify(large, beside=True) == one
    assert (asked.verifiers, len(pages)) == (1, 1), "all but the first page were looked at by the other process"


def test_a_process_that_is_never_ready_is_not_waited_for(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, asked = verify(large, beside=False), Asked()
    count_verifiers(monkeypatch, asked)
    monkeypatch.setattr(FormProcess, "ready", lambda self: False)
    assert verify(large, beside=True) == one
    assert not asked.again


def test_a_good_ledger_is_read_once(copy: Path, here: Asked) -> None:
    """Otherwise everything above would compare one process with itself."""
    assert verify(copy, beside=True).verdict is Verdict.OK
    assert (here.verifiers, len(here.begun)) == (1, 1)
    assert here.begun[0].state.size == 2


@pytest.mark.parametrize("page", range(1, 30, 3))
def test_wherever_the_other_process_goes_on(
    large: Path, page: int, here: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of a segment, of a tree, and at their ends."""
    monkeypatch.setattr("recorder.source.PAGE", 64)
    one, pages = verify(large, beside=False), iter(range(100))
    here.verifiers = 0
    monkeypatch.setattr(Here, "ready", lambda self: next(pages) == page)
    assert verify(large, beside=True) == one
    size = one.entries
    assert [each.state.size for each in here.begun] == [64 * (page + 1)] * (64 * (page + 1) < size)
    assert not here.again


@pytest.fixture
def pages_of_8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.source.PAGE", 8)


def made(store: Path) -> tuple[Order, bytes]:
    """What is asked about a store, and the whole answer."""
    with closing(open_source(store)) as source:
        origin = verify(store, beside=False).origin
        order = Order(origin, source.size(), [30], [5, source.size()])
        out = io.BytesIO()
        part(out, READY)
        assert answer(order, source, out)
        return order, out.getvalue()


def taken(order: Order, answers: bytes) -> FormProcess:
    ours = FormProcess(io.BytesIO(answers), io.BytesIO())
    ours.begin(order)
    for _ in ours.pages():
        pass
    ours.form()
    return ours


@pytest.mark.usefixtures("pages_of_8")
def test_an_answer_that_is_cut_anywhere_is_unclear(copy: Path) -> None:
    order, answers = made(copy)
    taken(order, answers)
    for at in [*range(0, len(answers), 97), len(answers) - 1]:
        with pytest.raises(Unclear):
            taken(order, answers[:at])


@pytest.mark.usefixtures("pages_of_8")
def test_an_answer_that_makes_no_sense_is_unclear(copy: Path) -> None:
    order, answers = made(copy)
    whole = answers.replace(b'"peaks":["', b'"peaks":["00","')
    length = answers.index(b'{"size"') - 4  # of the last part
    whole = (
        whole[:length]
        + (int.from_bytes(answers[length : length + 4], "big") + 5).to_bytes(4, "big")
        + whole[length + 4 :]
    )
    for bad in (
        whole,  # another number of peaks
        answers.replace(b'"seq":9,', b'"seq":8,'),
        answers.replace(b'"v":1}', b'"v":1]'),
        answers.replace(b"ready", b"Ready"),
        answers.replace(b'{"size"', b'["size"'),
    ):
        assert bad != answers
        with pytest.raises(Unclear):
            taken(order, bad)


@pytest.mark.usefixtures("here")
def test_leaves_of_other_bytes_do_not_give_the_root(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should the other process ever say that something is fine that is not, it cannot make the tree."""
    good, calls = Forming._whole, list[int]()

    def careless(self: Forming, page: Page, leaves: list[bytes], text: bytes) -> Taken | None:
        found = good(self, page, leaves, text)
        if found is None:
            calls.append(self.size)
            self.size, self._prev = self.size + len(leaves), leaves[-1].hex()
        return found or Taken(strict.read_all(text), leaves, text)

    ATTACKS["bit flip, leaf made to fit"][0](copy)
    one = verify(copy, beside=False)
    monkeypatch.setattr(Forming, "_whole", careless)
    assert verify(copy, beside=True).verdict is one.verdict is Verdict.TAMPER
    assert calls


@pytest.mark.usefixtures("pages_of_8")
def test_more_or_fewer_entries_than_were_asked_for_are_unclear(copy: Path) -> None:
    order, answers = made(copy)
    for change in (-1, 1, 8):
        with pytest.raises(Unclear):
            taken(replace_end(order, order.end + change), answers)


def replace_end(order: Order, end: int) -> Order:
    return Order(order.origin, end, order.ends, order.wanted)


@pytest.mark.usefixtures("patient")
def test_the_other_side_is_killed(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = verify(copy, beside=False)
    good = subprocess.Popen

    def dies(command: list[str], **given: object) -> subprocess.Popen[bytes]:
        return good([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"], **given)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr("recorder.formprocess.subprocess.Popen", dies)
    assert verify(copy, beside=True) == one


def test_no_process_can_be_started(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = verify(copy, beside=False)

    def none(*_: object, **__: object) -> None:
        raise PermissionError("seccomp")

    monkeypatch.setattr("recorder.formprocess.subprocess.Popen", none)
    assert verify(copy, beside=True) == one


def test_small_ledgers_are_looked_at_by_one(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FormProcess, "start", None)
    assert verify(copy).good


def test_notes_are_the_same(copy: Path, here: Asked) -> None:
    report = verify(copy, beside=True)
    assert replace(report, notes=()) == replace(verify(copy, beside=False), notes=())
    assert report.notes
    assert here.begun


def test_entries_one_by_one_are_judged_as_whole_pages_are(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.source.PAGE", 8)
    for number, (name, (attack, *_)) in enumerate(ATTACKS.items()):
        changed = shutil.copytree(copy, copy.parent / str(number) / "copy")  # an attack makes others beside it
        attack(changed)
        whole = judged(changed, beside=False)
        with monkeypatch.context() as patch:
            patch.setattr(Forming, "_whole", lambda *_: None)
            assert judged(changed, beside=False) == whole, name


def test_pages_of_a_good_ledger_are_looked_at_as_a_whole(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Forming, "_each", None)
    assert verify(copy, beside=False).good
