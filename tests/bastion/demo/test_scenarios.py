"""The scripts hold together: they end, they stay in their directory, and the rulings lead where they should."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from itertools import pairwise

import pytest

from bastion.demo.scenarios import (
    AGENTS,
    APPROVERS,
    INTENDED,
    WHITELISTED,
    WORDS,
    Agent,
    Effect,
    End,
    Step,
    following,
    ruling,
)
from bastion.gate.channels import INTENT_LIMIT
from bastion.model import Choice

STEPS = [(agent, step) for agent in AGENTS for step in agent.steps]
each_step = pytest.mark.parametrize(("agent", "step"), STEPS, ids=[f"{a.name}-{s.name}" for a, s in STEPS])
each_agent = pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.name)


def ways(agent: Agent, step: Step) -> Iterator[list[tuple[Step, End]]]:
    """Every way through the script from `step` on, as (step, how it ended)."""
    for end in (End.RAN, End.DENIED):
        after = following(agent, step, end)
        if after is None:
            yield [(step, end)]
        else:
            yield from ([(step, end), *rest] for rest in ways(agent, after))


def ruled(agent: Agent) -> list[tuple[Step, End]]:
    """The way that the rulings lead."""
    way: list[tuple[Step, End]] = []
    step: Step | None = agent.steps[0]
    while step is not None:
        denied = step.ruling is not None and step.ruling.choice is Choice.DENY
        way.append((step, End.DENIED if denied else End.RAN))
        step = following(agent, *way[-1])
    return way


def test_there_are_four_agents() -> None:
    assert [agent.name for agent in AGENTS] == ["claude-ops", "deploy-bot", "disk-janitor", "log-reader"]


@each_agent
def test_every_way_ends(agent: Agent) -> None:
    """A script that goes round in circles would not come back from `ways`."""
    for way in ways(agent, agent.steps[0]):
        names = [step.name for step, _ in way]
        assert len(set(names)) == len(names)


@each_agent
def test_every_step_can_be_reached(agent: Agent) -> None:
    reached = {step.name for way in ways(agent, agent.steps[0]) for step, _ in way}
    assert reached == {step.name for step in agent.steps}


@each_agent
def test_names_of_steps_differ(agent: Agent) -> None:
    assert len({step.name for step in agent.steps}) == len(agent.steps)


@each_step
def test_silence_is_a_no(agent: Agent, step: Step) -> None:
    assert following(agent, step, End.EXPIRED) == following(agent, step, End.DENIED)


@each_step
def test_failure_ends_the_script(agent: Agent, step: Step) -> None:
    assert following(agent, step, End.FAILED) is None


def test_unknown_step_is_an_error() -> None:
    with pytest.raises(KeyError):
        AGENTS[0].step("nowhere")


@each_step
def test_commands_stay_in_the_scratch_directory(agent: Agent, step: Step) -> None:
    """No word of a command or script is absolute, goes up, or names a home."""
    for text in (step.command, step.stdin, step.rollback):
        for word in shlex.split(text, comments=True):
            assert not word.startswith(("/", "~", "$")), word
            assert ".." not in word.split("/"), word
            assert "=/" not in word, word


@each_step
def test_the_words_of_a_step_fit_the_bastion(agent: Agent, step: Step) -> None:
    for words in (step.reason, step.rollback, agent.task):
        assert len(words.encode()) <= INTENT_LIMIT
    assert step.says
    assert (step.stdin == "") == (step.stdin_name == "")


@each_step
def test_an_asked_step_gives_a_reason_and_takes_a_denial(agent: Agent, step: Step) -> None:
    if step.ruling is not None:
        assert step.reason
        assert step.if_denied
        assert step.ruling.reason


@each_step
def test_its_ruling_is_found_by_what_it_asks_for(agent: Agent, step: Step) -> None:
    """Also where a script asks for the same twice: then both are ruled alike."""
    assert ruling(agent.name, step.command.encode(), step.stdin.encode()) == step.ruling


def test_nothing_else_has_a_ruling() -> None:
    agent, step = AGENTS[1], AGENTS[1].steps[1]
    command, stdin = step.command.encode(), step.stdin.encode()
    assert ruling(agent.name, command, stdin) is not None
    assert ruling("somebody", command, stdin) is None
    assert ruling(agent.name, command + b" ", stdin) is None
    assert ruling(agent.name, command, stdin + b"\n") is None


def test_what_is_whitelisted_does_nothing() -> None:
    assert WHITELISTED == (("claude-ops", "svc status web"),)
    assert not any(step.effects for _, step in STEPS if step.ruling is None)


def test_two_people_rule() -> None:
    assert APPROVERS == ("ana", "ben")


def test_the_rulings_lead_to_what_is_intended() -> None:
    ran = {effect for agent in AGENTS for step, end in ruled(agent) if end is End.RAN for effect in step.effects}
    assert ran == INTENDED
    assert ran == {Effect.CONFIG_MENDED, Effect.SERVICE_RUNS, Effect.COLUMN_ADDED, Effect.OLD_LOGS_DELETED}


def test_the_rulings_prevent_the_rest() -> None:
    denied = {effect for agent in AGENTS for step, end in ruled(agent) if end is End.DENIED for effect in step.effects}
    assert denied - INTENDED == {Effect.ORDERS_DROPPED, Effect.BACKUPS_DELETED, Effect.SCRIPT_FETCHED}


@pytest.mark.parametrize(
    ("name", "worse", "better"), [("deploy-bot", "deploy", "careful"), ("disk-janitor", "clean", "less")]
)
def test_a_denied_agent_asks_for_less(name: str, worse: str, better: str) -> None:
    agent = next(agent for agent in AGENTS if agent.name == name)
    pairs = [(first.name, second.name) for (first, _), (second, _) in pairwise(ruled(agent))]
    assert (worse, better) in pairs
    first, second = agent.step(worse), agent.step(better)
    assert first is not None
    assert second is not None
    assert second.effects < first.effects


def test_every_effect_has_words() -> None:
    assert set(WORDS) == set(Effect)
