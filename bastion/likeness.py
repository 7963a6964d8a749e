"""How alike two commands are, for finding what was decided before. Pure.

Words are counted, not understood: this picks what a person may want to compare, and decides nothing. The measure is
that of Jaccard on the words with their number, where the first word counts three times: `rm x` and `ls x` are
not alike.
"""

from __future__ import annotations

from collections import Counter

BYTES_COMPARED = 4096
"""Of the beginning of a command; hundreds of them are compared for one request."""

ALIKE = 0.5
"""From here on two commands count as similar: `systemctl restart nginx` and `systemctl restart postgresql` do (0.67),
`systemctl restart nginx` and `systemctl stop api` do not (0.43)."""

FIRST = 3
"""How often the first word counts."""


def words(command: bytes) -> Counter[bytes]:
    """The words of a command's beginning, the first one several times."""
    found = command[:BYTES_COMPARED].split()
    counted = Counter(found)
    if found:
        counted[found[0]] += FIRST - 1
    return counted


def alike(one: Counter[bytes], other: Counter[bytes]) -> float:
    """0 (nothing in common) to 1 (the same words)."""
    either = (one | other).total()
    return (one & other).total() / either if either else 0.0
