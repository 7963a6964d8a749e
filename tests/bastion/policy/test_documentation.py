"""docs/policy.md: its examples run, and it names every statement, block and word that there is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bastion.policy import clauses, language
from bastion.policy.action import read
from bastion.policy.language import TEST_FACTS, parse
from bastion.policy.layout import layout
from bastion.policy.lint import lint
from bastion.policy.risk import assess
from bastion.policy.trial import run
from bastion.policy.vocabulary import vocabulary

DOCS = (Path(__file__).resolve().parents[3] / "docs" / "policy.md").read_text()
EXAMPLES = [block for block in re.findall(r"^```\n(.*?)^```", DOCS, re.M | re.S) if block.startswith("policy ")]


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_are_right_laid_out_and_pass(example: str) -> None:
    policy = parse(example)
    assert lint(policy) == []
    assert layout(example) == example
    assert [each.wrong for each in run(policy, assess, 0) if each.wrong] == []


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 2
    (action,) = re.findall(r"^```json\n(.*?)^```", DOCS, re.M | re.S)
    assert read(json.dumps(json.loads(action)), assess).identity == "deployer"


def test_every_word_is_documented() -> None:
    words = set(re.findall(r"[a-z_]+", DOCS))
    assert {*clauses.STATEMENTS, *language._OWN, *language._BLOCKS} <= words
    assert vocabulary().tags <= words
    assert words >= TEST_FACTS


def test_the_facts_name_no_verb_that_policy_does_not_know_and_whatever_weighs_has_one() -> None:
    from bastion.policy import programs

    actions = programs.load().actions
    named = {verb for action in actions.values() for verb in action.verbs}
    assert named <= vocabulary().verbs
    unnamed = [name for name, action in actions.items() if action.weight >= 25 and not action.verbs]
    # these say how and where the named things are done: as root, in production, several statements at once
    assert unnamed == ["privilege", "production", "database-several"]
