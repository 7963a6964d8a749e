"""Draws the corpus where a test looks: `show.py block` prints it as the command line does, `show.py console` opens the
approver's console on it."""

from __future__ import annotations

import sys

from tests.spoofing.corpus import CONSOLE_CASES, SHORT_CASES


def block() -> None:
    """Each case behind its number, as `bastion request show` prints a command."""
    from bastion.cli import output

    output.prepare()
    for number, case in enumerate(SHORT_CASES):
        print(f"case {number}")
        output.block(case.data)
    print("the end", flush=True)


def console() -> None:
    """One held request a case."""
    from tui.app import BastionConsole
    from tui.samples import NOW, Bastion, request

    requests = [
        request(f"r-{number:08x}", command=case.data, created=NOW + number, reason="", rollback="", task="")
        for number, case in enumerate(CONSOLE_CASES)
    ]
    BastionConsole(Bastion(requests, []).connect, "test", wall=lambda: NOW).run()


if __name__ == "__main__":
    {"block": block, "console": console}[sys.argv[1]]()
