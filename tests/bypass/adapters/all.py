"""Adapters by name. One that cannot run here is None. What has to be installed first runs only when it is named."""

from __future__ import annotations

from collections.abc import Callable

from tests.bypass.adapter import Adapter
from tests.bypass.adapters import mitm
from tests.bypass.adapters.naive import Naive
from tests.bypass.adapters.ours import Ours

ADAPTERS: dict[str, Callable[[], Adapter | None]] = {"ours": Ours, "naive": Naive, "mitm": mitm.make}
ALWAYS = ("ours", "naive")
