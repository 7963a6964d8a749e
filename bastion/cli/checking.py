"""`bastion policy lint | check`: what is wrong with a policy, and what it says of one action, for people and for CI."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bastion.cli import output, policyfiles
from bastion.errors import ConfigError

if TYPE_CHECKING:
    from bastion.policy.judge import Judgement
    from bastion.policy.lint import Finding
    from bastion.policy.reports import Report
    from bastion.policy.rules import Policy

GATED = 3
"""Exit status of `check --strict` for what a person has to approve."""

FORMATS = ("text", "json", "sarif", "github")

_format = click.option("--format", "form", type=click.Choice(FORMATS), default="text", help="For people or for CI.")


@click.command("lint")
@policyfiles.FILE
@click.option("--strict", is_flag=True, help="Warnings fail, too.")
@_format
@policyfiles.JSON
def lint_(file: Path, strict: bool, form: str, json: bool) -> int:
    """Say what is wrong with a policy.

    Exit status: 0 nothing (warnings are shown), 1 something, 2 it does not parse.
    """
    from bastion import policyfile
    from bastion.policy.lint import Severity, lint

    policy = _read_for(form, file, policyfile.read)
    findings = lint(policy)
    errors = [each for each in findings if strict or each.severity is Severity.ERROR]
    if json or form == "json":
        rows = [_finding(file, each) for each in findings]
        output.as_json(
            {"file": str(file), "policy": policy.name, "digest": policy.digest, "ok": not errors, "findings": rows}
        )
    elif form != "text":
        _report(form, [_as_report(file, each) for each in findings])
    else:
        for each in findings:
            row = _finding(file, each)
            hint = f" ({each.hint})" if each.hint else ""
            place = f"{row['file']}:{each.place.line}:{each.place.column}"
            output.say(output.shown(f"{place}: {each.severity}: {each.message}{hint} [{each.code}]"))
        count = sum(len(getattr(policy.clauses, name)) for name in policy.clauses.__slots__)
        if not findings:
            output.say(output.shown(f"{file}: ok ({count} rules, {policy.digest[:16]})"))
    return 1 if errors else 0


@click.command("check")
@click.argument("action", metavar="ACTION.json", type=click.Path(path_type=Path))
@click.option("--policy", "file", required=True, metavar="FILE", type=click.Path(path_type=Path), help="The policy.")
@click.option("--strict", is_flag=True, help="Exit 3 when a person would have to approve.")
@_format
@policyfiles.JSON
def check(action: Path, file: Path, strict: bool, form: str, json: bool) -> int:
    """Judge one action; ACTION.json may be `-` for stdin.

    Exit status: 0 it runs, or waits for a person; 1 it is denied; 2 the policy or the action is broken; with --strict,
    3 it waits for a person.
    """
    from bastion.model import Verdict
    from bastion.policy.reports import Report

    policy = _read_for(form, file, policyfiles.load)
    said = policyfiles.judged(policy, action)
    if json or form == "json":
        output.as_json({"action": str(action), "policy": policy.name, **_judgement(said)})
    elif form == "text":
        output.say(output.shown(f"{said.verdict}: {said.reason} ({said.rule})"))
    elif said.verdict is not Verdict.ALLOW:
        held = said.verdict is Verdict.HOLD
        level = "error" if not held or strict else "warning"
        _report(form, [Report(level, said.verdict.value, f"{said.reason} ({said.rule})", str(action))])
    else:
        _report(form, [])
    if said.verdict is Verdict.DENY:
        return 1
    return GATED if strict and said.verdict is Verdict.HOLD else 0


def _read_for(form: str, file: Path, read: Callable[[Path], Policy]) -> Policy:
    """Reads; where a CI system reads the output, a broken policy is a finding as well. Raises ConfigError."""
    from bastion.policy.reports import Report

    try:
        return read(file)
    except ConfigError as error:
        if form in ("sarif", "github"):
            _report(form, [Report("error", "broken", str(error), error.path, error.line, error.column)])
        raise


def _judgement(said: Judgement) -> dict[str, Any]:
    return {
        "digest": said.policy,
        "verdict": said.verdict.value,
        "rule": said.rule,
        "reason": said.reason,
        "approvals": said.approvals,
        "approvers": list(said.approvers),
        "timeout": said.timeout,
        "escalation": [{"after": each.seconds, "group": each.group} for each in said.escalation],
        "recording": said.recording,
    }


def _finding(file: Path, finding: Finding) -> dict[str, Any]:
    place = finding.place
    return {
        "severity": finding.severity.value,
        "code": finding.code,
        "message": finding.message,
        "file": str(file.parent / place.file),
        "line": place.line,
        "column": place.column,
        "hint": finding.hint,
    }


def _as_report(file: Path, finding: Finding) -> Report:
    from bastion.policy.reports import Report

    place = finding.place
    path = str(file.parent / place.file)
    return Report(finding.severity.value, finding.code, finding.message, path, place.line, place.column)


def _report(form: str, reports: Iterable[Report]) -> None:
    from bastion import __version__
    from bastion.policy.reports import github, sarif

    if form == "sarif":
        output.as_json(sarif(reports, __version__))
        return
    for line in github(reports):
        output.say(output.shown(line))
