"""The table: each vector against each adapter. `./dev bypass` or `python -m tests.bypass [ADAPTER…] [--only ID…]`.

Exit status 0 when this bastion let nothing past and the control, plain ssh, fell for what it has to fall for.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys

from tests.bypass.adapters.all import ADAPTERS, ALWAYS
from tests.bypass.run import Outcome, Result, run
from tests.bypass.vector import Vector
from tests.bypass.vectors.all import VECTORS


async def table(names: list[str], vectors: list[Vector]) -> int:
    """Runs all, prints a row a vector and a line of counts an adapter; returns how many adapters disappointed."""
    results: dict[str, dict[str, Result]] = {}
    width = max(len(vector.id) + len(vector.category) for vector in vectors) + 3
    for name in names:
        made = ADAPTERS[name]()
        if made is None:
            print(f"{name}: cannot run here", file=sys.stderr)
            continue
        results[name] = {}
        async with made:
            for vector in vectors:
                results[name][vector.id] = await run(made, vector)
                print(f"\r{name}: {vector.id:8}", end="", file=sys.stderr, flush=True)
        print(file=sys.stderr)
    print(f"{'':{width}}" + "".join(f"{name:>16}" for name in results))
    for vector in vectors:
        row = [rows[vector.id] for rows in results.values()]
        print(f"{vector.id} {vector.category:{width - len(vector.id) - 1}}" + "".join(f"{r.outcome:>16}" for r in row))
    failed = 0
    for name, rows in results.items():
        counts = {each: sum(result.outcome is each for result in rows.values()) for each in Outcome}
        print(f"{name}: " + ", ".join(f"{count} {each}" for each, count in counts.items() if count))
        if name == "ours":
            for key, result in rows.items():
                if not result.good:
                    print(f"\n{key}: {result.outcome}: {result.why}")
            failed += any(not result.good for result in rows.values())
        if name == "naive":
            missed = [v.id for v in vectors if v.bites and rows[v.id].outcome in (Outcome.HELD, Outcome.REFUSED)]
            if missed:
                print(f"naive: these vectors show nothing, they harm nobody: {', '.join(missed)}")
            failed += bool(missed)
    return failed


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="./dev bypass", description="What gets past a bastion.")
    parser.add_argument(
        "adapters", nargs="*", default=[], help=f"of {', '.join(ADAPTERS)}; without a name {' and '.join(ALWAYS)}"
    )
    parser.add_argument("--only", nargs="+", default=[], help="ids of vectors, or beginnings of them")
    chosen = parser.parse_args()
    if unknown := set(chosen.adapters) - set(ADAPTERS):
        parser.error(f"no adapter {', '.join(sorted(unknown))}")
    vectors = [v for v in VECTORS if not chosen.only or v.id.startswith(tuple(chosen.only))]
    if not vectors:
        parser.error("no vector of that name")
    with contextlib.suppress(KeyboardInterrupt):
        return min(1, asyncio.run(table(chosen.adapters or list(ALWAYS), vectors)))
    return 130


if __name__ == "__main__":
    sys.exit(main())
