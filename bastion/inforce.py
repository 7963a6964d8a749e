"""The policy in force: loaded at start, loaded again when it changes, never without one.

Theory of operation. At start a broken policy keeps the daemon from starting. Later a broken one changes nothing: the
last good one stays in force, and that is said in the log, in the ledger (`policy.failed`) and to every console, once
for each change of the files. A good one is in force from the moment that its entry (`policy.loaded`, with its hash, its
groups and its text) is queued for the ledger; so every entry before it was judged by the policy before it, every entry
behind it by the new one, and nothing runs by it before the entry is durable, since the ledger is written in order.

Files are looked at every POLL_SECONDS by what stat(2) says of them; SIGHUP looks at once, and loads in any case. What
they say is noted before they are read, so that a change during the reading is another change.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from bastion import audit, policyfile
from bastion.audit import Audit
from bastion.errors import BastionError, ConfigError
from bastion.policy.lint import Finding
from bastion.policy.rules import Policy, built_in

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""Between two looks: some stat(2) calls, a few microseconds each."""

GROUPS_BYTES = 8 << 10
"""Of all groups with their members, in the entry: one has at most 16 KiB."""

Versions = dict[Path, tuple[int, ...] | None]


class InForce:
    """The policy of one daemon. Raises ConfigError when it is made and the policy is broken."""

    def __init__(self, path: Path | None, ledger: Audit, *, approvals: int, timeout: int) -> None:
        self._path, self._audit = path, ledger
        self._approvals, self._timeout = approvals, timeout
        self._asked = asyncio.Event()
        self._seen: Versions = {}
        self.alert: Callable[[str, str], None] = lambda kind, text: None
        """(kind, sentence): tells every console."""
        if path is None:
            self.policy = built_in(approvals, timeout)
            return
        self._seen = self._look(())
        self.policy, findings = self._read(path, self._seen)
        _tell(findings, path)

    async def announce(self) -> None:
        """Write the entry of the first one. Raises StoreError."""
        if self._path is not None:
            await self._audit.write(audit.policy_loaded(self.policy))

    def reload(self) -> None:
        """Load it again, soon: SIGHUP."""
        self._asked.set()

    async def watch(self) -> None:
        """Load it again whenever it changed, until cancelled. Begins when the bastion serves."""
        if self._path is not None:
            log.info("policy %s, %s", self._path, self.policy.digest)
        while self._path is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._asked.wait()
            asked = self._asked.is_set()
            self._asked.clear()
            now = self._look(self.policy.files)
            if not asked and all(self._seen.get(each) == version for each, version in now.items()):
                continue
            self._seen = now
            await self._again(self._path)

    async def _again(self, path: Path) -> None:
        try:
            policy, findings = await asyncio.to_thread(self._read, path, self._seen)
        except ConfigError as error:
            await self._failed(path, str(error))
            return
        except Exception as error:
            log.exception("policy %s", path)
            await self._failed(path, f"{type(error).__name__} while it was read")
            return
        if policy.digest == self.policy.digest:
            return
        _tell(findings, path)
        self.policy = policy  # and at once, without a pause in between:
        written = self._audit.queue(audit.policy_loaded(policy))
        self.alert("policy.loaded", f"a new policy is in force: {policy.name}, {policy.digest[:16]}")
        log.info("policy %s, %s", path, policy.digest)
        with contextlib.suppress(BastionError):  # the ledger has failed, and the daemon stops
            await written

    async def _failed(self, path: Path, why: str) -> None:
        kept = self.policy.digest
        log.error("the changed policy is broken, and %s stays in force: %s", kept[:16], why)
        self.alert("policy.failed", f"the changed policy is broken, the last good one stays in force: {why}")
        with contextlib.suppress(BastionError):
            await self._audit.write(audit.policy_failed(str(path), why, kept))

    def _read(self, path: Path, seen: Versions) -> tuple[Policy, list[Finding]]:
        """Load; and again where it includes files that were not looked at before, for the same reason."""
        loaded = self._load(path)
        for file, version in self._look(loaded[0].files).items():
            if file not in seen:
                seen[file] = version
                loaded = self._load(path)
        return loaded

    def _load(self, path: Path) -> tuple[Policy, list[Finding]]:
        policy, findings = policyfile.load(path, approvals=self._approvals, timeout=self._timeout)
        size = sum(len(name) + sum(len(each) + 3 for each in members) for name, members in policy.groups.items())
        if size > GROUPS_BYTES:
            raise ConfigError(str(path), f"the groups take {size} bytes", hint=f"at most {GROUPS_BYTES} in all")
        return policy, findings

    def _look(self, names: tuple[str, ...]) -> Versions:
        assert self._path is not None  # noqa: S101 -- callers know
        base = self._path.resolve().parent
        return {path: policyfile.version(path) for path in (self._path, *(base / name for name in names[1:]))}


def _tell(findings: list[Finding], path: Path) -> None:
    for finding in findings:
        log.warning("policy %s, line %d: %s", path, finding.place.line, finding.message)
