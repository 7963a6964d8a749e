"""Administration where no daemon runs: straight on the store.

Theory of operation. The table of control.wishes checks the wish and says which entry would fulfil it; the entry is
appended; only when it is durable is it applied. A crash before that leaves nothing, a crash after it leaves the entry,
which the next start folds in. The daemon performs the same table (control.administering); the store's lock keeps the
two apart.

Whitelist entries are not added here: an approver signs them, and a daemon checks the signature before it counts.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator
from typing import Any

from bastion import ledgerkey
from bastion.config import Config
from bastion.control import wire
from bastion.control.wishes import WISHES, Context
from bastion.directory import ENTRY_TYPES, Body, Directory
from bastion.errors import Conflict, StoreError
from bastion.model import Identity, Target
from recorder.errors import RecorderError, StoreBusy
from recorder.ledger import Draft, Ledger
from recorder.reader import Reader

DURABLE_SECONDS = 30.0
"""For one entry to become durable; a disk that takes longer is failing."""


class Admin:
    """Changes to one store, each an entry of its ledger."""

    def __init__(self, ledger: Ledger, directory: Directory, actor: str, longest_grant: int) -> None:
        self._ledger = ledger
        self.directory = directory
        self._actor = actor
        self._longest_grant = longest_grant

    def perform(self, call: wire.Call) -> Any:
        """What the daemon would answer to this call. Raises UsageError, NotFound, Conflict, StoreError."""
        wish = WISHES[type(call)]
        body = wish.plan(call, self.directory, Context(self._actor, time.time_ns() // 1000, self._longest_grant))
        answer = wish.answer(self.directory, body) if wish.gone else None
        self._write(wish.entry, body)
        self.directory.apply(wish.entry, body)
        return answer if wish.gone else wish.answer(self.directory, body)

    def add_identity(self, name: str, kind: str, roles: Iterable[str], key_line: str) -> Identity:
        """As `bastion identity add`. Raises UsageError, Conflict, StoreError."""
        self.perform(wire.AddIdentity(id=0, name=name, kind=kind, roles=list(roles), key=key_line))
        return self.directory.identities[name]

    def add_target(
        self, name: str, address: str, logins: Iterable[str], env: str, host_keys: Iterable[str], credential: str
    ) -> Target:
        """As `bastion target add`. Raises UsageError, Conflict, StoreError."""
        self.perform(
            wire.AddTarget(
                id=0,
                name=name,
                address=address,
                logins=list(logins),
                env=env,
                host_keys=list(host_keys),
                credential=credential,
            )
        )
        return self.directory.targets[name]

    def _write(self, kind: str, body: Body) -> None:
        self.note(Draft(kind, self._actor, body))

    def note(self, draft: Draft) -> None:
        """Write one entry. Raises StoreError."""
        try:
            self._ledger.append(draft).result(DURABLE_SECONDS)
        except RecorderError as error:
            raise StoreError(f"the ledger cannot be written: {error.message}", error.hint) from None
        except TimeoutError:
            raise StoreError(
                f"the ledger was not written within {DURABLE_SECONDS:.0f} s", "is the disk failing?"
            ) from None


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


def note_view(config: Config, actor: str, body: Body, session: str, request: str) -> None:
    """Write `access.viewed`: somebody looks at something where no daemon runs. Raises Conflict, StoreError."""
    with administering(config, actor) as admin:
        admin.note(Draft("access.viewed", actor, body, session=session, request=request))


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
        yield Admin(ledger, directory, actor, int(config.longest_grant_seconds))
    finally:
        ledger.close()
