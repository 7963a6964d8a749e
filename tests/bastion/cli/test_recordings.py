from __future__ import annotations

import pytest

from bastion.cli.recordings import held
from bastion.errors import Conflict


def test_a_page_has_a_limit() -> None:
    assert held(iter(["ab", "c"]), 3) == ["ab", "c"]
    with pytest.raises(Conflict):
        held(iter(["ab", "cd"]), 3)
