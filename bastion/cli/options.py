"""Options that many verbs share, and what was said by all of them together.

The options that say which bastion is meant may stand before the noun or behind the verb; behind the verb they win.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Settings:
    """Which bastion, as whom, and how to print."""

    config: str | None = None
    """`--config`; BASTION_CONFIG is for config.find."""
    bastion: str | None = None
    """`--bastion HOST:PORT`."""
    key: str | None = None
    host_key: str | None = None
    json: bool = False
    plain: bool = False
    """One fact a line, for screen readers and grep."""

    def over(self, given: Mapping[str, object]) -> Settings:
        """These settings with what was given in their place."""
        names = {field.name for field in fields(self)}
        changes: dict[str, Any] = {name: value for name, value in given.items() if name in names and value}
        return replace(self, **changes)


_REACH = (
    click.option("--config", metavar="FILE", help="bastion.toml of this host's bastion."),
    click.option("--bastion", metavar="HOST:PORT", help="A bastion elsewhere, over SSH."),
    click.option("--key", metavar="FILE", help="Your private key, or SHA256:... of one in the ssh-agent."),
    click.option("--host-key", metavar="KEY", help="The bastion's host key: 'ssh-ed25519 AAAA...' or a .pub file."),
)
_JSON = click.option("--json", "json", is_flag=True, help="Print JSON (docs/json.md).")
_PLAIN = click.option("--plain", is_flag=True, help="One fact a line: no columns, nothing redrawn.")


REVEAL = click.option(
    "--reveal", is_flag=True, help="With the secrets that are covered otherwise; the ledger notes it."
)
"""For verbs that show what agents and targets sent."""


def reach_options(function: F) -> F:
    """`--config`, `--bastion`, `--key`, `--host-key`, as they are."""
    for option in reversed(_REACH):
        function = option(function)
    return function


def remote_verb(function: Callable[..., Any]) -> Callable[..., Any]:
    """A verb that works over SSH too, and prints: its first argument is the Settings."""
    return reach_options(_JSON(_PLAIN(_settings(function))))


def config_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """A verb of this host only that prints nothing: its first argument is the Settings."""
    return _REACH[0](_settings(function))


def json_verb(function: Callable[..., Any]) -> Callable[..., Any]:
    """A verb that prints and needs no bastion: its first argument is the Settings."""
    return _JSON(_PLAIN(_settings(function)))


def reach_verb(function: Callable[..., Any]) -> Callable[..., Any]:
    """A verb that works over SSH too and has no output of its own: its first argument is the Settings."""
    return reach_options(_settings(function))


def local_verb(function: Callable[..., Any]) -> Callable[..., Any]:
    """A verb of this host only, that prints: its first argument is the Settings."""
    return _REACH[0](_JSON(_PLAIN(_settings(function))))


def _settings(function: Callable[..., Any]) -> Callable[..., Any]:
    """Folds the shared options into one Settings, and leaves the verb its own."""
    shared = {field.name for field in fields(Settings)}

    @click.pass_obj
    @functools.wraps(function)
    def wrapped(settings: Settings, /, **given: Any) -> Any:
        mine = {name: given.pop(name) for name in list(given) if name in shared}
        from bastion.cli import output

        merged = settings.over(mine)
        output.PLAIN.set(merged.plain)
        return function(merged, **given)

    return wrapped
