"""`bastion policy`: rules in files; the same reader and judge as the daemon's. For CI there is checking.py.

Nothing here but `replay` needs a bastion. A policy that the daemon would refuse to load is broken here as well.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from bastion.cli import checking, output, policyfiles, reach
from bastion.cli.options import Settings, remote_verb
from bastion.errors import UsageError


@click.group("policy")
def command() -> None:
    """Rules: show, lint, check, explain, test, hash, fmt, replay. The language: docs/policy.md."""


command.add_command(checking.lint_)
command.add_command(checking.check)


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


@command.command("explain")
@policyfiles.FILE
@click.argument("action", metavar="[ACTION.json]", required=False, type=click.Path(path_type=Path))
@policyfiles.JSON
def explain(file: Path, action: Path | None, json: bool) -> None:
    """Say a policy in plain words; with ACTION.json, what becomes of that, by which rule and why."""
    from bastion.policy import explain as words

    policy = policyfiles.load(file)
    said = policyfiles.judged(policy, action) if action is not None else None
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
@policyfiles.FILE
@policyfiles.JSON
def test(file: Path, json: bool) -> int:
    """Run the tests that stand in a policy. Exit status: 0 all pass, 1 one fails, 2 the policy is broken."""
    from bastion.policy.risk import assess
    from bastion.policy.trial import run

    policy = policyfiles.load(file)
    outcomes = list(run(policy, assess, policyfiles.now()))
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
@policyfiles.FILE
@policyfiles.JSON
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
@policyfiles.FILE
@click.option("--check", is_flag=True, help="Change nothing; exit 1 if it would.")
@policyfiles.JSON
def fmt(file: Path, check: bool, json: bool) -> int:
    """Lay a policy out in the one way: blanks and line ends only, comments stay. `-` reads stdin and prints."""
    from bastion import policyfile
    from bastion.policy.layout import layout

    piped = str(file) == "-"
    source = policyfiles.stdin() if piped else policyfile.read_text(file, file)
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
@policyfiles.FILE
@click.option("--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True, help="How many requests.")
@remote_verb
def replay(settings: Settings, file: Path, limit: int) -> int:
    """Judge the newest requests of the ledger under another policy, and print what would change.

    The whitelist and grants are left as they were. Exit status: 0 nothing would change, 1 something would.
    """
    from bastion.control import wire
    from bastion.policy.rehearsal import rehearse
    from bastion.policy.risk import assess

    policy = policyfiles.load(file)

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
