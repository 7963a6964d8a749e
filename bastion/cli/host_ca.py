"""`bastion host-ca`."""

from __future__ import annotations

import click

from bastion.cli import output, reach
from bastion.cli.options import Settings, local_verb


@click.command("host-ca")
@click.option(
    "--hosts", metavar="PATTERNS", default="*", show_default=True, help="Trust it only for these: `web-*,db-1`."
)
@local_verb
def command(settings: Settings, hosts: str) -> None:
    """Print the known_hosts line that makes ssh know the bastion, and each target behind it.

    With it, `ssh -J bastion LOGIN@TARGET` works with StrictHostKeyChecking=yes. Runs on the bastion's own host.
    """
    import re

    from bastion import cakeys, host_authority
    from bastion.errors import UsageError

    if not re.fullmatch(r"[A-Za-z0-9._*?!,:\[\]-]{1,1024}", hosts, re.ASCII):
        raise UsageError("--hosts takes patterns as in known_hosts, separated by commas: web-*,db-1")
    config = reach.here(settings).config
    public = cakeys.public_of(config.host_authority)
    line = host_authority.known_hosts_line(public, config.host_name, hosts)
    if settings.json:
        output.as_json({"line": line, "public": public, "host": config.host_name})
        return
    output.say(line)
