"""What a daemon reads before it serves."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from bastion.config import load
from bastion.errors import StoreError
from bastion.init import init
from bastion.opening import open_ledger, private


@pytest.mark.parametrize(
    ("config", "hidden"),
    [
        ("/etc/bastion/bastion.toml", ["/var/lib/bastion", "/etc/bastion"]),
        ("/etc/bastion.toml", ["/var/lib/bastion"]),
        ("/bastion.toml", ["/var/lib/bastion"]),
    ],
)
def test_what_is_the_bastions_own(tmp_path: Path, config: str, hidden: list[str]) -> None:
    """Names and certificates are in /etc: whoever sends needs those."""
    made = load(init(tmp_path / "b", listen="127.0.0.1:0", host="bastion.example").config.path)
    made = dataclasses.replace(made, path=Path(config), state=Path("/var/lib/bastion"))
    assert private(made) == [Path(each) for each in hidden]


def test_no_store_says_what_to_do(tmp_path: Path) -> None:
    made = load(init(tmp_path / "b", listen="127.0.0.1:0", host="bastion.example").config.path)
    (tmp_path / "b" / "state" / "store").rename(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match=r"holds no store \(`bastion init DIR` makes one; is `state` in bastion.toml"):
        open_ledger(made)
