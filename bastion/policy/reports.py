"""Findings and verdicts in the forms that CI systems read: SARIF 2.1.0, and GitHub's workflow commands. Pure.

SARIF: OASIS "Static Analysis Results Interchange Format", sections 3.13 (log), 3.14 (run), 3.27 (result).
GitHub: "Workflow commands", where `%`, CR and LF in a message, and `:` and `,` in a property, are percent-encoded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

_LEVELS = {"error": "error", "warning": "warning", "note": "notice"}


@dataclass(frozen=True, slots=True)
class Report:
    """One thing to say about one place."""

    level: str
    """`error`, `warning`, `note`."""
    code: str
    message: str
    file: str
    line: int = 1
    column: int = 1


def sarif(reports: Iterable[Report], version: str) -> dict[str, Any]:
    """One log with one run."""
    listed = list(reports)
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "bastion policy",
                        "version": version,
                        "rules": [{"id": code} for code in sorted({each.code for each in listed})],
                    }
                },
                "results": [_result(each) for each in listed],
            }
        ],
    }


def _result(report: Report) -> dict[str, Any]:
    region = {"startLine": max(1, report.line), "startColumn": max(1, report.column)}
    place = {"artifactLocation": {"uri": quote(report.file)}, "region": region}
    return {
        "ruleId": report.code,
        "level": report.level,
        "message": {"text": report.message},
        "locations": [{"physicalLocation": place}],
    }


def github(reports: Iterable[Report]) -> list[str]:
    """One workflow command each."""
    return [
        f"::{_LEVELS[each.level]} file={_property(each.file)},line={max(1, each.line)},col={max(1, each.column)},"
        f"title={_property(each.code)}::{_message(each.message)}"
        for each in reports
    ]


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
