"""What a decision binds, as bytes that another implementation must get."""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace

import msgspec
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from bastion.history import info_of
from bastion.model import Request, State, digest_of
from tests.support.requests import REQUEST as ANY

REQUEST = replace(ANY, id="r-12345678", command=b"uptime")
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)


@given(TEXT, TEXT, st.binary(max_size=40), st.lists(st.tuples(TEXT, TEXT), max_size=3))
def test_the_digest_is_over_the_canonical_form(
    reason: str, cwd: str, command: bytes, environment: list[tuple[str, str]]
) -> None:
    """RFC 8785, by a library that is not ours."""
    request = replace(REQUEST, reason=reason, cwd=cwd, command=command, environment=tuple(sorted(environment)))
    what = request._what()
    assert request.likeness == hashlib.sha256(rfc8785.dumps(what)).hexdigest()  # type: ignore[arg-type]
    assert request.digest == hashlib.sha256(rfc8785.dumps({**what, **request._which()})).hexdigest()  # type: ignore[dict-item]


def test_other_terms_change_them_and_nothing_else() -> None:
    request = REQUEST
    terms = {
        "approvals": 3,
        "expires": 77,
        "rule": "a rule",
        "approvers": ("dba",),
        "escalation": ((5, "oncall"),),
        "unsigned": ("slack",),
    }
    made = request.on_terms(**terms)  # type: ignore[arg-type]
    assert made == replace(request, **terms)  # type: ignore[arg-type]
    assert {each.name for each in fields(Request) if getattr(made, each.name) != getattr(request, each.name)} == {
        *terms,
        "digest",
    }


def test_as_it_travels_it_has_the_same_digest() -> None:
    for made in (
        REQUEST,
        replace(REQUEST, script="/x.sh", script_code=b"id", author="ana", edits="r-1", emergency="e"),
    ):
        assert digest_of(info_of(made, State.HELD, "")) == made.digest
        assert digest_of(info_of(made, State.HELD, "")) == info_of(made, State.HELD, "").to_model().digest
    assert digest_of(msgspec.structs.replace(info_of(REQUEST, State.HELD, ""), command=b"rm")) != REQUEST.digest
