"""`bastion policy`: rules in files; the same reader and judge as the daemon's, for a desk and for CI.

Nothing here but `replay` needs a bastion. A policy that the daemon would refuse to load is broken here as well.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bastion.cli import output, reach
from bastion.cli.options import Settings, remote_verb
from bastion.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from bastion.policy.judge import Judgement
    from bastion.policy.lint import Finding
    from bastion.policy.reports import Report
    from bastion.policy.rules import Policy

GATED = 3
"""Exit status of `check --strict` for what a person has to approve."""

FORMATS = ("text", "json", "sarif", "github")

_file = click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
_json = click.option("--json", "json", is_flag=True, help="Print JSON (docs/json.md).")
_format = click.option("--format", "form", type=click.Choice(FORMATS), default="text", help="For people or for CI.")


@click.group("policy")
def command() -> None:
    """Rules: show, lint, check, explain, test, hash, fmt, replay. The language: docs/policy.md."""


@command.command("show")
@click.option("--text", "as_written", is_flag=True, help="As it is written, not in plain words.")
@remote_verb
def show(settings: Settings, as_written: bool) -> None:
    """The policy in force at a bastion, in plain words, and the freezes that people set."""
    from bastion.control import wire

    async def work() -> wire.PolicyInfo:
        async with reach.daemon(settings, why="the policy in force is its") as client:
            return await client.call(wire.ShowPolicy, wire.PolicyInfo)

    info = reach.run(work())
    if settings.json:
        output.as_json(output.structure(info))
        return
    output.fact("policy", f"{info.name}, {info.digest}" if info.digest else "none: everything is held")
    for each in info.freezes:
        output.fact("frozen", f"{each.name or 'everything'}: {each.reason}")
    if as_written:
        for name, text in info.texts:
            output.fact("file", name)
            output.block(text)
        return
    for place, words in info.sentences:
        output.fact(place, words) if place else output.say(output.shown(words))


@command.command("lint")
@_file
@click.option("--strict", is_flag=True, help="Warnings fail, too.")
@_format
@_json
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


@command.command("check")
@click.argument("action", metavar="ACTION.json", type=click.Path(path_type=Path))
@click.option("--policy", "file", required=True, metavar="FILE", type=click.Path(path_type=Path), help="The policy.")
@click.option("--strict", is_flag=True, help="Exit 3 when a person would have to approve.")
@_format
@_json
def check(action: Path, file: Path, strict: bool, form: str, json: bool) -> int:
    """Judge one action; ACTION.json may be `-` for stdin.

    Exit status: 0 it runs, or waits for a person; 1 it is denied; 2 the policy or the action is broken; with --strict,
    3 it waits for a person.
    """
    from bastion.model import Verdict
    from bastion.policy.reports import Report

    policy = _read_for(form, file, _load)
    said = _judged(policy, action)
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


@command.command("explain")
@_file
@click.argument("action", metavar="[ACTION.json]", required=False, type=click.Path(path_type=Path))
@_json
def explain(file: Path, action: Path | None, json: bool) -> None:
    """Say a policy in plain words; with ACTION.json, what becomes of that, by which rule and why."""
    from bastion.policy import explain as words

    policy = _load(file)
    said = _judged(policy, action) if action is not None else None
    if said is not None:
        rows = [("", 0, line) for line in words.judgement(said)]
    else:
        rows = [
            (where.place.file if where else "", where.place.line if where else 0, text)
            for where, text in words.policy(policy)
        ]
    if json:
        sentences = [{"file": name, "line": line, "text": text} for name, line, text in rows]
        about = {"verdict": said.verdict.value if said else "", "rule": said.rule if said else ""}
        output.as_json({"policy": policy.name, "digest": policy.digest, **about, "sentences": sentences})
        return
    many = len(policy.files) > 1
    for name, line, text in rows:
        place = f"{name}:{line}" if many else str(line)
        output.say(output.shown(f"{place:>4}  {text}" if line else text))


@command.command("test")
@_file
@_json
def test(file: Path, json: bool) -> int:
    """Run the tests that stand in a policy. Exit status: 0 all pass, 1 one fails, 2 the policy is broken."""
    from bastion.policy.risk import assess
    from bastion.policy.trial import run

    policy = _load(file)
    outcomes = list(run(policy, assess, _now()))
    failed = sum(bool(each.wrong) for each in outcomes)
    if json:
        rows = [{"name": each.test.name, "line": each.test.place.line, "wrong": each.wrong} for each in outcomes]
        passed = len(outcomes) - failed
        output.as_json(
            {"policy": policy.name, "digest": policy.digest, "passed": passed, "failed": failed, "tests": rows}
        )
        return 1 if failed else 0
    for each in outcomes:
        if each.wrong:
            output.say(output.shown(f"{each.test.place}: FAILED {each.test.name}: {each.wrong}"))
    output.say(f"{len(outcomes) - failed} passed, {failed} failed")
    return 1 if failed else 0


@command.command("hash")
@_file
@_json
def hash_(file: Path, json: bool) -> None:
    """Print the hash of a policy, by which the ledger names it.

    It is the SHA-256 of the file; with included files, that of the lines that sha256sum prints for all of them, sorted.
    """
    from bastion import policyfile

    policy = policyfile.read(file)
    if json:
        output.as_json({"policy": policy.name, "digest": policy.digest, "files": list(policy.files)})
    else:
        output.say(output.shown(f"{policy.digest}  {file}"))


@command.command("fmt")
@_file
@click.option("--check", is_flag=True, help="Change nothing; exit 1 if it would.")
@_json
def fmt(file: Path, check: bool, json: bool) -> int:
    """Lay a policy out in the one way: blanks and line ends only, comments stay. `-` reads stdin and prints."""
    from bastion import policyfile
    from bastion.policy.layout import layout

    piped = str(file) == "-"
    source = _stdin() if piped else policyfile.read_text(file, file)
    text = layout(source, str(file))
    changed = text != source
    if json:
        output.as_json({"file": str(file), "changed": changed, "text": text})
    elif piped and not check:
        sys.stdout.write(text)
    elif changed:
        output.say(output.shown(f"{'would change' if check else 'changed'} {file}"))
    if check:
        return 1 if changed else 0
    if changed and not piped:
        _replace(file, text)
    return 0


@command.command("replay")
@_file
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True, help="How many requests.")
@remote_verb
def replay(settings: Settings, file: Path, limit: int) -> int:
    """Judge the newest requests of the ledger under another policy, and print what would change.

    The whitelist and grants are left as they were. Exit status: 0 nothing would change, 1 something would.
    """
    from bastion.control import wire
    from bastion.policy.rehearsal import rehearse
    from bastion.policy.risk import assess

    policy = _load(file)

    async def work() -> tuple[list[wire.RequestInfo], list[wire.IdentityInfo]]:
        async with reach.source(settings) as source:
            return await source.requests("", limit), await source.identities()

    infos, identities = reach.run(work())
    kinds = {each.name: each.kind for each in identities}
    judged, changes = rehearse(infos[-limit:], kinds, policy, assess)
    if settings.json:
        rows = [
            {
                "id": each.info.id,
                "identity": each.info.identity,
                "target": each.info.target,
                "command": each.info.command.decode("utf-8", "replace"),
                "before": each.before.value,
                "after": each.said.verdict.value,
                "rule": each.said.rule,
                "reason": each.said.reason,
            }
            for each in changes
        ]
        output.as_json(
            {
                "policy": policy.name,
                "digest": policy.digest,
                "judged": judged,
                "changed": len(rows),
                "changes": rows,
            }
        )
    else:
        output.table(
            ("ID", "WHO", "WHERE", "WAS", "WOULD BE", "COMMAND"),
            [
                (
                    each.info.id,
                    each.info.identity,
                    each.info.target,
                    each.before.value,
                    each.said.verdict.value,
                    each.info.command,
                )
                for each in changes
            ],
        )
        output.say(f"{len(changes)} of {judged} requests would be judged differently")
    return 1 if changes else 0


# --- what the verbs share ---------------------------------------------------------------------------------------------


def _load(file: Path) -> Policy:
    """As the daemon would. Raises ConfigError."""
    from bastion import policyfile

    return policyfile.load(file, approvals=1, timeout=60)[0]


def _read_for(form: str, file: Path, read: Callable[[Path], Policy]) -> Policy:
    """Reads; where a CI system reads the output, a broken policy is a finding as well. Raises ConfigError."""
    from bastion.policy.reports import Report

    try:
        return read(file)
    except ConfigError as error:
        if form in ("sarif", "github"):
            _report(form, [Report("error", "broken", str(error), error.path, error.line, error.column)])
        raise


def _judged(policy: Policy, action: Path) -> Judgement:
    from bastion.policy.action import ACTION_LIMIT, read
    from bastion.policy.judge import judge
    from bastion.policy.risk import assess

    if str(action) == "-":
        text = _stdin()
    else:
        try:
            with action.open("rb") as file:
                data = file.read(ACTION_LIMIT + 1)
            text = data.decode()
        except OSError as error:
            raise UsageError(f"{action} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise UsageError(f"{action} is not UTF-8") from None
    return judge(read(text, assess), policy, None, _now())


def _stdin() -> str:
    try:
        return sys.stdin.buffer.read((1 << 20) + 1).decode()
    except UnicodeDecodeError:
        raise UsageError("stdin is not UTF-8") from None


def _now() -> int:
    return time.time_ns() // 1000


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


def _replace(file: Path, text: str) -> None:
    """The new text in place of the old, whole or not at all. Raises UsageError."""
    scratch = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        mode = file.stat().st_mode & 0o777
        fd = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
        with os.fdopen(fd, "w", encoding="utf-8", newline="") as out:
            out.write(text)
            out.flush()
            os.fsync(fd)
        os.replace(scratch, Path(os.path.realpath(file)))
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise UsageError(f"cannot write {file}: {error.strerror}") from None
