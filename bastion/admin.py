"""Administration of identities, targets and whitelist where no daemon runs: straight on the store.

Theory of operation. `Directory.plan_*` checks the wish and says which entry would fulfil it; the entry is appended;
only when it is durable is it applied. A crash before that leaves nothing, a crash after it leaves the entry, which the
next start folds in. The daemon does the same with the same plans (control.calls); the store's lock keeps the two apart.

Whitelist entries are not added here: an approver signs them, and a daemon checks the signature before it counts.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

from bastion import ledgerkey
from bastion.config import Config
from bastion.directory import ENTRY_TYPES, Body, Directory, WhitelistEntry
from bastion.errors import Conflict, StoreError
from bastion.model import Identity, Target
from recorder.errors import RecorderError, StoreBusy
from recorder.ledger import Draft, Ledger
from recorder.reader import Reader

DURABLE_SECONDS = 30.0
"""For one entry to become durable; a disk that takes longer is failing."""


class Admin:
    """Changes to one store, each an entry of its ledger."""

    def __init__(self, ledger: Ledger, directory: Directory, actor: str) -> None:
        self._ledger = ledger
        self.directory = directory
        self._actor = actor

    def add_identity(self, name: str, kind: str, roles: Iterable[str], key_line: str) -> Identity:
        """Raises UsageError, Conflict, StoreError."""
        self._commit("identity.added", lambda: self.directory.plan_identity(name, kind, roles, key_line))
        return self.directory.identities[name]

    def revoke_identity(self, name: str, reason: str) -> Identity:
        """Raises NotFound, Conflict, UsageError, StoreError."""
        self._commit("identity.revoked", lambda: self.directory.plan_revocation(name, reason))
        return self.directory.identities[name]

    def add_target(
        self, name: str, address: str, logins: Iterable[str], env: str, host_keys: Iterable[str], credential: str
    ) -> Target:
        """Raises UsageError, Conflict, StoreError."""
        self._commit(
            "target.added",
            lambda: self.directory.plan_target(name, address, logins, env, host_keys, credential),
        )
        return self.directory.targets[name]

    def remove_target(self, name: str) -> Target:
        """What was removed; the whitelist entries for it go too. Raises NotFound, StoreError."""
        gone = self.directory.targets.get(name)
        self._commit("target.removed", lambda: self.directory.plan_removal(name))
        assert gone is not None  # noqa: S101 - plan_removal has refused otherwise
        return gone

    def remove_whitelist(self, entry_id: str) -> WhitelistEntry:
        """What was removed; the id may be shortened while unique. Raises NotFound, Conflict, StoreError."""
        known = dict(self.directory.whitelist)
        body = self._commit("whitelist.removed", lambda: self.directory.plan_forgetting(entry_id))
        return known[body["id"]]

    def _commit(self, kind: str, plan: Callable[[], Body]) -> Body:
        body = plan()
        try:
            self._ledger.append(Draft(kind, self._actor, body)).result(DURABLE_SECONDS)
        except RecorderError as error:
            raise StoreError(f"the ledger cannot be written: {error.message}", error.hint) from None
        except TimeoutError:
            raise StoreError(
                f"the ledger was not written within {DURABLE_SECONDS:.0f} s", "is the disk failing?"
            ) from None
        self.directory.apply(kind, body)
        return body


def load_directory(reader: Reader) -> Directory:
    """The directory as the ledger tells it. Raises StoreError."""
    directory = Directory()
    try:
        for entry in reader.entries(types=ENTRY_TYPES):
            directory.apply(entry.type, entry.body)
    except RecorderError as error:
        raise StoreError(error.message, error.hint) from None
    return directory


@contextlib.contextmanager
def reading(config: Config) -> Iterator[Reader]:
    """The store, to be read; beside a daemon too. Raises StoreError."""
    try:
        reader = Reader.open(config.store)
    except RecorderError as error:
        raise StoreError(error.message, error.hint or "`bastion init DIR` makes a store") from None
    with reader:
        yield reader


@contextlib.contextmanager
def administering(config: Config, actor: str) -> Iterator[Admin]:
    """The store, to be changed. Raises Conflict when somebody else writes to it, StoreError."""
    try:
        ledger = Ledger.open(config.store, key=ledgerkey.load(config))
    except StoreBusy as error:
        raise Conflict(error.message, "a daemon that does not answer, or another command: try again") from None
    except RecorderError as error:
        raise StoreError(error.message, error.hint) from None
    try:
        with reading(config) as reader:
            directory = load_directory(reader)
        yield Admin(ledger, directory, actor)
    finally:
        ledger.close()
