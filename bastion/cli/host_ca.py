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

    from bastion import host_authority
    from bastion.errors import UsageError

    if not re.fullmatch(r"[A-Za-z0-9._*?!,:\[\]-]{1,1024}", hosts, re.ASCII):
        raise UsageError("--hosts takes patterns as in known_hosts, separated by commas: web-*,db-1")
    config = reach.here(settings).config
    authority = host_authority.load_or_make(config.host_authority, config.host_name)
    line = host_authority.known_hosts_line(authority.public, config.host_name, hosts)
    if settings.json:
        output.as_json({"line": line, "public": authority.public, "host": config.host_name})
        return
    output.say(line)
