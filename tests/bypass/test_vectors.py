"""Every vector on this bastion; and the control: on a target without one, those that should bite do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from bastion.gate.channels import Treatment, look_up
from tests.bypass.adapter import Adapter
from tests.bypass.adapters.naive import Naive
from tests.bypass.adapters.ours import ALWAYS, Ours
from tests.bypass.run import Outcome, Result, run
from tests.bypass.vector import Channel, Vector
from tests.bypass.vectors.all import ELSEWHERE, VECTORS
from tests.support.house import ROOT

pytestmark = pytest.mark.e2e

AT_ONCE = 6
"""Vectors that the control takes at once: they mostly wait."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ours() -> AsyncIterator[Ours]:
    async with Ours() as adapter:
        yield adapter


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("vector", VECTORS, ids=[vector.id for vector in VECTORS])
async def test_ours(ours: Ours, vector: Vector) -> None:
    result = await run(ours, vector)
    assert result.good, f"{result.outcome}: {result.why}"
    expected = {Outcome.HELD} if vector.channel in ours.offers else {Outcome.REFUSED}
    assert result.outcome in expected | ({Outcome.NONE} if not vector.needs <= ours.abilities else set())


async def test_the_control_falls_for_them() -> None:
    """Plain ssh. A vector that harms nobody there would show nothing here."""
    biting = [vector for vector in VECTORS if vector.bites]
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(naive: Adapter, vector: Vector) -> Result:
        async with gate:
            return await run(naive, vector)

    async with Naive() as naive:
        results = await asyncio.gather(*(one(naive, vector) for vector in biting))
    harmless = {v.id: r for v, r in zip(biting, results, strict=True) if r.outcome is Outcome.HELD}
    assert not harmless
    assert len(biting) >= 50


def test_each_vector_has_a_name_of_its_own() -> None:
    names = [vector.id for vector in VECTORS]
    assert len(set(names)) == len(names)
    assert not set(names) & set(ELSEWHERE)


def test_channels_that_are_refused_are_so_in_the_table() -> None:
    """When the table opens one, its vectors have to be run for what they are."""
    rows = {Channel.SHELL: "request shell"}
    for channel, row in rows.items():
        refused = look_up(row).treatment is Treatment.REFUSED
        assert refused is (channel in Ours.refuses), f"{row}: tell tests/bypass/adapters/ours.py"
    assert Ours.offers >= ALWAYS


def test_the_suite_stands_where_its_command_looks() -> None:
    assert "tests.bypass" in (ROOT / "dev").read_text()
