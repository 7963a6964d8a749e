from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from recorder import asciicast, export
from recorder.errors import RecorderError
from recorder.keys import LedgerKey
from recorder.ledger import Draft, Ledger
from recorder.reader import Missing, Reader
from recorder.verify import Verdict, verify
from tests.recorder.stories import Story, ledger_key

Tell = Callable[[Callable[[Story], object]], Path]
SHELLS = [pytest.param([shell, *rest], id=shell) for shell, *rest in (["dash"], ["bash", "--posix"], ["busybox", "sh"])]


def long_story(story: Story) -> None:
    story.everything()
    story.ledger.append(*(Draft("channel.refused", "x", {"what": str(n)}) for n in range(2100))).result(30)
    story.identity(story.ana.__class__("late"))


@pytest.fixture
def made(told: Tell, tmp_path: Path) -> Path:
    """A bundle of three segments, without content."""
    store = told(long_story)
    export.bundle(store, tmp_path / "bundle")
    return tmp_path / "bundle"


def signers(bundle: Path, key: LedgerKey) -> Path:
    path = bundle.parent / "key.pub"
    path.write_text(f"{key.line} the log's key\n")
    return path


def run(shell: list[str], bundle: Path, key: LedgerKey) -> subprocess.CompletedProcess[str]:
    command = [*shell, str(bundle / "verify.sh"), str(signers(bundle, key))]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")


@pytest.mark.parametrize("shell", SHELLS)
def test_stock_tools_check_a_bundle(shell: list[str], made: Path, key: LedgerKey) -> None:
    if not shutil.which(shell[0]):
        pytest.skip(f"{shell[0]} is not installed")
    done = run(shell, made, key)
    assert (done.returncode, done.stderr) == (0, "")
    with (made / "checkpoint").open() as note:
        origin, size, *_ = note.read().split("\n")
    assert done.stdout == f"ok: {size} entries of {origin}\n"
    assert run(shell, made, ledger_key(8)).returncode == 1


def change(name: str, old: bytes, new: bytes) -> Callable[[Path], None]:
    def apply(bundle: Path) -> None:
        data = (bundle / name).read_bytes()
        assert old in data
        (bundle / name).write_bytes(data.replace(old, new, 1))

    return apply


def drop_last_line(bundle: Path) -> None:
    path = max(bundle.glob("seg-*.jsonl"))
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def swap_segments(bundle: Path) -> None:
    for suffix in ("", ".sig"):
        one, other = bundle / f"seg-000000.jsonl{suffix}", bundle / f"seg-000001.jsonl{suffix}"
        first, second = one.read_bytes(), other.read_bytes()
        one.write_bytes(second)
        other.write_bytes(first)


def drop_segment(number: int) -> Callable[[Path], None]:
    def apply(bundle: Path) -> None:
        (bundle / f"seg-{number:06d}.jsonl").unlink()
        (bundle / f"seg-{number:06d}.jsonl.sig").unlink()

    return apply


CHANGES: dict[str, Callable[[Path], None]] = {
    "entry changed": change("seg-000000.jsonl", b'"name":"ana"', b'"name":"eve"'),
    "first line changed": change("seg-000001.jsonl", b'"first":1024', b'"first":1025'),
    "entry removed at the end": drop_last_line,
    "segments swapped": swap_segments,
    "middle segment removed": drop_segment(1),
    "last segment removed": drop_segment(2),
    "checkpoint shortened": change("checkpoint.txt", b"\n21", b"\n20"),
    "signature changed": change("seg-000002.jsonl.sig", b"\nU1NIU", b"\nU1NIV"),
    "checkpoint signature removed": lambda bundle: (bundle / "checkpoint.txt.sig").unlink(),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_bundle_is_noticed_by_both(name: str, made: Path, key: LedgerKey) -> None:
    CHANGES[name](made)
    (made / "SHA256SUMS").unlink()  # whoever changes a bundle makes these anew
    sums = subprocess.run("sha256sum seg* checkpoint* > SHA256SUMS", shell=True, cwd=made, check=True)  # noqa: S602
    assert sums.returncode == 0
    done = run(["dash"], made, key)
    assert done.returncode == 1
    assert done.stderr.startswith("TAMPER: ")
    assert verify(made).verdict is Verdict.TAMPER


def test_segments_of_an_earlier_time_do_not_pass_for_the_head(told: Tell, tmp_path: Path, key: LedgerKey) -> None:
    """An old last segment with its own good signature, under a newer checkpoint."""
    store = told(long_story)
    export.bundle(store, tmp_path / "old")
    ledger = Ledger.open(store, key=key)
    ledger.append(Draft("session.closed", "x", {})).result(10)
    ledger.close()
    export.bundle(store, tmp_path / "new")
    for name in ("seg-000002.jsonl", "seg-000002.jsonl.sig"):
        shutil.copy(tmp_path / "old" / name, tmp_path / "new" / name)
    done = run(["dash"], tmp_path / "new", key)
    assert (done.returncode, "signs" in done.stderr) == (1, True)
    assert verify(tmp_path / "new").verdict is Verdict.TAMPER


def test_verify_reads_a_bundle(made: Path, store: Path, key: LedgerKey) -> None:
    report, original = verify(made, key=key.line), verify(store)
    assert (report.verdict, report.entries, report.head) == (Verdict.OK, original.entries, original.head)
    assert any("no payloads" in note for note in report.notes)
    assert verify(made, head=original.head).verdict is Verdict.OK
    size = original.entries
    assert verify(made, head=f"{size + 1}:{'0' * 64}").verdict is Verdict.ROLLBACK
    assert verify(made, head=f"{size}:{'0' * 64}").verdict is Verdict.FORK


def test_with_content(told: Tell, tmp_path: Path) -> None:
    store, out = told(Story.everything), tmp_path / "bundle"
    export.bundle(store, out, content=True)
    report = verify(out)
    assert (report.verdict, [note for note in report.notes if "no payloads" in note]) == (Verdict.OK, [])
    assert sorted(path.name for path in (out / "casts").iterdir()) == ["s-1.cast", "s-2.cast"]
    assert subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=out, check=False).returncode == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in out.rglob("*"))

    rows = [json.loads(line) for line in (out / "payloads.jsonl").read_text().splitlines()]
    rows[1]["data"] = ""
    (out / "payloads.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert "payload" in verify(out).message
    pack = bytearray((out / "chunks.pack").read_bytes())
    pack[-1] ^= 1
    (out / "chunks.pack").write_bytes(pack)
    assert [problem.message for problem in verify(out).problems][-1].startswith("recording of s-2")
    (out / "payloads.jsonl").write_text("{}\n")
    assert verify(out).verdict is Verdict.TAMPER


def test_a_bundle_overwrites_nothing(told: Tell, tmp_path: Path) -> None:
    store = told(Story.everything)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RecorderError, match="empty"):
        export.bundle(store, tmp_path)


def test_a_bundle_while_it_is_written_to(ledger: Ledger, store: Path, tmp_path: Path, key: LedgerKey) -> None:
    ledger.append(*(Draft("a.b", "x", {}) for _ in range(1023))).result(10)
    export.bundle(store, tmp_path / "full")
    assert sorted(path.name for path in (tmp_path / "full").glob("seg-*.jsonl")) == ["seg-000000.jsonl"]
    assert run(["dash"], tmp_path / "full", key).returncode == 0
    assert verify(tmp_path / "full").verdict is Verdict.OK
    ledger.append(Draft("a.b", "x", {})).result(10)
    export.bundle(store, tmp_path / "more")
    assert run(["dash"], tmp_path / "more", key).returncode == 0


def test_cast(told: Tell) -> None:
    store = told(Story.everything)
    with Reader.open(store) as reader:
        for version in (2, 3):
            header, events = asciicast.read(export.cast(reader, "s-1", version=version))
            assert (header.version, header.columns, header.rows) == (version, 80, 24)
            assert abs(header.timestamp - reader.entry(0).t // 1_000_000) < 60
            text = "".join(event.data for event in events if event.code == "o")
            assert text == "root\r\n" * 300 + "warning"
        assert list(export.text(reader, "s-1"))[-2:] == ["root", "warning"]
        assert list(export.text(reader, "s-2")) == ["red"]
        for what in (export.cast, export.text):
            with pytest.raises(Missing):
                what(reader, "s-3")


def test_cast_of_a_terminal_has_its_size(story: Story, store: Path) -> None:
    story.record("s-9", ("resize", b"132x43"), ("output", b"a\r\n\x1b[31mb"))
    with Reader.open(store) as reader:
        header, events = asciicast.read(export.cast(reader, "s-9"))
        assert (header.columns, header.rows) == (132, 43)
        assert [event.code for event in events] == ["r", "o"]
