"""`bastion identity`: who connects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bastion.cli import output, reach
from bastion.cli.options import Settings, local_verb, remote_verb
from bastion.errors import UsageError

if TYPE_CHECKING:
    from bastion.control.wire import IdentityInfo

KINDS = ("agent", "human", "ci", "service")
ROLES = ("approver", "auditor", "admin")

KEY_FILE_LIMIT = 64 << 10
"""Bytes of a .pub file; one of an RSA key of 16,384 bits has 3 KiB."""


@click.group("identity")
def command() -> None:
    """Who connects: agents and people.

    A key belongs to one identity for ever. An identity with a role decides or audits and never reaches a target.
    """


@command.command("add")
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), required=True, help="What sort of thing connects.")
@click.option("--role", "roles", type=click.Choice(ROLES), multiple=True, help="For humans; may be repeated.")
@click.option(
    "--key", "key_file", metavar="FILE.pub", type=click.Path(path_type=Path), required=True,
    help="The public half of the key that it connects with; the private one stays where it is.",
)  # fmt: skip
@local_verb
def add(settings: Settings, name: str, kind: str, roles: tuple[str, ...], key_file: Path) -> None:
    """Add an identity with one public key."""
    from bastion.control import wire

    key = read_key_lines(key_file, one=True)[0]
    info = reach.administer(
        settings,
        wire.AddIdentity,
        wire.IdentityInfo,
        name=name,
        kind=kind,
        roles=list(roles),
        key=key,
    )
    show(settings, info, "added")


@command.command("list")
@remote_verb
def list_(settings: Settings) -> None:
    """List identities, revoked ones too."""

    async def work() -> list[IdentityInfo]:
        async with reach.source(settings) as source:
            return await source.identities()

    rows = reach.run(work())
    if settings.json:
        output.as_json([output.structure(row) for row in rows])
        return
    output.table(
        ("NAME", "KIND", "ROLES", "KEY", "STATE"),
        [(row.name, row.kind, ",".join(row.roles) or "-", " ".join(row.fingerprints), _state(row)) for row in rows],
    )


@command.command("revoke")
@click.argument("name")
@click.option("--reason", required=True, help="Why; stands in the ledger.")
@local_verb
def revoke(settings: Settings, name: str, reason: str) -> None:
    """Revoke an identity: its connections are cut at once. Neither its name nor its key can be used again."""
    from bastion.control import wire

    info = reach.administer(
        settings,
        wire.RevokeIdentity,
        wire.IdentityInfo,
        name=name,
        reason=reason,
    )
    show(settings, info, "revoked")


def show(settings: Settings, info: IdentityInfo, what: str) -> None:
    """What was done."""
    if settings.json:
        output.as_json(output.structure(info))
    else:
        roles = f", {' and '.join(info.roles)}" if info.roles else ""
        output.say(f"{what} {info.name} ({info.kind}{roles}), key {' '.join(info.fingerprints)}")


def read_key_lines(path: Path, *, one: bool = False) -> list[str]:
    """The lines of a .pub file that hold a key. Raises UsageError, for a private key too."""
    try:
        with path.open("rb") as file:
            data = file.read(KEY_FILE_LIMIT + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    if b"PRIVATE KEY" in data:
        raise UsageError(f"{path} is a private key", f"its public half is wanted: {path}.pub")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no public key file") from None
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    if not lines or len(data) > KEY_FILE_LIMIT:
        raise UsageError(f"{path} is no public key file")
    if one and len(lines) > 1:
        raise UsageError(f"{path} holds {len(lines)} keys", "an identity is added with one")
    return lines


def _state(row: IdentityInfo) -> str:
    return f"revoked: {row.revoked}" if row.revoked else "valid"
