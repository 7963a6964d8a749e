"""A display with secrets covered: nothing of them shows, and what differs looks different."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bastion.policy.masking import MASK_LIMIT, Masks
from bastion.policy.visible import visible, visible_line

MASKS = Masks(b"k" * 32)


def test_a_secret_is_named_measured_and_told_apart() -> None:
    one, two = (MASKS.visible(f"mysql -u app -p{secret} db") for secret in ("hunter2", "hunter3"))
    assert one.startswith("mysql -u app -p⟨secret mysql-password, 7 bytes, #")
    assert one.endswith("⟩ db")
    assert "hunter" not in one
    assert one != two
    assert one == MASKS.visible(b"mysql -u app -phunter2 db")


def test_the_hash_is_the_viewers_own() -> None:
    assert MASKS.visible("PGPASSWORD=hunter2") != Masks(b"other").visible("PGPASSWORD=hunter2")


def test_nobody_can_write_a_mark() -> None:
    mark = MASKS.mark(b"hunter2", "mysql-password")
    assert mark not in MASKS.visible(f"mysql -p{mark}")
    assert mark not in MASKS.visible(f"echo {mark}")


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200)))
@example("--password x  \n  y")
def test_without_a_secret_it_is_the_plain_display(data: bytes | str) -> None:
    if not MASKS.find(data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")):
        assert MASKS.visible(data) == visible(data)
        assert MASKS.visible(data, newlines=False) == visible(data, newlines=False)
        assert MASKS.line(data, 40) == visible_line(data, 40)


TEXTS = st.lists(
    st.sampled_from(
        ["PGPASSWORD=", "hunter2", "hunter3", " ", "   ", "\n", "⟨secret", "⟩", "--token ", "x", "\t", "a@b", "'"]
    ),
    max_size=12,
).map("".join)


@given(TEXTS, TEXTS)
def test_what_differs_looks_different(one: str, two: str) -> None:
    if one != two:
        assert MASKS.visible(one).replace("\n", "") != MASKS.visible(two).replace("\n", "")


@given(TEXTS, st.integers(20, 120))
@example("⟨secretPGPASSWORD=", 120)
def test_a_line_fits_and_never_shows_a_secret(text: str, width: int) -> None:
    line = MASKS.line(text + " PGPASSWORD=hunter22", width)
    assert len(line) <= max(width, 14)
    assert "hunter22" not in line


def test_a_cut_counts_the_bytes_that_are_not_shown() -> None:
    assert MASKS.line("PGPASSWORD=hunter2 psql", 30) == "PGPASSWORD=… +12 bytes"


def test_spaces_in_front_of_a_mark_read_as_they_are() -> None:
    assert "--token ⟨secret" in MASKS.visible("x --token abc1234567")


def test_of_too_many_secrets_the_rest_is_one() -> None:
    many = " ".join(f"PGPASSWORD=secret{number}" for number in range(MASK_LIMIT + 50))
    shown = MASKS.visible(many)
    assert shown.count("⟨secret") == MASK_LIMIT
    assert "secret30" not in shown


def test_values_of_json_are_covered_by_text_and_by_name() -> None:
    value = {"a": ["PGPASSWORD=hunter2 psql", 1, None], "password": "x y z", "note": "nothing"}
    covered = MASKS.value(value)
    assert covered["a"][0].startswith("PGPASSWORD=⟨secret")
    assert covered["a"][1:] == [1, None]
    assert covered["password"].startswith("⟨secret")
    assert covered["note"] == "nothing"


@pytest.mark.parametrize("text", ["", "\ud800", "\u00e9 PGPASSWORD=hunter2", "\ud800 PGPASSWORD=hunter2"])
def test_any_text_is_taken(text: str) -> None:
    assert "hunter2" not in MASKS.visible(text)
    assert "hunter2" not in MASKS.text(text)


def test_policy_says_for_whom_output_is_overwritten() -> None:
    from bastion.policy import explain
    from bastion.policy.language import parse

    policy = parse(
        'policy "p" {\n  version 1\n  agent "bot" {\n    mask secrets\n  }\n'
        '  environment "lab" {\n    mask secrets\n  }\n}\n',
        "p",
    )
    assert [len(mask.where.conditions) for mask in policy.clauses.masks] == [2, 1]
    assert "secrets in it overwritten" in "\n".join(said for _, said in explain.policy(policy))


@pytest.mark.parametrize("text", ["mask", "mask everything", 'mask "secrets"', "mask secrets now"])
def test_other_masks_are_refused(text: str) -> None:
    from bastion.errors import ConfigError
    from bastion.policy.language import parse

    with pytest.raises(ConfigError):
        parse(f'policy "p" {{\n  version 1\n  {text}\n}}\n', "p")
