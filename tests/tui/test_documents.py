"""tui/documents.py and tui/paper.py: what a request looks like in full."""

from __future__ import annotations

import hashlib
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.control import wire
from bastion.gate.modes import SAFER
from bastion.policy.visible import visible
from tui.documents import USUAL, empty_document, host_key, request_document, session_document
from tui.items import Item
from tui.paper import LABEL, Document, Source
from tui.reading import Seen
from tui.samples import HOST_KEY, MIGRATION, NOW, request, scene, session, vote
from tui.widgets.paint import STYLES

HOSTILE = st.sampled_from(
    [b"[bold]x[/]", b"[@click=app.quit]q", b"\x1b[2J\x1b]0;t\x07", b"\xff\xfe", "\u202e".encode()]
)
BYTES = st.binary(max_size=400) | st.lists(HOSTILE, max_size=6).map(b"\n".join)
TEXTS = st.text(max_size=200)


def rows_of(document: Document) -> list[str]:
    return [document.row(at).text for at in range(len(document))]


def labels(document: Document) -> set[str]:
    """What stands in the labels' column of rows that are not of a numbered text."""
    rows = [document.row(at) for at in range(len(document))]
    return {row.text[:LABEL].strip() for row in rows if row.span is None}


def text_of(document: Document) -> str:
    return "\n".join(rows_of(document))


def shown(width: int = 100, **fields: Any) -> Document:
    return request_document(Item.first(request(**fields)), width)


@given(BYTES, BYTES, st.integers(30, 200))
def test_the_text_is_complete_at_any_width(command: bytes, code: bytes, width: int) -> None:
    """What stands in the numbered rows, put together, is the whole visible text: nothing is left out or added."""
    document = shown(width, command=command, stdin="bundled", stdin_code=code)
    sources = [block for block in document.blocks if isinstance(block, Source)]
    texts = []
    for block in sources:
        rows = [block.row(at) for at in range(len(block))]
        texts.append("".join("".join(text for text, _ in row.parts[2:]) for row in rows))
    assert texts == [visible(command).replace("\n", ""), visible(code).replace("\n", "")]
    assert document.must == len(visible(command)) + len(visible(code))


@given(BYTES, BYTES, st.integers(30, 200))
def test_painting_every_row_is_reading_everything(command: bytes, code: bytes, width: int) -> None:
    document = shown(width, command=command, stdin="bundled", stdin_code=code)
    seen = Seen()
    for at in range(len(document)):
        if span := document.row(at).span:
            assert not (seen.reached(document.must) and seen.missing(document.must) == 0 and span[1] > document.must)
            seen.add(*span)
    assert seen.reached(document.must)
    assert seen.missing(document.must) == 0


@given(st.builds(dict, reason=TEXTS, rollback=TEXTS, task=TEXTS, login=TEXTS, target=TEXTS, identity=TEXTS, env=TEXTS))
def test_nothing_from_outside_stands_in_the_labels_column(fields: dict[str, str]) -> None:
    """An agent cannot write a row that looks like one of ours."""
    known = labels(shown(90))
    assert "reason" in known
    assert labels(shown(90, **fields)) <= known


@given(st.builds(dict, reason=TEXTS, command=BYTES, rollback=TEXTS, key=TEXTS, tier=TEXTS, reasons=st.lists(TEXTS)))
def test_everything_on_it_is_harmless(fields: dict[str, Any]) -> None:
    info = msgspec.structs.replace(request(), **fields)
    document = request_document(Item.first(info), 80)
    for at in range(len(document)):
        for text, style in document.row(at).parts:
            assert style in STYLES
            assert all(" " <= char <= "~" or char in "⏎⟨⟩…" for char in text)


def test_rows_fit_their_width() -> None:
    for info in [*scene()[0], request(command=b"x" * 5000, reason="y" * 3000, stdin="bundled", stdin_code=MIGRATION)]:
        for width in (60, 78, 120):
            assert max(map(len, rows_of(request_document(Item.first(info), width)))) <= width


def test_a_person_finds_what_the_design_promises() -> None:
    info = request(votes=[vote("bob", reason="go")], approvals=2, env="production")
    text = text_of(request_document(Item.first(info), 100))
    for words in (
        "23 bytes, 1 line",
        "systemctl restart nginx",
        "46 medium",
        "restarts a service",
        "root@web-1  (production)",
        "claude-ops",
        info.key,
        info.reason,
        info.rollback,
        info.task,
        "LANG=C.UTF-8",
        "1 of 2 approvals",
        "approved by bob",
        info.session,
        info.digest,
        info.proposal,
        "SHA256:5ggyn+NDGW+aaZGIszx6eIjJckHvJm69OrFQpCauH+E",
        "streamed after approval",
    ):
        assert words in text


def test_bundled_code_is_shown_with_its_size() -> None:
    text = text_of(shown(stdin="bundled", stdin_code=MIGRATION))
    assert "DROP TABLE order_ledger;" in text
    assert f"{len(MIGRATION)} bytes, 5 lines" in text
    assert f"read as code by the command, sha256 {hashlib.sha256(MIGRATION).hexdigest()}" in text.replace(
        "\n" + " " * LABEL, ""
    )
    assert "streamed after approval" not in text


def test_an_empty_command_says_so() -> None:
    assert "(empty)" in text_of(shown(command=b""))


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (b"ls\x1b[8m", "contains ESC"),
        ("ls \u202e".encode(), "right-to-left"),
        (b"a\x00b", "contains NUL"),
        (b"\xff", "not UTF-8"),
        ("\u0430pt".encode(), "lookalikes"),
    ],
)
def test_warnings_stand_above_the_text(command: bytes, words: str) -> None:
    rows = rows_of(shown(command=command))
    warning = next(at for at, row in enumerate(rows) if words in row)
    assert rows[warning].startswith("! command")
    assert warning < next(at for at, row in enumerate(rows) if row.startswith("   1 | "))


def test_a_tampered_request_shows_both_hashes_and_no_good_one() -> None:
    bad = msgspec.structs.replace(request(), target="web-2")
    item = Item.first(bad)
    text = text_of(request_document(item, 100))
    assert "TAMPERED" in text
    assert bad.digest in text
    assert item.digest in text
    assert "(computed here)" not in text


def test_endings_are_said() -> None:
    text = text_of(shown(state="approved", votes=[vote("ana")], decided=NOW, status="exit 3"))
    assert "+ approved by ana; exit 3" in text


def test_a_ticket_is_announced() -> None:
    assert "ticket" in text_of(shown(attached=False))
    assert "ticket" not in text_of(shown())


def test_host_key_is_the_fingerprint_that_ssh_keygen_prints() -> None:
    """ssh-keygen -lf of the sample key."""
    assert host_key(HOST_KEY) == "ssh-ed25519 SHA256:5ggyn+NDGW+aaZGIszx6eIjJckHvJm69OrFQpCauH+E"
    assert host_key("no key\x1b") == "no key⟨ESC⟩"


def test_session_and_empty_documents() -> None:
    text = text_of(session_document(session(closed=NOW, state="closed", end="killed\x1b"), 80))
    assert "killed⟨ESC⟩" in text
    assert "18,204 bytes" in text
    assert "nothing" in text_of(empty_document(("nothing",), 40))


@given(st.integers(1, 60), st.integers(0, 80))
def test_rows_still_below(lines: int, bottom: int) -> None:
    document = shown(command=b"x\n" * lines)
    first = next(at for at in range(len(document)) if document.row(at).span)
    assert document.source_below(bottom) == max(0, min(lines, first + lines - bottom))


def test_the_longest_request_is_laid_out_in_time() -> None:
    """1 MiB of one-character lines; laid out again, as after a vote, it costs nothing worth naming."""
    item = Item.first(request(stdin="bundled", stdin_code=b"a\n" * (1 << 19)))
    began = time.perf_counter()
    document = request_document(item, 100)
    first = time.perf_counter() - began
    assert len(document) > 1 << 19
    assert document.row(1 << 18).text
    began = time.perf_counter()
    request_document(item, 100)
    assert time.perf_counter() - began < first


def test_a_row_beyond_the_end_is_an_error() -> None:
    document = shown()
    with pytest.raises(IndexError):
        document.row(len(document))


def test_progress_does_not_change_the_must_be_read_text() -> None:
    info = request()
    news = wire.RequestInfo(**{f: getattr(info, f) for f in info.__struct_fields__} | {"votes": [vote("bob")]})
    assert request_document(Item.first(info), 80).must == request_document(Item.first(news), 80).must


def test_the_risk_says_what_adds_up_to_it_what_is_touched_and_whether_it_can_be_undone() -> None:
    text = text_of(
        shown(
            tier="high",
            score=71,
            reasons=["deletes files", "restarts a service"],
            weights=[66, 5],
            reversible="no",
            effects=[("deletes", "/srv/x"), ("deletes", "/srv/y\x1b"), ("irreversible", "/srv/x"), ("service", "web")],
        )
    )
    assert "71 high, cannot be undone" in text
    assert "it cannot be undone" in text
    assert "+66 deletes files" in text
    assert "+5 restarts a service" in text
    assert "deletes: /srv/x, /srv/y" in text
    assert "service: web" in text
    assert "\x1b" not in text


def test_the_rule_and_who_may_approve() -> None:
    text = text_of(shown(rule="policy x:3: delete { approvals 2 from boss }", approvals=2, approvers=["boss"]))
    assert "held by   policy x:3: delete { approvals 2 from boss }" in text
    assert "0 of 2 approvals, from boss" in text
    assert "went to oncall" in text_of(shown(escalated=["oncall"]))


def test_a_transfer_is_its_description_and_reads_nothing() -> None:
    description = b"sftp: 1 change: remove /srv/x\n1 remove /srv/x\n    a file of 2 bytes, mode 0644\n    | -x\n"
    document = shown(kind="transfer", command=description, stdin="bundled", stdin_code=b"")
    text = text_of(document)
    assert text.lstrip().startswith("transfer ")
    assert "| -x" in text
    assert "stdin" not in text
    assert document.must == len(visible(description))


def test_variables_that_the_bastion_sets_take_one_row_and_no_other_hides_among_them() -> None:
    assert dict(SAFER) == USUAL
    rows = text_of(shown(environment=[*sorted(SAFER), ("LC_ALL", "C PAGER=cat"), ("LESSSECURE", "0")]))
    assert "usual     GIT_PAGER=cat LESSSECURE=1 PAGER=cat SYSTEMD_PAGER=cat SYSTEMD_PAGERSECURE=1" in rows
    assert "variable  LC_ALL=C PAGER=cat" in rows
    assert "variable  LESSSECURE=0" in rows


def test_an_agent_that_says_nothing_takes_one_row() -> None:
    assert "reason    no reason, task or rollback given" in text_of(shown(reason="", task="", rollback=""))
    assert "rollback  none given" in text_of(shown(rollback=""))


def test_a_push_is_no_item_of_a_shell() -> None:
    """It is asked for as the stdin of a command, and there is no shell."""
    push = {"kind": "stdin", "sequence": 1, "parent": "r-9add8d93", "mode": "none"}
    document = shown(command=b"create refs/heads/x 7d1a", stdin="bundled", stdin_code=b"0000", **push)
    text = text_of(document)
    assert "pushed by the command of r-9add8d93" in text
    assert "the list of refs as git sent it" in text
    assert {"push", "pushed by"} <= {label.split(" -")[0] for label in labels(document)}
    assert not {"shell", "input for"} & labels(document)
    line = shown(command=b"y\n", stdin="gated", stdin_code=b"", **push)
    assert "input for the command of r-9add8d93" in text_of(line)


def test_labels_leave_room_behind_them() -> None:
    for kind, stdin in (("line", "stream"), ("stdin", "gated"), ("stdin", "secret"), ("stdin", "bundled")):
        for row in rows_of(shown(kind=kind, stdin=stdin, sequence=2, parent="r-1", context=[("PATH", "/x")])):
            assert len(row) <= LABEL or not row[:LABEL].strip().isalpha() or row[LABEL - 1] == " ", row
