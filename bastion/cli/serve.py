"""`bastion serve`."""

from __future__ import annotations

import gc
import logging
import sys

import click

from bastion.cli import output, reach
from bastion.cli.options import Settings, config_option


class _Plain(logging.Formatter):
    """One harmless line a message; a traceback, which is our own, below it."""

    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = output.shown(record.message)
        return super().formatMessage(record)


@click.command("serve")
@config_option
def command(settings: Settings) -> None:
    """Run the daemon until SIGTERM or SIGINT. Messages go to stderr, without a time: systemd and docker add one."""
    gc.disable()  # what is made for the start stays: interpreter.spare_what_stays turns it on again
    from bastion import daemon

    config = reach.here(settings).config
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Plain())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    daemon.run(config)
