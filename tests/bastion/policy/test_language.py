"""The policy language: what is read, and that every error says where, what was found and what was expected."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.errors import ConfigError
from bastion.policy.language import INCLUDES_LIMIT, parse
from bastion.policy.rules import Action, Field, LimitKind, Selector
from bastion.policy.tokens import DEPTH_LIMIT, FILE_LIMIT, STATEMENTS_LIMIT, Place
from tests.bastion.policy.judging import SAMPLE


def policy(body: str) -> str:
    return f'policy "p" {{\nversion 1\n{body}\n}}'


def error(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse(text, "f")
    return caught.value


def test_the_sample() -> None:
    read = parse(SAMPLE, "f")
    assert read.name == "production"
    actions = [(rule.action, [str(each) for each in rule.selectors]) for rule in read.clauses.rules]
    assert (Action.ALLOW, ["restart", "deploy", "rollback"]) in actions
    assert (Action.DENY, ["delete", "db_migrate", "drop_table"]) in actions
    assert (Action.DENY, ['path ".env"', 'path "secrets/**"', 'path "**/id_rsa"']) in actions
    assert (Action.DENY, ["auth", "crypto", "billing"]) in actions
    assert {(each.kind, each.most) for each in read.clauses.limits} == {(LimitKind.FILES, 50), (LimitKind.TARGETS, 1)}


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("", 1, 1, "found no policy"),
        ("allow restart", 1, 1, "found `allow`; expected `policy`"),
        ('policy "p" {', 1, 13, "found the end of the file; expected a word, `}`"),
        ('policy { version 1 }', 1, 7, "found `{` behind `policy`; expected the policy's name in quotes"),
        ('policy "p" { }', 1, 1, "does not say its version"),
        ('policy "p" { version 2 }', 1, 22, "found `2`; expected 1, the only version"),
        ('policy "p" { version 1 } x', 1, 26, "found `x` behind the policy"),
        ('policy "p" { version 1 }\nallow x', 2, 1, "found `allow` behind the policy"),
        (policy("alow restart"), 3, 1, "found `alow`; expected a statement (did you mean allow?)"),
        (policy("allow restrat"), 3, 7, "found `restrat`; expected a word for what is done (did you mean restart?)"),
        (policy("allow"), 3, 6, "found nothing more behind `allow`; expected a word for what is done"),
        (policy("allow restart,"), 4, 1, "found `}`; expected"),
        (policy("restart"), 3, 1, "found `restart`; expected `allow`, `hold` or `deny` before it"),
        (policy("allow restart deny delete"), 3, 15, "found `deny`; expected"),
        (policy('allow restart "x"'), 3, 15, "`restart` takes no text"),
        (policy("allow command"), 3, 14, "expected a text in quotes behind `command`"),
        (policy('allow command "a; b"'), 3, 15, "the words of one command"),
        (policy('deny path "secr\u0435ts"'), 3, 11, "expected a pattern of ASCII"),
        (policy('agent "d\u0435ployer" { allow low }'), 3, 7, "expected an identity's name"),
        (policy('agent "" { allow low }'), 3, 7, "expected an identity's name"),
        (policy('agent "a"'), 3, 10, "expected `{`"),
        (policy("timeout 29s"), 3, 9, "found `29s`; expected a time from 30s to 10m"),
        (policy("timeout 601s"), 3, 9, "expected a time from 30s to 10m"),
        (policy("timeout 99999999999999d"), 3, 9, "expected a time"),
        (policy("approvals 0"), 3, 11, "found `0`; expected a whole number from 1 to 5"),
        (policy("approvals 6"), 3, 11, "expected a whole number from 1 to 5"),
        (policy("approvals 2 of dba"), 3, 13, "expected `from` and a group"),
        (policy("require_approval yes"), 3, 18, "found `yes`; expected `true` or `false`"),
        (policy("block_categories auht"), 3, 18, "expected a category (did you mean auth?)"),
        (policy("blast_radius two"), 3, 14, "expected `single_host`, or how many"),
        (policy('freeze "x"'), 3, 11, "expected `from` and a time, or `on` and days"),
        (policy('freeze "x" on frday'), 3, 15, "expected a day (one of mon"),
        (policy('freeze "x" from "25:00" to "26:00"'), 3, 17, "expected a time of day"),
        (policy('freeze "x" from "2026-02-30" to "2026-03-01"'), 3, 17, "expected a time of day"),
        (policy('freeze "x" from "10:00" to "10:00"'), 3, 1, "two different times"),
        (policy('escalate after 1m dba'), 3, 19, "expected `to` and a group"),
        (policy('include "x"'), 3, 1, "cannot be read here"),
        (policy('agent "a" {\ninclude "x" }'), 4, 1, "found `include` inside a block"),
        (policy("frobnicate { allow low }"), 3, 1, "expected a block of that kind"),
        (policy("group dba \"a\"\ngroup dba \"b\""), 4, 1, "group dba is defined twice"),
        (policy('group dba "a*"'), 3, 1, "names its members one by one"),
        (policy('test "t" { agent "a" }'), 3, 1, "does not say what it expects"),
        (policy('test "t" { agnt "a"; expect deny }'), 3, 12, "expected a fact or `expect` (did you mean agent?)"),
        (policy('test "t" { expect maybe }'), 3, 19, "found `maybe`; expected `allow`, `hold` or `deny`"),
        (policy('deny path "a\u202eb"'), 3, 13, "cannot be seen"),
        (policy('deny path "a'), 3, 11, "does not end on its line"),
        (policy("# a\u200bb"), 3, 4, "cannot be seen"),
        (policy("# a\rallow low"), 3, 4, "cannot be seen"),
        (policy("allow @low"), 3, 7, "found @; expected a word"),
        (policy("allow 30x"), 3, 7, "found `30x`; expected a whole number, or a time"),
        ("\ufeff" + policy(""), 1, 1, "found"),
    ],
)  # fmt: skip
def test_errors_say_where_what_and_what_instead(text: str, line: int, column: int, words: str) -> None:
    found = error(text)
    assert words in str(found)
    assert (found.line, found.column) == (line, column), str(found)


def test_layout_has_no_meaning_but_line_ends() -> None:
    one = parse('policy "p" { version 1; allow low; agent "a" { deny delete } }')
    two = parse('policy "p"\n{\n\nversion 1 # c\nallow\tlow\n\nagent "a"\n{ deny delete\n} }\n')
    assert [rule.selectors for rule in one.clauses.rules] == [rule.selectors for rule in two.clauses.rules]
    three = parse(policy("deny delete,\n\n # why\n restart"))
    assert three.clauses.rules[0].selectors == (Selector("delete"), Selector("restart"))


def test_blocks_narrow() -> None:
    text = policy('environment "prod*", "live" { target "web-*" { agent "a" { deploy { high { hold * } } } } }')
    (rule,) = parse(text).clauses.rules
    fields = [condition.field for condition in rule.where.conditions]
    assert fields == [Field.ENVIRONMENT, Field.TARGET, Field.IDENTITY, Field.KIND]
    assert rule.where.conditions[0].patterns == ("prod*", "live")
    assert [section.word for section in rule.where.sections] == ["deploy", "high"]
    assert rule.where.name == "policy policy:3: hold *"


# --- limits ---------------------------------------------------------------------------------------------------------


def test_the_size_is_exact() -> None:
    text = policy("")
    parse(text + "#" * (FILE_LIMIT - len(text)))
    assert "at most" in str(error(text + "#" * (FILE_LIMIT - len(text) + 1)))


def test_depth_and_statements_are_exact() -> None:
    inner = DEPTH_LIMIT - 1
    parse(policy('target "a" {' * inner + "}" * inner))
    assert "nested" in str(error(policy('target "a" {' * (inner + 1) + "}" * (inner + 1))))
    parse(policy("rate 1 per 1m\n" * (STATEMENTS_LIMIT - 1)))
    assert "statements" in str(error(policy("rate 1 per 1m\n" * STATEMENTS_LIMIT)))


@pytest.mark.parametrize(
    "text",
    [
        "{" * FILE_LIMIT, "a{" * (FILE_LIMIT // 2), "a\n" * (FILE_LIMIT // 2), "a," * (FILE_LIMIT // 2),
        "\n" * FILE_LIMIT, '"' * FILE_LIMIT, '"\\' * (FILE_LIMIT // 2), "#" * FILE_LIMIT, "9" * FILE_LIMIT,
        "a" * FILE_LIMIT, "}" * FILE_LIMIT, "x" * 10 * FILE_LIMIT, ("{\n" * 50 + "}" * 50) * 1000,
    ],
    ids=lambda text: str(text[:4]),
)  # fmt: skip
def test_garbage_is_refused_fast(text: str) -> None:
    begun = time.process_time()
    error(text)
    assert time.process_time() - begun < 3


def test_what_stands_behind_a_rule_is_never_dropped() -> None:
    for text in ("allow low deny delete", 'deny delete "x"', "never delete 5", "hold low {"):
        error(policy(text))


@given(st.text('policy"allow{}#\n;,*1s \\agent\u0435"', max_size=200))
def test_any_text_gives_a_policy_or_a_config_error(text: str) -> None:
    with contextlib.suppress(ConfigError):
        parse(policy(text))


WORDS = 'allow deny low restart agent "a" { } , ; * 5 30s timeout approvals from for freeze on sat test expect'
words = st.sampled_from(WORDS.split(" "))


@given(st.lists(words, max_size=40).map(" ".join))
def test_any_words_give_a_policy_or_a_config_error(text: str) -> None:
    with contextlib.suppress(ConfigError):
        parse(policy(text))


# --- includes -------------------------------------------------------------------------------------------------------


def including(files: dict[str, str]) -> object:
    def include(place: Place, file: str, wanted: str) -> tuple[str, str]:
        return wanted, files[wanted]

    return include


def test_includes_are_read_in_place_and_change_the_hash() -> None:
    files = {"a": 'deny delete\ngroup g "x"'}
    read = parse(policy('include "a"'), "f", including(files))  # type: ignore[arg-type]
    assert read.files == ("f", "a")
    assert read.clauses.rules[0].where.place == Place("a", 1, 1)
    other = parse(policy('include "a"'), "f", including({"a": "deny delete"}))  # type: ignore[arg-type]
    assert read.digest != other.digest


def test_includes_end() -> None:
    with pytest.raises(ConfigError, match="included already, or includes itself"):
        parse(policy('include "a"'), "f", including({"a": 'include "b"', "b": 'include "a"'}))  # type: ignore[arg-type]
    many = {str(number): f'include "{number + 1}"' for number in range(100)}
    with pytest.raises(ConfigError, match=f"more than {INCLUDES_LIMIT} files"):
        parse(policy('include "0"'), "f", including(many))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="at most"):
        parse(policy('include "a"'), "f", including({"a": "#" * FILE_LIMIT}))  # type: ignore[arg-type]


def test_escalation_when_nobody_is_there() -> None:
    from bastion.policy.rules import WHEN_ABSENT

    text = policy('group x "a"\nescalate when absent to x\nescalate after 30s to x')
    (one, two) = parse(text).clauses.escalations
    assert (one.seconds, one.group, two.seconds) == (WHEN_ABSENT, "x", 30)


def test_chats() -> None:
    (one, two) = parse(policy("accept slack\naccept slack for restart, medium")).clauses.accepts
    assert (one.chat, one.selectors, len(two.selectors)) == ("slack", (), 2)
    for body in ("accept", "accept teams", "accept slack for"):
        with pytest.raises(ConfigError):
            parse(policy(body))
