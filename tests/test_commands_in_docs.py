"""Every command line of `bastion` in a document names a verb that there is, with options that it has."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from bastion.cli import bastion

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    *("README.md", "SECURITY.md", "CONTRIBUTING.md", "deploy/README.md"),
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")),
]
LINE = re.compile(r"(?:^|`|\$ |-- |\$\()((?:bastion) (?:--|[a-z])[^`]*?)(?:`|$|\)| {2,}| #| \| )", re.MULTILINE)


def lines(document: str) -> list[list[str]]:
    """What stands in code, as words; continued lines are one."""
    text = re.sub(r"\s*\\\n\s*", " ", (ROOT / document).read_text("utf-8"))
    code = re.findall(r"^```.*?\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    code += re.findall(r"(?:^ {4}.*\n)+", text, re.MULTILINE)
    spans = [
        " ".join(span.split()) for span in re.findall(r"`[^`]+`", re.sub(r"^```.*?^```", "", text, flags=re.S | re.M))
    ]
    found = []
    for piece in ["\n".join(line.strip() for line in each.splitlines()) for each in code] + spans:
        found += [match[1].split() for match in LINE.finditer(piece)]
    return found


def options_of(words: list[str]) -> tuple[str, set[str], list[str]]:
    """The verb, the options that it has, and those that are written."""
    context = click.Context(bastion)
    rest = words[1:]
    while rest and rest[0].startswith("--"):  # of the program itself, each with a value
        rest = rest[2:]
    command = bastion.get_command(context, rest[0])
    assert command is not None, f"no noun: {' '.join(words)}"
    name = rest.pop(0)
    if isinstance(command, click.Group) and rest and re.fullmatch(r"[a-z][a-z-]*", rest[0]):
        name = f"{name} {rest[0]}"
        command = command.commands.get(rest.pop(0))
        assert command is not None, f"no verb: {' '.join(words)}"
    known = {option for param in command.params for option in param.opts}
    written = [word.strip("[]").partition("=")[0] for word in rest if word.strip("[").startswith("--")]
    return name, known, written


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_command_is_one(document: str) -> None:
    for words in lines(document):
        name, known, written = options_of(words)
        assert [option for option in written if option not in known] == [], f"{name}: {' '.join(words)}"


def test_they_are_found() -> None:
    found = [" ".join(words) for document in DOCUMENTS for words in lines(document)]
    assert len(found) > 80
    assert "bastion session end-keys s-12ab" in found
    assert any(
        line.startswith("bastion target add web-1 --address 192.0.2.20:22") and "--credential" in line for line in found
    )
