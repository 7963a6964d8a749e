"""`bastion target`: where agents may go."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bastion.cli import output, reach
from bastion.cli.identity import read_key_lines
from bastion.cli.options import Settings, local_verb, remote_verb
from bastion.errors import Conflict, NotFound, Unreachable, UsageError
from bastion.oserrors import in_words

if TYPE_CHECKING:
    from bastion.control.wire import CheckInfo, TargetInfo

FETCH_SECONDS = 10.0
"""For a target to show its host key; the same as for a connection."""


@click.group("target")
def command() -> None:
    """Where agents may go."""


@command.command("add")
@click.argument("name")
@click.option("--address", metavar="HOST:PORT", required=True, help="Of its sshd, as the bastion reaches it.")
@click.option(
    "--login", "logins", metavar="USER[,USER]", required=True, help="Remote accounts; the first is the default."
)
@click.option("--env", metavar="NAME", required=True, help="Environment label, such as production.")
@click.option(
    "--host-key", "host_key_files", metavar="FILE.pub", type=click.Path(path_type=Path), multiple=True,
    help="The target's public host key; may be repeated.",
)  # fmt: skip
@click.option("--accept", metavar="SHA256:...", help="Fetch the host key and take it if it has this fingerprint.")
@click.option(
    "--credential",
    metavar="ca|key:FILE|credential:NAME",
    help="A certificate for each command (see `bastion user-ca`), or the bastion's own private key, mode 0600.",
)
@local_verb
def add(
    settings: Settings,
    name: str,
    address: str,
    logins: str,
    env: str,
    host_key_files: tuple[Path, ...],
    accept: str | None,
    credential: str | None,
) -> None:
    """Add a target with its pinned host key.

    A host key is never trusted silently: without --host-key or --accept the target's key is shown, nothing is added,
    and the exit status is 1.
    """
    stored = check_credential(credential)
    from bastion.control import wire

    reach.here(settings)  # a wrong configuration is said before a target is asked
    keys = [line for path in host_key_files for line in read_key_lines(path)]
    if not keys or accept:
        keys.append(reach.run(_fetch(address, accept)))
    wish: dict[str, Any] = {
        "name": name,
        "address": address,
        "logins": [login.strip() for login in logins.split(",") if login.strip()],
        "env": env,
        "host_keys": keys,
        "credential": stored,
    }
    info = reach.administer(settings, wire.AddTarget, wire.TargetInfo, **wish)
    show(settings, info, "added")


@command.command("list")
@remote_verb
def list_(settings: Settings) -> None:
    """List targets."""

    async def work() -> list[TargetInfo]:
        async with reach.source(settings) as source:
            return await source.targets()

    rows = reach.run(work())
    if settings.json:
        output.as_json([output.structure(row) for row in rows])
        return
    output.table(
        ("NAME", "ADDRESS", "LOGINS", "ENV", "HOST KEY"),
        [(row.name, row.address, ",".join(row.logins), row.env, " ".join(row.fingerprints)) for row in rows],
    )


@command.command("check")
@click.argument("name")
@local_verb
def check(settings: Settings, name: str) -> int:
    """Reach a target, compare its host key, log in. Exit status 1 if anything fails.

    Runs no command there, but for a target with `--credential ca`: a certificate that prints one sentence.
    """
    config = reach.here(settings).config

    async def work() -> list[CheckInfo]:
        from bastion.control import wire

        try:
            client = await reach.local_client(config)
        except Unreachable:
            from bastion.admin import load_directory, reading

            with reading(config) as reader:
                target = load_directory(reader).targets.get(name)
            if target is None:
                raise NotFound(f"no target {name!r}", "`bastion target list` names them") from None
            from bastion.ssh.minting import minting_of
            from bastion.ssh.probing import probe

            minting = minting_of(config)
            try:
                return await probe(target, config, minting)
            finally:
                await minting.close()
        async with client:
            return await client.call(wire.CheckTarget, list[wire.CheckInfo], name=name)

    rows = reach.run(work())
    if settings.json:
        output.as_json([output.structure(row) for row in rows])
    else:
        for row in rows:
            output.say(f"{'ok' if row.ok else 'FAILED':6}  {output.shown(row.name)}: {output.shown(row.detail)}")
    return 0 if rows and all(row.ok for row in rows) else 1


@command.command("remove")
@click.argument("name")
@local_verb
def remove(settings: Settings, name: str) -> None:
    """Remove a target: its sessions are cut, the whitelist entries for it go."""
    from bastion.control import wire

    info = reach.administer(
        settings,
        wire.RemoveTarget,
        wire.TargetInfo,
        name=name,
    )
    show(settings, info, "removed")


def show(settings: Settings, info: TargetInfo, what: str) -> None:
    """What was done."""
    if settings.json:
        output.as_json(output.structure(info))
    else:
        words = f"{info.name}: {','.join(info.logins)} at {info.address} ({info.env}), host key"
        output.say(f"{what} {output.shown(words)} {' '.join(info.fingerprints)}")


def check_credential(given: str | None) -> str:
    """`ca`, `credential:NAME`, or `key:/absolute/FILE` of a private key that only its owner can read. Raises
    UsageError."""
    from bastion.names import CREDENTIAL, HANDED

    how = "make one with `ssh-keygen -t ed25519 -N '' -f FILE` and let FILE.pub in on the target"
    if not given:
        raise UsageError("no credential: --credential ca, or key:FILE, the bastion's own key for the target", how)
    if given == "ca":
        return given
    scheme, _, name = given.partition(":")
    if scheme == HANDED and CREDENTIAL.fullmatch(name):
        return given  # only the service can look at it
    if scheme != "key" or not name:
        raise UsageError(f"--credential is ca, key:FILE or credential:NAME, not {given!r}", how)
    path = Path(os.path.abspath(Path(name).expanduser()))
    try:
        status = path.stat()
    except OSError as error:
        raise UsageError(f"cannot read the credential {path}: {error.strerror}", how) from None
    if not stat.S_ISREG(status.st_mode):
        raise UsageError(f"the credential {path} is no file")
    if status.st_mode & 0o077:
        raise UsageError(f"the credential {path} is readable for others", f"chmod 600 {path}")
    import asyncssh

    try:
        asyncssh.read_private_key(path)
    except OSError as error:
        raise UsageError(f"cannot read the credential {path}: {error.strerror}") from None
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
        raise UsageError(f"the credential {path} is no private key without a passphrase", how) from None
    return f"key:{path}"


async def _fetch(address: str, accept: str | None) -> str:
    """The target's host key, if its fingerprint is `accept`. Raises Unreachable, or Conflict with what it showed."""
    import asyncio

    import asyncssh

    from bastion.names import parse_address
    from bastion.publickey import parse_key

    host, port = parse_address(address)
    try:
        async with asyncio.timeout(FETCH_SECONDS):
            key = await asyncssh.get_server_host_key(host, port, config=None)
    except (OSError, asyncssh.Error) as error:
        why = f"no answer within {FETCH_SECONDS:.0f} s" if isinstance(error, TimeoutError) else in_words(error)
        hint = "is it the address of its SSH server, and does a firewall let the bastion through?"
        raise Unreachable(f"{address} does not show its host key: {why}", hint) from None
    if key is None:
        raise Unreachable(f"{address} shows no host key")
    shown = parse_key(key.export_public_key().decode())
    algorithm = shown.line.partition(" ")[0]
    if accept is None:
        raise Conflict(
            f"{address} shows host key {shown.fingerprint} ({algorithm}), not confirmed by anybody; nothing was added",
            f"compare it with `ssh-keygen -lf` on the target, then --host-key FILE.pub or --accept {shown.fingerprint}",
        )
    if accept != shown.fingerprint:
        raise Conflict(
            f"{address} shows host key {shown.fingerprint} ({algorithm}), not {accept}; nothing was added",
            "somebody may be in between",
        )
    return shown.line
