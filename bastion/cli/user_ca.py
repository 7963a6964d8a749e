"""`bastion user-ca`."""

from __future__ import annotations

import click

from bastion.cli import output, reach
from bastion.cli.options import Settings, local_verb


@click.command("user-ca")
@local_verb
def command(settings: Settings) -> None:
    """Print the public key that targets with `--credential ca` trust: sshd's TrustedUserCAKeys.

    Each command then comes with a certificate of its own that lets sshd run that command and nothing else. Runs on the
    bastion's own host; deploy/target/ has the sshd drop-in.
    """
    from bastion import cakeys

    config = reach.here(settings).config
    public = cakeys.public_of(config.upstream_ca)
    if settings.json:
        output.as_json({"public": public, "host": config.host_name})
        return
    output.say(f"{public} {config.host_name}")
