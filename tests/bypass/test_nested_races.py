"""Shells in the shell, entered, left and killed by chance while lines are typed, held and approved (chaos.py): whatever
the interleaving, a line runs in the shell that it was approved for, or nowhere."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from bastion.control import wire
from tests.bypass.adapters.ours import SHELLS, Ours
from tests.bypass.chaos import Chaos
from tests.support.client import Client
from tests.support.sshd import Sshd

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(not SHELLS, reason="shells are not open in this release")]

DOCKER = """#!/bin/sh
# docker exec -it|-i NAME COMMAND...: a shell that knows where it is
INSIDE=$INSIDE/$3
export INSIDE
shift 3
exec "$@"
"""


class NestedRaces(Chaos):
    SECONDS, AGENTS, LINES = 10.0, 2, 6

    def __init__(self, ours: Ours) -> None:
        super().__init__(ours)
        self.where: dict[str, set[str]] = {}
        """By the name of a line: the shells for which it was approved, noted before the vote."""

    async def type(self, client: Client, rng: random.Random, name: str) -> None:
        """Goes in and out, and types ahead."""
        mark = f'echo "at$INSIDE" >>{self.ours.work}/{name}'.encode()
        into = rng.choice((b"docker exec -it a sh\r", b"docker exec -it b bash\r"))
        client.send(
            rng.choice(
                (
                    into,
                    into,
                    into + mark + b"\r",
                    mark + b"\r",
                    mark + b"\r",
                    b"exit\r" + mark + b"\r",
                    b"\x04" + mark + b"\r",
                    b"(sleep 0.%d; kill -9 $$) & \r" % rng.randint(0, 9) + mark + b"\r",
                    b"(sleep 0.0%d; kill -9 $$) & " % rng.randint(0, 9) + mark + b"\r",
                    b"sh\r" + mark + b"\r",
                    b"cat\r" + mark + b"\r\x04",
                    b"\x03",
                    b"\x1a",
                )
            )
        )
        await asyncio.sleep(rng.choice((0, 0.05, 0.2, 0.4)))

    async def approver(self, rng: random.Random) -> None:
        """Approves most, denies some."""
        for info in await self.ours.ana.call(wire.ListRequests, list[wire.RequestInfo], state="held"):
            self.note(await self.ours.ana.call(wire.ShowRequest, wire.RequestInfo, request=info.id))
            item = next((each for each in await self.ours.held() if each.id == info.id), None)
            if item is None or rng.random() < 0.1:
                continue
            await (self.ours.deny(item) if rng.random() < 0.1 else self.ours.approve(item))

    def note(self, shown: wire.RequestInfo) -> None:
        text = shown.command.decode()
        if "race-" not in text or shown.kind != "line":
            return
        shells = [word.split()[-2:] for word in dict(shown.context).get("inside", "").split(" > ") if word]
        # a plain `sh` stays where it is
        path = "at" + "".join("/" + words[0] for words in shells if len(words) == 2)
        self.where.setdefault(text.rpartition("/")[2], set()).add(path)


async def test_a_line_runs_where_it_was_approved_for_or_nowhere(tmp_path: Path) -> None:
    ours = Ours()
    bin_, home = ours.work / "bin", ours.work / "home"
    for made in (bin_, home):
        made.mkdir()
    (bin_ / "docker").write_text(DOCKER)
    (bin_ / "docker").chmod(0o755)
    for name in (".bashrc", ".bash_profile"):
        (home / name).write_text(f"PATH={bin_}:$PATH\n")
    ours._sshd = Sshd(tmp_path / "sshd", extra=f"SetEnv HOME={home} HISTFILE=/dev/null")
    async with ours:
        races = NestedRaces(ours)
        await races.run()
        ran = {path.name: set(path.read_text().split()) for path in ours.work.glob("race-*")}
        wrong = {
            name: (places, races.where.get(name))
            for name, places in ran.items()
            if not places <= races.where.get(name, set())
        }
        assert not wrong, f"SEED={races.seed}"
        # it would show nothing if nothing had run inside
        assert any(place != "at" for places in ran.values() for place in places), f"SEED={races.seed}"
