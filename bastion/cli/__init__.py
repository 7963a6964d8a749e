"""The command `bastion`: nouns, then verbs; one file a noun.

Theory of operation. `run` reads the words, runs one verb and turns whatever happens into an exit status and at most
one line on stderr: 0 ok, 1 the answer is no, 2 usage or broken input, 130 interrupted. What a person or a daemon said
is shown through `policy.visible`, so that no output of this command can move the cursor of who reads it.

A noun's file is imported when the noun is used, and what is heavy (SSH, SQLite, the console) inside the verb that needs
it: `bastion --help` imports click and nothing else of weight.

Which way a verb takes: `--bastion` or client.toml lead over SSH; otherwise the configuration of this host, to its
daemon's socket, or, when no daemon runs and the verb only administers or reads, straight to the store (see reach.py).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from bastion import __version__
from bastion.cli.options import Settings, reach_options
from bastion.errors import BastionError

NOUNS = {
    "demo": "See all of it, on a throwaway target, with four agents.",
    "init": "Make a configuration, keys and an empty ledger in DIR.",
    "serve": "Run the bastion's daemon.",
    "host-ca": "The line by which ssh knows the bastion and its targets.",
    "user-ca": "The key by which targets know the bastion's certificates.",
    "identity": "Who connects: agents and people.",
    "target": "Where agents may go.",
    "grant": "Time-boxed access of an identity to a target.",
    "access": "Who could reach what; what nobody used lately.",
    "blast": "What one identity could damage.",
    "freeze": "Nothing new on a target, in an environment, or anywhere.",
    "unfreeze": "Lift a freeze.",
    "group": "Named sets of approvers, for rules.",
    "request": "What agents ask for, and deciding it.",
    "status": "Who watches, what waits, what is wrong.",
    "retention": "Recordings whose time is over.",
    "stats": "How deciding goes: review times, habits, what asks most.",
    "notify": "Channels that tell people: how they stand, a test.",
    "session": "What agents did: list, watch, search, replay, end.",
    "ledger": "The signed record: list, export, verify.",
    "witness": "Another box that remembers ledgers' heads.",
    "risk": "What a command would do, and how risky that is.",
    "policy": "Rules: show, lint, check, explain, test, replay.",
    "whitelist": "Commands that run without asking again, exact or by pattern.",
    "tui": "The approver's console.",
    "preferences": "Your keys and theme for the console over ssh.",
}
"""Every noun with its line in the help. Each is a file in this package (- as _) with a `command`."""


class _Nouns(click.Group):
    """Loads a noun's file when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(NOUNS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in NOUNS:
            return None
        from importlib import import_module

        from bastion.cli.examples import completed

        command = import_module(f"bastion.cli.{cmd_name.replace('-', '_')}").command
        assert isinstance(command, click.Command)  # noqa: S101 -- each noun's module has one
        return completed(cmd_name, command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Nouns"):
            formatter.write_dl(list(NOUNS.items()))


@click.group(cls=_Nouns, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="bastion %(version)s")
@reach_options
@click.pass_context
def bastion(context: click.Context, /, **given: str | None) -> None:
    """An SSH bastion for AI agents: every command is held for a human, signed, recorded.

    Exit status: 0 ok, 1 the answer is no, 2 usage or broken input.
    """
    context.obj = Settings().over(given)


def main() -> NoReturn:
    """The program."""
    sys.exit(run())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns its exit status."""
    from bastion.cli import output

    output.prepare()
    try:
        result = bastion.main(args=arguments, prog_name="bastion", standalone_mode=False)
        sys.stdout.flush()
    except BastionError as error:
        return output.complain(error)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "bastion"
        return output.complain_usage(error.format_message(), path)
    except (click.Abort, KeyboardInterrupt):
        return 130
    return result if isinstance(result, int) else 0
