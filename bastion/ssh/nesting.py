"""Lines for a shell in a shell, given to the driver: in the shell that they were approved for, or nowhere.

Theory of operation. The driver leaves an inner shell in the moment in which the outer one says that its line has ended;
the gate hears of it with the next event. A line that is run in between was approved for the shell that is gone: on the
target it would be run by another account, or outside the container. So its depth is compared here, with nothing waited
for between that and the driver's own note of the command, which it drops when its shell ends (`driver.run`).
"""

from __future__ import annotations

from bastion.gate import shell_effects as sd
from bastion.ssh.driver import Driver
from bastion.ssh.driver_channels import DriverError, ShellOver

MODE = "nested"
"""What `command.started` says of a line that is run as a governed shell, where for others it is what may be typed."""

_EXIT = {"bash": b"\\builtin exit", "sh": b"\\exit"}


async def run(driver: Driver | None, effect: sd.RunLine, command: bytes) -> None:
    """Run an approved line. Raises ShellOver where its shell is gone."""
    await _at(driver, effect.depth).run(effect.nonce, command)


async def nest(driver: Driver | None, effect: sd.NestLine, command: bytes) -> None:
    """Start the shell of an approved line. Raises ShellOver where the shell round it is gone."""
    await _at(driver, effect.depth).nest(effect.nonce, effect.how, command)


async def leave(driver: Driver | None, effect: sd.LeaveShell, kind: str) -> None:
    """Have the innermost shell exit: our own words, as ^D. Raises ShellOver where it is gone."""
    word = _EXIT.get(kind, _EXIT["sh"])
    # twice at once: bash, which forgives stopped jobs in the second of two that follow each other, sees ours between
    await _at(driver, effect.depth).run(sd.LEAVING, b"; ".join([word, word]) if effect.again else word)


def _at(driver: Driver | None, depth: int) -> Driver:
    if driver is None or driver.depth > depth:
        raise DriverError("it is for a shell in which another one runs")
    if driver.depth < depth:
        raise ShellOver("the shell that it was for has ended")
    return driver
