"""A bastion with one target, on real parts."""

from __future__ import annotations

from tests.support import fixtures

ana, house, sshd = fixtures.ana, fixtures.house, fixtures.sshd
