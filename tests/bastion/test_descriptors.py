"""How many connections fit into what the host lets a process open. In processes of their own: a limit is for good."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bastion.descriptors import EACH, RESERVED
from tests.support.house import ROOT

ASK = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
from bastion.descriptors import room_for
from bastion.errors import UsageError
try:
    print(room_for(int(sys.argv[3])), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
except UsageError as error:
    print(error.message)
"""


def room(soft: int, hard: int, connections: int) -> str:
    words = [str(each) for each in (soft, hard, connections)]
    ran = subprocess.run([sys.executable, "-c", ASK, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return ran.stdout.strip()


@pytest.mark.parametrize(
    ("soft", "hard", "connections", "found"),
    [
        (200, 4096, 200, "200 4096"),  # the soft limit is raised
        (RESERVED + 200 * EACH, RESERVED + 200 * EACH, 200, f"200 {RESERVED + 200 * EACH}"),
        (RESERVED + 200 * EACH - 1, RESERVED + 200 * EACH - 1, 200, f"199 {RESERVED + 200 * EACH - 1}"),
        (RESERVED + 2 * EACH, RESERVED + 2 * EACH, 200, f"2 {RESERVED + 2 * EACH}"),
    ],
)
def test_as_many_as_leave_room_for_the_rest(soft: int, hard: int, connections: int, found: str) -> None:
    assert room(soft, hard, connections) == found


def test_too_few_for_anything_are_refused() -> None:
    least = RESERVED + 2 * EACH
    assert (
        room(least - 1, least - 1, 200)
        == f"{least - 1} files may be open at once, and a bastion needs at least {least}"
    )
