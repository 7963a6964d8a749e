"""asciicast v2 and v3 (docs.asciinema.org/manual/asciicast), written and read. Pure.

    v3  {"version": 3, "term": {"cols": 80, "rows": 24}, …}    [seconds since the event before, code, data]
    v2  {"version": 2, "width": 80, "height": 24, …}           [seconds since the beginning, code, data]

Codes: o output, i input, m marker, r resize `COLSxROWS`, and in v3 x exit status. asciicast is valid UTF-8 and a
recording is bytes: each stream is decoded by itself, statefully, with U+FFFD for what is no UTF-8. So a cast is an
export, and the frames are the evidence. stderr becomes output, in its place in time; asciicast has no third stream.

Output that no terminal driver has seen has bare line feeds; with `newline` they become CR LF, as players expect.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from recorder.errors import CastError
from recorder.frames import Frame

LINE_LIMIT = 16 << 20
"""Characters of one line that is read; a writer of ours makes events of at most 32 KiB."""
_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", re.ASCII)
_V2_CODES, _V3_CODES = frozenset("oimr"), frozenset("oimrx")


@dataclass(frozen=True, slots=True)
class Header:
    """What is said once."""

    version: int
    columns: int
    rows: int
    timestamp: int = 0
    """Seconds since the epoch; 0: not said."""
    title: str = ""
    command: str = ""
    term: str = ""
    """TERM of the session."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `at` is seconds since the beginning, in both versions."""

    at: float
    code: str
    data: str


@dataclass(slots=True)
class _Streams:
    """Decoders, one a stream, so that a character that two frames share is whole."""

    newline: bool
    _decoders: dict[str, codecs.IncrementalDecoder] = field(default_factory=dict)
    _after_return: bool = False

    def text(self, frame: Frame, *, final: bool = False) -> str:
        decoder = self._decoders.get(frame.kind)
        if decoder is None:
            decoder = self._decoders[frame.kind] = codecs.getincrementaldecoder("utf-8")("replace")
        text = decoder.decode(frame.data, final)
        if self.newline and frame.kind != "input" and text:
            text, ends = self._returned(text), text.endswith("\r")
            self._after_return = ends
        return text

    def _returned(self, text: str) -> str:
        head = "\n" if self._after_return and text[0] == "\n" else ""
        return head + re.sub(r"(?<!\r)\n", "\r\n", text[len(head) :])

    def rest(self) -> Iterator[tuple[str, str]]:
        """What a stream ended in the middle of."""
        for kind in list(self._decoders):
            text = self.text(Frame(0, kind, b""), final=True)
            if text:
                yield kind, text


def events(frames: Iterable[Frame], *, newline: bool = False) -> Iterator[Event]:
    """Frames as events, in order. A resize that is malformed is left out; so is what has no code in either version."""
    streams, last = _Streams(newline), 0.0
    for frame in frames:
        last = frame.at_us / 1e6
        match frame.kind:
            case "output" | "stderr" | "input":
                text, code = streams.text(frame), "i" if frame.kind == "input" else "o"
            case "marker":
                text, code = frame.data.decode(errors="replace"), "m"
            case "resize":
                text, code = frame.data.decode("ascii", "replace"), "r"
                if not _SIZE.fullmatch(text):
                    continue
            case _:
                text, code = frame.data.decode(errors="replace"), "x"
        if text or code == "m":
            yield Event(last, code, text)
    for kind, text in streams.rest():
        yield Event(last, "i" if kind == "input" else "o", text)


def write(header: Header, what: Iterable[Event]) -> Iterator[str]:
    """Lines of a cast, each with its line feed. The header's `version` decides the form."""
    said = {"timestamp": header.timestamp, "title": header.title, "command": header.command}
    more = {name: value for name, value in said.items() if value}
    if header.version == 3:
        term = {"cols": header.columns, "rows": header.rows, **({"type": header.term} if header.term else {})}
        yield _line({"version": 3, "term": term, **more})
    else:
        env = {"env": {"TERM": header.term}} if header.term else {}
        yield _line({"version": 2, "width": header.columns, "height": header.rows, **more, **env})
    last_us = 0
    for event in what:
        at_us = round(event.at * 1e6)
        if header.version == 3:
            yield _line([_seconds(max(0, at_us - last_us)), event.code, event.data])
            last_us = max(last_us, at_us)
        elif event.code in _V2_CODES:
            yield _line([_seconds(at_us), event.code, event.data])


def read(lines: Iterable[str]) -> tuple[Header, Iterator[Event]]:
    """Header and events of a cast of either version. Raises CastError, also while the events are read."""
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("#"))
    first = next(numbered, None)
    if first is None:
        raise CastError("the file is empty")
    header = _header(_json(*first))
    return header, _events(header.version, numbered)


def _header(fields: Any) -> Header:
    if not isinstance(fields, dict):
        raise CastError("line 1: the header is no object")
    version = fields.get("version")
    term = fields.get("term") if version == 3 else fields
    if version not in (2, 3) or type(version) is not int or not isinstance(term, dict):
        raise CastError(f"line 1: version {str(version)[:20]} is not known here", "2 and 3 are")
    columns, rows = (term.get(name) for name in (("cols", "rows") if version == 3 else ("width", "height")))
    if not all(type(value) is int and 0 < value < 100_000 for value in (columns, rows)):
        raise CastError("line 1: the size makes no sense")
    kind = term.get("type") if version == 3 else (fields.get("env") or {}).get("TERM") if _env(fields) else ""
    timestamp = fields.get("timestamp", 0)
    texts = [fields.get(name) or "" for name in ("title", "command")] + [kind or ""]
    if not all(isinstance(text, str) for text in texts) or type(timestamp) not in (int, float):
        raise CastError("line 1: a field has another type")
    if not -1e15 < timestamp < 1e15:
        raise CastError("line 1: the timestamp makes no sense")
    return Header(version, int(str(columns)), int(str(rows)), int(timestamp), texts[0], texts[1], texts[2])


def _env(fields: dict[str, Any]) -> bool:
    return isinstance(fields.get("env"), dict)


def _events(version: int, lines: Iterable[tuple[int, str]]) -> Iterator[Event]:
    at = 0.0
    known = _V3_CODES if version == 3 else _V2_CODES
    for number, line in lines:
        value = _json(number, line)
        if not (isinstance(value, list) and len(value) == 3 and type(value[0]) in (int, float)):
            raise CastError(f"line {number}: not an event")
        seconds, code, data = value
        if not (isinstance(code, str) and isinstance(data, str)) or not 0 <= seconds < 1e9:
            raise CastError(f"line {number}: not an event")
        at = at + seconds if version == 3 else float(seconds)
        if code in known:  # others are to be ignored
            yield Event(at, code, data)


def _json(number: int, line: str) -> Any:
    if len(line) > LINE_LIMIT:
        raise CastError(f"line {number} is too long")
    try:
        return json.loads(line, parse_constant=lambda _: math.nan)
    except (ValueError, RecursionError):
        raise CastError(f"line {number}: not JSON") from None


def _seconds(microseconds: int) -> float:
    return round(microseconds / 1e6, 6)


def _line(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"
