"""`bastion preferences`: how somebody wants the console that `ssh -t bastion@HOST` opens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bastion.cli import clientfile, output, reach
from bastion.cli.options import Settings, remote_verb
from bastion.errors import UsageError

if TYPE_CHECKING:
    from bastion.control.wire import PreferencesInfo


@click.group("preferences")
def command() -> None:
    """Your console over ssh: theme, keys, what approves high risk. The bastion keeps them, signed by you."""


@command.command("show")
@remote_verb
def show(settings: Settings) -> None:
    """Show what the bastion keeps for you."""

    async def work() -> PreferencesInfo:
        from bastion.control import wire

        async with reach.deciding(settings) as client:
            return await client.call(wire.ShowPreferences, wire.PreferencesInfo, identity=client.welcome.identity)

    _print(settings, reach.run(work()))


@command.command("set")
@click.argument("values", metavar="[NAME=VALUE]...", nargs=-1)
@click.option("--file", "path", type=click.Path(dir_okay=False, path_type=Path), help="Lines `NAME = VALUE`.")
@remote_verb
def set_(settings: Settings, values: tuple[str, ...], path: Path | None) -> None:
    """Keep these in place of what is kept: theme, confirm, and ids of keys (docs/console.md).

    Without values those of your client.toml, which `bastion tui` uses here. Signed with your key.
    """
    from bastion.control.preferences import Preferences, PreferencesError, parse

    if values and path is not None:
        raise UsageError("either NAME=VALUE or --file")
    try:
        if path is not None:
            wanted = parse(path.read_text("utf-8"))
        elif values:
            wanted = parse("\n".join(values))
        else:
            theme, keymap, confirm = clientfile.console_look()
            wanted = parse(Preferences(theme, confirm, tuple(sorted(keymap.items()))).text())
    except (PreferencesError, UnicodeDecodeError, OSError) as error:
        raise UsageError(str(error)) from None
    from tui.choices import check_look

    check_look(wanted)
    _keep(settings, wanted.text())


@command.command("clear")
@remote_verb
def clear(settings: Settings) -> None:
    """Keep nothing: the console over ssh is as it comes."""
    _keep(settings, "")


def _keep(settings: Settings, text: str) -> None:
    async def work() -> PreferencesInfo:
        async with reach.deciding(settings) as client:
            return await client.prefer(text)

    _print(settings, reach.run(work()))


def _print(settings: Settings, info: PreferencesInfo) -> None:
    if settings.json:
        output.as_json(output.structure(info))
    for line in info.text.splitlines() if not settings.json else ():
        output.say(output.shown(line))
    if not info.text and not settings.json:
        output.say("nothing is kept: the console over ssh is as it comes")
