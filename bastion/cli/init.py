"""`bastion init`."""

from __future__ import annotations

from pathlib import Path

import click

from bastion.cli import output


@click.command("init")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--listen", metavar="HOST:PORT", default="", help="Where agents and approvers connect.")
@click.option("--host", metavar="NAME", default="", help="What the ledger calls this bastion, for ever.")
@click.option("--json", "json", is_flag=True, help="Print JSON (docs/json.md).")
def command(directory: Path, listen: str, host: str, json: bool) -> None:
    """Make bastion.toml, policy.bastion and state/ (host key, ledger key, empty ledger) in DIR.

    Nothing is overwritten: where there is a bastion.toml, nothing is changed and the exit status is 1. What a crash
    left behind is finished by running it again.
    """
    from bastion.init import init

    made = init(directory, listen=listen, host=host)
    config = made.config
    if json:
        output.as_json(
            {
                "config": str(config.path),
                "policy": str(config.policy),
                "state": str(config.state),
                "listen": config.listen,
                "host": config.host_name,
                "fingerprint": made.fingerprint,
                "host_key": made.host_key_line,
                "kept": made.kept,
            }
        )
        return
    output.say(f"made {output.shown(str(config.path))}")
    output.say(f"made {output.shown(str(config.policy))}")
    output.say(f"{'kept' if made.kept else 'made'} {output.shown(str(config.state))}")
    output.say(f"host key {made.fingerprint} (ssh-ed25519)")
    output.say(f"  clients pin it: {made.host_key_line}")
    where = f"--config {output.shown(_quoted(config.path))}"
    output.say("next:")
    output.say(f"  bastion {where} identity add YOU --kind human --role approver --key ~/.ssh/id_ed25519.pub")
    output.say(
        f"  bastion {where} target add NAME --address HOST:22 --login USER --env production --credential key:FILE"
    )
    output.say(f"  bastion {where} serve")


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(str(path))
