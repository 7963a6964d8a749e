"""A request's content as it is kept beside its proposal, and the digest that it gives. Pure.

The digest is SHA-256 over canonical JSON of what would run and which asking of it this is. It is computed here again
from the stored content, by code that the daemon does not use, so that a record cannot show another command than the
one that was approved. Fields as in version 1 of the content; an unknown version or form gives no content, and a digest
that cannot be recomputed is a violation.

A verifier reads one for each request of a ledger, so what is as a daemon writes it is read and hashed by msgspec, five
times as fast. What msgspec does not take is left to `json`, whose word counts: text that is no Unicode, large numbers.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import Any, NotRequired, TypedDict

import msgspec

from recorder.votes import Violation

_TEXTS = (
    "id", "kind", "identity", "key", "session", "target", "login", "stdin", "reason", "rollback", "task",
    "cwd", "parent", "mode", "terminal",
)  # fmt: skip

_EDITED = ("author", "edits", "answers")
"""Of a request that an approver made from an agent's: all three, or none."""


class _Plain(TypedDict):
    """A content as it usually is: without a value that two encoders could write in two ways."""

    id: str
    kind: str
    identity: str
    key: str
    session: str
    target: str
    login: str
    stdin: str
    reason: str
    rollback: str
    task: str
    cwd: str
    parent: str
    mode: str
    terminal: str
    command: str
    stdin_code: str
    script_code: NotRequired[str]
    script: NotRequired[str]
    author: NotRequired[str]
    edits: NotRequired[str]
    answers: NotRequired[str]
    approvals: int
    created: int
    expires: int
    sequence: int
    host_keys: list[str]
    environment: list[list[str]]
    emergency: NotRequired[str | bool]
    """Why the glass was broken."""
    approvers: NotRequired[Any]


EMPTY = hashlib.sha256().hexdigest()
"""Of no bytes."""
_decoder = msgspec.json.Decoder(_Plain)
_encoder = msgspec.json.Encoder(order="sorted")


class Content(msgspec.Struct, frozen=True, gc=False):
    """What was asked for. No dataclass, since a verifier makes one of each request."""

    fields: Mapping[str, Any]
    command: bytes
    stdin_code: bytes
    script_code: bytes = b""
    plain: bool = False
    """It has the form of `_Plain`."""


def parse(data: bytes) -> Content:
    """The content. Raises Violation."""
    try:
        data.decode()  # of what it steps over, msgspec does not look at the characters
        plain = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _parse(data)
    if not _whole(plain):
        return _parse(data)
    try:
        script = _code(plain.get("script_code", ""))
        return Content(plain, _code(plain["command"]), _code(plain["stdin_code"]), script, plain=True)
    except ValueError:
        raise Violation("the request's content cannot be read") from None


def _code(text: str) -> bytes:
    return base64.b64decode(text, validate=True) if text else b""


def _whole(fields: Mapping[str, Any]) -> bool:
    """Whoever edited it, it says what."""
    return not fields.get("author") or fields.keys() >= {*_EDITED}


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


def _parse(data: bytes) -> Content:
    try:
        fields = json.loads(data, parse_constant=_no_number)
        command, stdin, script = (_code(fields.get(name, "")) for name in ("command", "stdin_code", "script_code"))
        there = fields.keys() >= {"command", "stdin_code"}
        optional = ("script", *_EDITED)
        texts = all(isinstance(fields[name], str) for name in _TEXTS)
        texts = texts and all(isinstance(fields.get(name, ""), str) for name in optional)
        numbers = all(type(fields[name]) is int for name in ("approvals", "created", "expires", "sequence"))
        lists = all(isinstance(fields[name], list) for name in ("host_keys", "environment"))
    except (ValueError, KeyError, TypeError, AttributeError, binascii.Error, RecursionError):
        raise Violation("the request's content cannot be read") from None
    if not (there and texts and numbers and lists and _whole(fields)):
        raise Violation("the request's content is malformed")
    return Content(fields, command, stdin, script)


def check(content: Content, request: str, expected: object, body: Mapping[str, Any]) -> None:
    """Does the content give this digest, and does the proposal's body say the same as the content? Raises Violation."""
    fields = content.fields
    if digest(content) != expected:
        raise Violation("the request's content does not give its digest")
    if fields["id"] != request:
        raise Violation("the request's content is another request's")
    for name in ("kind", "identity", "key", "target", "login", "stdin", "approvals", "cwd", "mode", "parent"):
        if name in body and body[name] != fields[name]:
            raise Violation(f"the proposal's {name} is not that of its content")
    if body.get("approvers", []) != fields.get("approvers", []):
        raise Violation("the proposal's approvers are not those of its content")
    for name in ("author", "edits"):
        if body.get(name, "") != fields.get(name, ""):
            raise Violation(f"the proposal's {name} is not that of its content")
    if body.get("emergency") and not fields.get("emergency"):
        raise Violation("the proposal claims an emergency that its content does not know")


def digest(content: Content) -> str:
    """Lower-case hex."""
    fields = content.fields
    changed = {
        "v": 1,
        "command": _sha256(content.command),
        "command_bytes": len(content.command),
        "stdin_code": _sha256(content.stdin_code) if content.stdin_code else EMPTY,
        "stdin_bytes": len(content.stdin_code),
        "created": str(fields["created"]),
        "expires": str(fields["expires"]),
        "sequence": str(fields["sequence"]),
    }
    if content.plain:
        value = {**fields, **changed}  # and from that what the digest is not over
        value.pop("approvers", None)
        if not value.get("emergency"):
            value.pop("emergency", None)
        if value.get("script"):
            value["script_code"] = _sha256(content.script_code)
        else:
            value.pop("script", None)
            value.pop("script_code", None)
        if not value.get("author"):
            for name in _EDITED:
                value.pop(name, None)
        return _sha256(_encoder.encode(value))
    value = {
        **changed,
        **{name: fields[name] for name in (*_TEXTS, "host_keys", "environment", "approvals")},
        **({"emergency": fields["emergency"]} if fields.get("emergency") else {}),
        **({"script": fields["script"], "script_code": _sha256(content.script_code)} if fields.get("script") else {}),
        **({name: fields[name] for name in _EDITED} if fields.get("author") else {}),
    }
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return _sha256(text.encode(errors="surrogatepass"))


def code(content: Content) -> str:
    """SHA-256 (hex) of the code that the command brings on stdin, or that a script of the target holds, or of both
    hashes; empty if there is none. What a whitelist entry binds."""
    hashes = [_sha256(data) for data in (content.stdin_code, content.script_code) if data]
    return _sha256(" ".join(hashes).encode()) if len(hashes) > 1 else "".join(hashes)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
