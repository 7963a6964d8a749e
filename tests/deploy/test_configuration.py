"""deploy/bastion.toml: what the daemon itself makes of it, and that it shows every key."""

from __future__ import annotations

import tomllib
from pathlib import Path

from bastion.config import KEYS, load

EXAMPLE = Path(__file__).resolve().parents[2] / "deploy/bastion.toml"


def test_loads_and_means_what_it_says() -> None:
    config = load(EXAMPLE)
    assert (config.host, config.port) == ("0.0.0.0", 2222)  # noqa: S104 -- an example for a server
    assert config.state == Path("/var/lib/bastion/state")
    assert config.policy == EXAMPLE.with_name("policy.bastion")
    assert (config.timeout_seconds, config.ticket_seconds, config.approvals) == (120, 600, 1)
    assert (config.failed_logins_per_minute, config.held_requests) == (30, 200)


def test_shows_every_key() -> None:
    shown = {section: set(content) for section, content in tomllib.loads(EXAMPLE.read_text()).items()}
    assert shown == {section: set(keys) for section, keys in KEYS.items() if section}
