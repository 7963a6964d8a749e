"""Searches over a real store; the process of its own, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bastion import audit, history
from bastion.control import archive, searching, wire
from bastion.control.archive import Archive
from bastion.control.searching import HITS_LIMIT, LINE_WIDTH, Search, cut
from bastion.errors import StoreError, UsageError
from bastion.model import Assessment, Request, Tier, Verdict
from bastion.policy.judge import Judgement
from recorder.derived import name_of
from recorder.indexer import TRIES, Attempt, Writer
from recorder.ledger import Draft, Ledger
from recorder.reader import Reader
from tests.bastion.control.conftest import request as a_request
from tests.recorder.stories import HOST, ledger_key


@dataclass
class Past:
    """Sessions that are over."""

    ledger: Ledger
    store: Path
    sessions: list[str] = field(default_factory=list)

    def session(
        self, *commands: tuple[bytes, bytes], identity: str = "agent", target: str = "web-1", tier: Tier = Tier.LOW
    ) -> str:
        """One that ran these commands, with what each put out."""
        name = f"s-{len(self.sessions):016x}"
        self.sessions.append(name)
        self._write(audit.session_opened(name, identity, "SHA256:x", target, "root", "::1:1"))
        recording = self.ledger.recording(name, actor=identity, notify=lambda: None)
        for number, (command, output) in enumerate(commands):
            made = replace(
                a_request(), id=f"r-{len(self.sessions):04x}{number:04x}", session=name, identity=identity,
                target=target, command=command, assessment=Assessment(10, tier, ()),
            )  # fmt: skip
            self._propose(made)
            recording.write("marker", f"{made.id} {command.decode('utf-8', 'replace')}".encode())
            recording.write("output", output)
        recording.finish().result(30)
        self._write(audit.session_closed(name, "exit 0"))
        return name

    def _propose(self, made: Request) -> None:
        draft = audit.proposed(made, Judgement(Verdict.ALLOW, made.digest, "test", "because"))
        assert history.unpack(draft.payloads["content"]).command == made.command
        self._write(draft)

    def _write(self, draft: Draft) -> None:
        self.ledger.append(draft).result(30)

    def find(
        self, text: str, index: Path | None = None, late: Callable[[], bool] = lambda: False, **filters: object
    ) -> wire.SearchResult:
        with Reader.open(self.store) as reader:
            question = wire.SearchSessions(id=0, text=text, **filters)  # type: ignore[arg-type]
            return Search(reader, index, question, late).run()


@pytest.fixture
def past(tmp_path: Path) -> Iterator[Past]:
    made = Past(Ledger.create(tmp_path / "store", host=HOST, key=ledger_key()), tmp_path / "store")
    yield made
    made.ledger.close()


def lines(result: wire.SearchResult) -> list[tuple[str, str]]:
    return [(hit.where, hit.line) for hit in result.hits]


def test_commands_and_screens(past: Past) -> None:
    name = past.session((b"systemctl restart nginx", b"Job for nginx failed\n"), (b"uptime", b"up 3 days\n"))
    past.session((b"true", b""))
    found = past.find("NGINX")
    assert lines(found) == [("command", "systemctl restart nginx"), ("screen", "Job for nginx failed")]
    assert (found.sessions, found.complete, found.notes) == (2, True, [])
    assert {(hit.session, hit.request) for hit in found.hits} == {(name, "r-00010000")}
    (hit,) = past.find("3 days").hits
    assert (hit.request, hit.where, hit.tier, hit.decision) == ("r-00010001", "screen", "low", "allowed")
    assert not past.find("nowhere").hits


def test_filters(past: Past) -> None:
    past.session((b"find me", b""), identity="a", target="t")
    past.session((b"find me", b""), identity="b", target="t")
    past.session((b"find me", b""), identity="b", target="u", tier=Tier.HIGH)
    first, *_, last = sorted(past.find("me").hits, key=lambda hit: hit.at)
    assert len(past.find("me").hits) == 3
    for filters, count in (
        ({"identity": "b"}, 2), ({"target": "t"}, 2), ({"identity": "b", "target": "t"}, 1), ({"tier": "high"}, 1),
        ({"decision": "allowed"}, 3), ({"decision": "denied"}, 0), ({"since": last.at}, 1), ({"since": last.at + 1}, 0),
        ({"until": first.at}, 1), ({"until": first.at - 1}, 0), ({"since": first.at, "until": last.at}, 3),
    ):  # fmt: skip
        assert len(past.find("me", **filters).hits) == count, filters


def test_limits_say_how_to_go_on(past: Past) -> None:
    names = [past.session((b"one hit", b"")) for _ in range(3)]
    found = past.find("hit", limit=2)
    assert [hit.session for hit in found.hits] == names[:0:-1]
    assert not found.complete
    rest = past.find("hit", before=found.before)
    assert ([hit.session for hit in rest.hits], rest.complete) == (names[:1], True)
    assert past.find("hit", limit=3).complete
    late = past.find("hit", late=lambda: True)
    assert (late.hits, late.sessions, late.complete) == ([], 0, False)
    past.session((b"many", b"".join(b"hit %d\n" % number for number in range(5))))
    some = past.find("hit", limit=3)
    assert len(some.hits) == 3
    assert not some.complete
    assert "more hits" in some.notes[0]


def test_a_line_counts_once_for_each_request(past: Past) -> None:
    past.session((b"a", b"same\nsame\n"), (b"b", b"same\n"))
    assert [hit.request for hit in past.find("same").hits] == ["r-00010000", "r-00010001"]


def test_what_is_rendered_is_kept_and_never_trusted(past: Past, tmp_path: Path) -> None:
    name = past.session((b"x", b"the needle\n"))
    kept = tmp_path / "derived"
    file = kept / name_of(name)
    wanted = [("screen", "the needle")]
    assert lines(past.find("needle", kept)) == wanted
    assert (file.stat().st_mode & 0o777, kept.stat().st_mode & 0o777) == (0o600, 0o700)
    good = file.read_bytes()
    assert b"needle" not in good
    assert lines(past.find("needle", kept)) == wanted
    assert file.read_bytes() == good, "it was rendered again"
    # neither a changed file nor another session's is taken
    for bad in (b"", b"x", good[:-1], good[:60] + bytes([good[60] ^ 1]) + good[61:], b"ABd1" + b"\xff" * 12 + good):
        file.write_bytes(bad)
        assert lines(past.find("needle", kept)) == wanted
        assert len(file.read_bytes()) == len(good)
    past.session((b"y", b"hay\n"))
    assert [hit.line for hit in past.find("hay", kept).hits] == ["hay"]
    theirs = next(path for path in kept.iterdir() if path != file and not path.name.startswith("attempt"))
    theirs.write_bytes(good)
    assert [hit.line for hit in past.find("hay", kept).hits] == ["hay"]
    # and where it cannot be kept, what is found is the same, or it is said
    assert lines(past.find("needle")) == wanted


def test_a_search_goes_as_far_as_time_allows_and_the_next_one_goes_on(past: Past, tmp_path: Path) -> None:
    """What was beyond the first 2 MiB was not searched once."""
    name = past.session((b"x", b"".join(b"line %07d of many\n" % n for n in range(150_000)) + b"the needle\n"))
    turns = iter([False, False, False, True])  # before the session, then before each chunk
    first = past.find("line 0000001", tmp_path / "derived", late=lambda: next(turns, True))
    assert lines(first) == [("screen", "line 0000001 of many")]
    assert first.notes == [f"session {name}: only 2 of 49 chunks were searched in time"]
    assert lines(past.find("needle", tmp_path / "derived")) == [("screen", "the needle")]


def test_what_another_process_renders_is_read_as_far_as_it_is(
    past: Past, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "STUCK_SECONDS", 0.1)
    name = past.session((b"x", b"the needle\n"))
    with Reader.open(past.store) as reader:
        writer = Writer(reader, tmp_path / "derived", name)
        found = past.find("needle", tmp_path / "derived")
        assert (found.hits, found.notes) == ([], [f"session {name}: only 0 of 1 chunks are rendered yet"])
        assert writer.more()
        writer.advance()
        assert lines(past.find("needle", tmp_path / "derived")) == [("screen", "the needle")]
        writer.close()


def test_a_search_survives_what_no_renderer_gets_through(past: Past, tmp_path: Path) -> None:
    """Two searches died of it; the third goes round it, and finds what is elsewhere."""
    hostile, harmless = past.session((b"x", b"bomb\n")), past.session((b"y", b"the needle\n"))
    kept = tmp_path / "derived"
    for _ in range(TRIES):
        with Reader.open(past.store) as reader:
            attempt = Attempt(kept, "attempt-search")
            attempt.look_back()
            writer = Writer(reader, kept, hostile)
            attempt.begin(writer.derived.path, writer.done)
            writer.close()  # and here the process was killed
    found = past.find("needle", kept)
    assert [hit.session for hit in found.hits] == [harmless]
    assert found.notes == [
        f"session {hostile}: not rendered from chunk 0 on: the renderer did not get through what was put out there"
    ]


def test_long_lines_are_cut_round_the_hit() -> None:
    assert cut("x" * LINE_WIDTH, 3, 1) == "x" * LINE_WIDTH
    line = "a" * 500 + "needle" + "b" * 500
    shown = cut(line, 500, 6)
    assert (len(shown), shown[0], shown[-1]) == (LINE_WIDTH + 2, "…", "…")
    assert "needle" in shown
    assert cut(line, 1000, 6).endswith("b")
    assert cut(line, 0, 6).startswith("a")


async def test_the_process(past: Past) -> None:
    past.session((b"printf", "n\u00e4h\x1b[31m \u202eneedle\n".encode() + b"\xff\x1b[" + b"9" * 5000 + b"A"))
    with Reader.open(past.store) as reader:
        found = await Archive(reader).search(wire.SearchSessions(id=0, text="N\u00c4H"))
        assert [hit.where for hit in found.hits] == ["screen"]
        assert (past.store.parent / "derived").is_dir()
        for bad in ("", "  ", "a\nb", "x" * 1001):
            with pytest.raises(UsageError):
                await Archive(reader).search(wire.SearchSessions(id=0, text=bad))


async def test_a_search_that_dies_or_hangs_is_one_failure(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    with Reader.open(past.store) as reader:
        monkeypatch.setattr(archive, "ROOT", "/nonexistent")
        monkeypatch.setattr(archive.sys, "executable", "/bin/false")
        with pytest.raises(StoreError, match="the search failed: status 1"):
            await Archive(reader).search(wire.SearchSessions(id=0, text="x"))


def test_an_answer_fits_a_message() -> None:
    hit = wire.SearchHit(
        at=1 << 52, session="s" * 18, request="r" * 10, identity="i" * 64, login="l" * 64, target="t" * 64,
        where="command", line="\x00" * (LINE_WIDTH + 2), tier="medium", decision="withdrawn", offset=1 << 52,
    )  # fmt: skip
    result = wire.SearchResult(hits=[hit] * HITS_LIMIT, sessions=1, complete=False, notes=["n" * 300] * 20)
    assert len(wire.encode(wire.reply(1, result))) < wire.LINE_LIMIT
