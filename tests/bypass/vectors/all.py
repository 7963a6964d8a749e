"""All vectors, and those of the corpus that stand elsewhere."""

from __future__ import annotations

from tests.bypass.vectors import commands, driver, keys, nested, protocol, state, stdin, transfers, typed

VECTORS = (
    *typed.VECTORS,
    *keys.VECTORS,
    *driver.VECTORS,
    *stdin.VECTORS,
    *nested.VECTORS,
    *commands.VECTORS,
    *protocol.VECTORS,
    *state.VECTORS,
    *transfers.VECTORS,
)

ELSEWHERE = {
    **dict.fromkeys(
        ("D-01", "D-03", "D-04", "D-05", "D-06", "D-07", "D-09", "D-11"),
        "test_certificate.py: what a certificate is worth to who stole it",
    ),
    "DR-28": "the driver's own tests: who else can make its directory",
    "SI-16": "needs a vault of passwords, which this release does not have; sudo asks, and what is typed is masked",
}
"""Vectors that are no step of an agent's."""
