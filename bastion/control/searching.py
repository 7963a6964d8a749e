"""Searching commands and screens of all sessions: a process of its own, `python -m bastion.control.searching STORE`.

Theory of operation. The call comes on stdin as a line of JSON (wire.SearchSessions), the answer (wire.SearchResult)
goes to stdout. Rendering what targets sent takes time and memory, and a renderer may have faults that hostile output
finds: so it happens neither in the daemon nor in the tool, but here, under limits, at the lowest priority. When this
process dies, one search failed and nothing else did.

It goes through the sessions from the newest back until the limit of hits or SECONDS is reached, and says with which
`before` to go on. What the daemon has not rendered yet (recorder/indexer.py) is rendered here, chunk by chunk, and
kept: what a search does not get through, the next one goes on with, and the hits of the part that is done are shown. A
hit belongs to the request whose marker, written by the bastion, came last before it; a line that a request shows twice
is one hit.

Secrets are neither shown nor found (policy/secrets.py): a search that finds one would tell it letter by letter.

Not found: text across the end of a line or of the terminal's width, and what was wiped away within one frame. The
screen of a governed shell's request that another one overlapped with may be taken for the other's.
"""

from __future__ import annotations

import os
import sys
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import msgspec

from bastion.control import wire
from bastion.control.archive import SEARCH_SECONDS, Archive
from bastion.errors import BastionError
from bastion.policy.secrets import overwrite
from recorder import derived, indexer
from recorder.derived import Derived
from recorder.entry import Entry
from recorder.errors import RecorderError
from recorder.indexer import Attempt, Busy, Writer
from recorder.reader import Reader
from recorder.spine import Spine

HITS_LIMIT = 1000
"""Hits in one answer: at LINE_WIDTH characters they stay below wire.LINE_LIMIT, whatever the characters."""
LINE_WIDTH = 240
"""Characters of a line in an answer; ripgrep's editors cut at about as many."""
STUCK_SECONDS = 3.0
"""Without a chunk more, after which the indexer is not waited for: a chunk takes it less, and 30 s where the disk is
full."""
LOOK_AGAIN_SECONDS = 0.05
"""Between two looks whether the indexer has let go, and got on: each reads how far both files go."""
NOTES_LIMIT = 20
"""Notes in one answer."""


class Shown:
    """What one recording showed, as far as it is rendered."""

    def __init__(self) -> None:
        self.lines: list[tuple[int, str]] = []
        """(microseconds since the recording began, text) of the lines that hold what is searched for, by time."""
        self.markers: list[tuple[int, str]] = []
        self.notes: list[str] = []

    def take(self, source: Derived | Writer, wanted: str) -> None:
        """What is there now."""
        found: dict[int, tuple[int, str]] = {}
        for number, at, text in source.lines():
            if wanted in text.casefold():
                found[number] = (at, text)
            else:
                found.pop(number, None)  # it has become another
        self.lines = sorted(found.values(), key=lambda line: line[0])
        self.markers = list(source.markers())


class Search:
    """One search."""

    def __init__(
        self,
        reader: Reader,
        directory: Path | None,
        question: wire.SearchSessions,
        late: Callable[[], bool],
        limit: Callable[[], None] = lambda: None,
    ) -> None:
        """`directory`: of what is rendered; None: nothing is kept. `limit` is called before each chunk."""
        self._archive = Archive(reader)
        self._reader = reader
        self._directory = directory
        self._question = question
        self._wanted = question.text.casefold()
        self._late, self._limit_chunk = late, limit
        self._attempt = Attempt(directory, "attempt-search") if directory is not None else None
        if self._attempt is not None:
            self._attempt.look_back()
        self._limit = min(max(question.limit, 1), HITS_LIMIT)
        self._notes: list[str] = []

    def run(self) -> wire.SearchResult:
        """Raises BastionError, RecorderError."""
        hits: list[wire.SearchHit] = []
        searched = before = 0
        for opened in self._opened():
            if not self._fits(opened.t, str(opened.body.get("identity")), str(opened.body.get("target"))):
                continue
            if self._late() or len(hits) >= self._limit:
                before = opened.t
                break
            info = self._archive.session_now(opened.session)
            if info.closed and self._question.since and info.closed < self._question.since:
                continue
            searched += 1
            room = self._limit - len(hits)
            found = list(islice(self._session(info), room + 1))
            if len(found) > room:
                self._note(f"session {info.id} has more hits than are shown")
                before = opened.t
                hits += found[:room]
                break
            hits += found
        notes = self._notes[:NOTES_LIMIT]
        return wire.SearchResult(hits=hits, sessions=searched, complete=not before, notes=notes, before=before)

    def _opened(self) -> Iterator[Entry]:
        if self._question.session:
            return self._reader.entries(types=("session.opened",), session=self._question.session, limit=1)
        return self._reader.newest("session.opened")

    def _fits(self, opened: int, identity: str, target: str) -> bool:
        question = self._question
        return (
            question.identity in ("", identity)
            and question.target in ("", target)
            and not (question.until and opened > question.until)
            and not (question.before and opened > question.before)
        )

    def _session(self, info: wire.SessionInfo) -> Iterator[wire.SearchHit]:
        shown = self._shown(info.id)
        for note in shown.notes:
            self._note(f"session {info.id}: {note}")
        requests = {name: self._archive.request_now(name) for name in info.requests}
        starts = [(at, name) for at, text in shown.markers if (name := text.partition(" ")[0]) in requests]
        begun = self._begun(info, starts)
        for name, request in requests.items():
            at = next((at for at, each in starts if each == name), None)
            moment = begun + at if at is not None else request.created
            for line in request.command.decode("utf-8", "replace").splitlines():
                yield from self._hit(info, request, moment, max(0, moment - begun), "command", line)
        told: set[tuple[str, str]] = set()
        for at, line in shown.lines:
            last = bisect_right(starts, at, key=lambda start: start[0]) - 1
            name = starts[last][1] if last >= 0 else ""
            if (name, line) not in told:
                told.add((name, line))
                yield from self._hit(info, requests.get(name), begun + at, at, "screen", line)

    def _shown(self, session: str) -> Shown:
        """Renders what has not been; says what is left. Never raises for what the recording is like."""
        shown = Shown()
        try:
            writer = self._writer(session)
        except (Busy, OSError):  # what is there can be read
            return self._read(session, shown)
        except RecorderError as error:
            shown.notes.append(error.message)
            return shown
        try:
            while writer.more():
                if self._late():
                    shown.notes.append(f"only {writer.done} of {len(writer.spine.links)} chunks were searched in time")
                    break
                self._limit_chunk()
                if self._attempt is not None:
                    self._attempt.begin(writer.derived.path, writer.done)
                writer.advance()
        except (RecorderError, OSError) as error:
            shown.notes.append(error.message if isinstance(error, RecorderError) else str(error))
        except Exception as error:  # noqa: BLE001 - a fault of the renderer, of which the rest of the search knows nothing
            writer.give_up(f"the renderer failed: {type(error).__name__}")
        finally:
            if self._attempt is not None:
                self._attempt.end()
            shown.take(writer, self._wanted)
            if (stopped := writer.stopped) is not None:
                shown.notes.append(f"not rendered from chunk {stopped[0]} on: {stopped[1]}")
            writer.close()
        return shown

    def _writer(self, session: str) -> Writer:
        """Waits for the indexer as long as it gets on with it. Raises Busy, StoreDamaged, Missing, OSError."""
        done, seen = -1, time.monotonic()
        while True:
            try:
                return Writer(self._reader, self._directory, session)
            except Busy:
                spine = Spine(session)
                spine.refresh(self._reader)
                before, done = done, Derived(self._directory, spine).refresh()
                if done != before:
                    seen = time.monotonic()
                if done == len(spine.links) or self._late() or time.monotonic() - seen > STUCK_SECONDS:
                    raise
                time.sleep(LOOK_AGAIN_SECONDS)  # in the search's own thread; a file lock wakes nobody in time

    def _read(self, session: str, shown: Shown) -> Shown:
        spine = Spine(session)
        source = Derived(self._directory, spine)
        try:
            spine.refresh(self._reader)
            shown.take(source, self._wanted)
            if (done := source.refresh()) < len(spine.links):
                shown.notes.append(f"only {done} of {len(spine.links)} chunks are rendered yet")
        except RecorderError as error:
            shown.notes.append(error.message)
        return shown

    def _begun(self, info: wire.SessionInfo, starts: list[tuple[int, str]]) -> int:
        """When the recording began, by the first command that it shows: an exec's begins when it is approved."""
        for at, name in starts:
            started = self._archive.started_now(name)
            if started is not None:
                return started.t - at
        return info.opened

    def _hit(
        self, info: wire.SessionInfo, request: wire.RequestInfo | None, moment: int, at: int, where: str, line: str
    ) -> Iterator[wire.SearchHit]:
        question, line = self._question, overwrite_text(line)
        tier, decision = (request.tier, request.state) if request is not None else ("", "")
        place = line.casefold().find(self._wanted)
        if (
            place >= 0
            and question.tier in ("", tier)
            and question.decision in ("", decision)
            and question.since <= moment
            and (not question.until or moment <= question.until)
        ):
            yield wire.SearchHit(
                at=moment,
                session=info.id,
                request=request.id if request is not None else "",
                identity=info.identity,
                login=info.login,
                target=info.target,
                where=where,
                line=cut(line, place, len(self._wanted)),
                tier=tier,
                decision=decision,
                offset=at,
            )

    def _note(self, text: str) -> None:
        self._notes.append(text)


def overwrite_text(line: str) -> str:
    """The line with secrets overwritten: what is covered is neither shown nor found."""
    data = line.encode("utf-8", "surrogatepass")
    covered = overwrite(data)
    return line if covered == data else covered.decode("utf-8", "replace")


def cut(line: str, place: int, length: int) -> str:
    """At most about LINE_WIDTH characters of the line, the hit among them; dots stand for the rest."""
    if len(line) <= LINE_WIDTH:
        return line
    first = max(0, min(place - (LINE_WIDTH - min(length, LINE_WIDTH)) // 2, len(line) - LINE_WIDTH))
    last = first + LINE_WIDTH
    return ("…" if first else "") + line[first:last] + ("…" if last < len(line) else "")


def main(store: Path) -> int:
    """Answer the one question on stdin."""
    indexer.limit_process()
    end = time.monotonic() + SEARCH_SECONDS
    question = msgspec.json.decode(sys.stdin.buffer.readline(), type=wire.SearchSessions)
    # only its owner keeps an index: files of root's in the daemon's directory would be in its way, and a trap for root
    mine = store.stat().st_uid == os.geteuid()
    try:
        with Reader.open(store) as reader:
            kept = store.parent / derived.DIRECTORY if mine else None
            result = Search(reader, kept, question, lambda: time.monotonic() > end, indexer.limit_cpu).run()
    except (BastionError, RecorderError) as error:
        print(error.message, file=sys.stderr)
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
