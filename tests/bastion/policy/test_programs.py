"""The facts: every file is well-formed, every program says where its facts come from, and mistakes are told."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any

import pytest

from bastion.errors import ConfigError
from bastion.policy import programs, risk

FILES = sorted(
    file.name for file in resources.files("bastion.policy").joinpath("facts").iterdir() if file.name.endswith(".toml")
)
ACTION: dict[str, Any] = {"weight": 0, "say": "reads {what}", "effects": "reads"}


def raw(**tables: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {"actions": {"read": ACTION}, "places": {}, "tools": tables}


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_toml_and_each_table_has_its_source(name: str) -> None:
    content = tomllib.loads(resources.files("bastion.policy").joinpath("facts", name).read_text(encoding="utf-8"))
    assert content
    if name in ("actions.toml", "places.toml") or name.startswith("table_"):
        return
    missing = [key for key, table in content.items() if len(table.get("source", "")) < 5]
    assert missing == []


def test_all_facts_together_load_and_every_language_has_a_reader() -> None:
    facts = programs.load()
    assert len(facts.programs) > 250
    assert risk.loaded() is risk.loaded()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"is": "read"}, "where its facts come from"),
        ({"source": "x(1)", "is": "rread"}, "actions that do not exist: rread"),
        ({"source": "x(1)", "flag": "-x"}, "keys that mean nothing: flag"),
        ({"source": "x(1)", "flags": ["-x"]}, "keys that mean nothing: flags"),
        ({"source": "x(1)", "style": "dos"}, "unknown style: dos"),
        ({"source": "x(1)", "stdin": "code:x"}, "unknown stdin: code:x"),
        ({"source": "x(1)", "options": "all"}, "unknown options: all"),
        ({"source": "x(1)", "operands": "reed*"}, "actions that do not exist: reed"),
        ({"source": "x(1)", "does": {"-o": "wryte="}}, "actions that do not exist: wryte"),
        ({"source": "x(1)", "subs": {"reed": "a"}}, "actions that do not exist: reed"),
        ({"source": "x(1)", "sub": {"a": {"is": "reed"}}}, r"\[x a\] names actions that do not exist: reed"),
        ({"source": "x(1)", "names": "cat cat"}, "cat stands in two tables"),
    ],
)
def test_a_mistake_in_a_table_is_told_with_its_place(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        programs.build(raw(x=table))
    assert str(error.value).startswith("tools.toml: ")


@pytest.mark.parametrize(
    "action",
    [
        {},
        {"weight": 101, "say": "x"},
        {"weight": 1, "say": "x", "effects": "eats"},
        {"weight": 1, "say": "x", "reversible": "so so"},
    ],
)
def test_a_mistake_in_an_action_is_told(action: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"^actions\.toml: \[wrong\]"):
        programs.build({"actions": {"wrong": action}, "places": {}})


def test_a_language_that_nothing_reads_is_told() -> None:
    facts = programs.build(
        raw(x={"source": "x(1)", "operands": "code:cobol"})
        | {
            "table_env": {"harmless": [], "code": []},
            "table_sql": {"first": {}, "functions": [], "never": [], "meta": {}, "pragmas": []},
            "table_keyvalue": {"redis": {}, "mongo": {}},
        }
    )
    with pytest.raises(ConfigError, match="cobol"):
        risk.Risk(facts)


def test_sub_commands_are_found_the_most_certain_first() -> None:
    table = {
        "source": "x(1)",
        "flags": "-v",
        "subs": {"read": "* get-*, ec2 ls"},
        "sub": {"vault get-secret": {"bare": "read"}, "a|b": {"is": "read", "flags": "-w"}},
    }
    program = programs.build(raw(x=table)).programs["x"]

    def reads(line: str) -> str | None:
        found: programs.Program | None = program
        for word in line.split():
            found = found.sub(word) if found is not None else None
        return found.action if found is not None else None

    assert reads("ec2 get-it") == "read"
    assert reads("vault get-it") == "read"
    assert reads("vault get-secret") == ""
    assert reads("ec2 put-it") is None
    assert reads("a") == reads("b") == "read"
    below = program.sub("a")
    assert below is not None
    assert set(below.options) == {"-v", "-w"}


def test_invented_sub_commands_do_not_fill_the_memory() -> None:
    program = programs.build(raw(x={"source": "x(1)", "subs": {"read": "get-*"}})).programs["x"]
    for number in range(programs.KNOWN_LIMIT + 10):
        assert program.sub(f"get-{number}") is not None
    assert len(program.known) == programs.KNOWN_LIMIT


@pytest.mark.parametrize(
    ("word", "known"),
    [
        ("rm", True),
        ("/bin/rm", True),
        ("/usr/sbin/ip", True),
        ("/tmp/rm", False),
        ("./rm", False),
        ("bin/rm", False),
        ("", False),
    ],
)
def test_a_path_in_front_means_the_program_only_in_system_directories(word: str, known: bool) -> None:
    assert (programs.load().program(word) is not None) == known
