"""The directory: planned wishes hold its rules, and the fold of its entries is the directory itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from bastion.access import WORDS_LIMIT as FIELD_LIMIT
from bastion.directory import WHITELIST_COMMAND_LIMIT, Directory
from bastion.errors import BastionError, Conflict, NotFound, UsageError
from bastion.model import Role
from bastion.whitelisted import WhitelistEntry
from tests.support.keys import ed25519

KEYS = [ed25519(number) for number in range(6)]


@pytest.fixture
def directory() -> Directory:
    made = Directory()
    made.apply("identity.added", made.plan_identity("agent-1", "agent", [], KEYS[0]))
    made.apply("identity.added", made.plan_identity("ana", "human", ["approver"], KEYS[1]))
    made.apply("target.added", made.plan_target("web-1", "h:22", ["root"], "production", [KEYS[2]], "key:/k"))
    return made


@pytest.mark.parametrize("name", ["a", "0", "a" * 64, "a.b_c-d", "web-1"])
def test_names_that_are_good(name: str) -> None:
    Directory().plan_identity(name, "agent", [], KEYS[0])
    Directory().plan_target(name, "h", ["root"], "e", [KEYS[0]], "key:/k")


@pytest.mark.parametrize("name", ["", "a" * 65, "A", "-a", "a-", "a b", "a%b", "a@b", "ä", "a\n", "bastion", "local"])
def test_names_that_are_not(name: str) -> None:
    with pytest.raises(UsageError):
        Directory().plan_identity(name, "agent", [], KEYS[0])
    with pytest.raises(UsageError):
        Directory().plan_target(name, "h", ["root"], "e", [KEYS[0]], "key:/k")


@pytest.mark.parametrize("kind", ["agent", "ci", "service"])
@pytest.mark.parametrize("role", list(Role))
def test_only_a_human_has_a_role(kind: str, role: Role) -> None:
    with pytest.raises(UsageError, match="cannot have a role"):
        Directory().plan_identity("x", kind, [role], KEYS[0])
    Directory().plan_identity("x", kind, [], KEYS[0])
    Directory().plan_identity("x", "human", [role], KEYS[0])


def test_a_key_belongs_to_one_identity_for_ever(directory: Directory) -> None:
    with pytest.raises(Conflict, match="belongs to agent-1"):
        directory.plan_identity("other", "human", ["approver"], KEYS[0])
    directory.apply("identity.revoked", directory.plan_revocation("agent-1", "lost"))
    with pytest.raises(Conflict, match="belongs to agent-1"):
        directory.plan_identity("other", "agent", [], KEYS[0])
    with pytest.raises(Conflict, match="was revoked"):
        directory.plan_identity("agent-1", "agent", [], KEYS[3])
    with pytest.raises(Conflict, match="already"):
        directory.plan_revocation("agent-1", "again")


@pytest.mark.parametrize("words", ["", "  ", "x" * (FIELD_LIMIT + 1), "a\nb", "a\x1bb", "\u202e"])
def test_words_that_are_no_reason(directory: Directory, words: str) -> None:
    with pytest.raises(UsageError):
        directory.plan_revocation("agent-1", words)
    with pytest.raises(UsageError):
        directory.plan_target("web-2", "h", ["root"], words, [KEYS[2]], "key:/k")
    directory.plan_revocation("agent-1", "x" * FIELD_LIMIT)


@pytest.mark.parametrize(
    "change",
    [
        {"logins": []},
        {"logins": ["a b"]},
        {"logins": ["-x"]},
        {"logins": ["x" * 33]},
        {"host_keys": []},
        {"host_keys": ["garbage"]},
        {"credential": "CA"},
        {"credential": "key:relative"},
        {"credential": "/no/scheme"},
        {"credential": ""},
        {"address": "h:0"},
    ],
)
def test_targets_that_are_refused(change: dict[str, Any]) -> None:
    good = {"address": "h", "logins": ["x" * 32], "env": "e", "host_keys": [KEYS[0]], "credential": "key:/k"}
    Directory().plan_target("t", **good)  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        Directory().plan_target("t", **{**good, **change})


def remembered(command: bytes, **changes: Any) -> WhitelistEntry:
    fields = {"id": "w-1", "identity": "agent-1", "target": "web-1", "login": "root", "by": "ana", "expires": 0}
    return WhitelistEntry(command=command, **{**fields, **changes})


def test_whitelist_entries_that_are_refused(directory: Directory) -> None:
    directory.plan_whitelist(remembered(b"x" * WHITELIST_COMMAND_LIMIT), "s")
    with pytest.raises(UsageError, match="at most"):
        directory.plan_whitelist(remembered(b"x" * (WHITELIST_COMMAND_LIMIT + 1)), "s")
    for command, identity, target, login in (
        (b" \n", "agent-1", "web-1", "root"),
        (b"id", "ana", "web-1", "root"),
        (b"id", "nobody", "web-1", "root"),
        (b"id", "agent-1", "web-9", "root"),
        (b"id", "agent-1", "web-1", "admin"),
    ):
        with pytest.raises((UsageError, NotFound)):
            directory.plan_whitelist(remembered(command, identity=identity, target=target, login=login), "s")
    directory.apply("identity.revoked", directory.plan_revocation("agent-1", "lost"))
    with pytest.raises(NotFound):
        directory.plan_whitelist(remembered(b"id"), "s")


def test_a_whitelist_entry_is_for_a_target_or_an_environment(directory: Directory) -> None:
    directory.plan_whitelist(remembered(b"id", target="", env="prod"), "s")
    for changes in ({"target": "web-1", "env": "prod"}, {"target": "", "env": ""}, {"target": "", "login": "-x"}):
        with pytest.raises(UsageError):
            directory.plan_whitelist(remembered(b"id", **changes), "s")


def test_what_is_remembered_is_found_by_its_program(directory: Directory) -> None:
    exact = remembered(b"id \xff")
    pattern = remembered(b"tail -n 5 /a/b", id="w-2", pattern="tail -n {number} /a/b")
    for each in (exact, pattern):
        directory.apply("whitelist.added", directory.plan_whitelist(each, each.id))
    assert list(directory.remembered("agent-1", "root", b"id \xff")) == [exact]
    assert list(directory.remembered("agent-1", "root", b"tail -n 7 /a/b")) == [pattern]
    assert list(directory.remembered("agent-1", "root", b"tail -n 5 /a/b")) == [pattern]
    for identity, login, command in (
        ("agent-2", "root", b"id \xff"),
        ("agent-1", "admin", b"id \xff"),
        ("agent-1", "root", b"id \xff "),
        ("agent-1", "root", b"id"),
        ("agent-1", "root", b"head -n 5 /a/b"),
        ("agent-1", "root", b""),
    ):
        assert list(directory.remembered(identity, login, command)) == []
    directory.apply("target.removed", directory.plan_removal("web-1"))
    assert directory.whitelist == {}
    assert list(directory.remembered("agent-1", "root", b"id \xff")) == []


def test_entries_of_other_types_change_nothing(directory: Directory) -> None:
    before = repr(directory)
    directory.apply("request.proposed", {"name": "x"})
    directory.apply("", {})
    assert repr(directory) == before


# --- any history -------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "c", "bastion", "A"])


COMMANDS = st.sampled_from([b"id", b"id ", b"\xff", b""])


class History(RuleBasedStateMachine):
    """Wishes in any order: what is granted keeps the rules, and the entries alone give the same directory."""

    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.directory = Directory()
        self.entries: list[tuple[str, dict[str, Any]]] = []
        self.number = 0
        self.used: set[str] = set()

    def wish(self, kind: str, plan: Any, **extra: str) -> bool:
        before = repr(self.directory)
        try:
            body = plan()
        except BastionError:
            assert repr(self.directory) == before  # a refused wish changes nothing
            return False
        assert repr(self.directory) == before  # and neither does a plan
        body = {**body, **extra}
        self.directory.apply(kind, body)
        self.entries.append((kind, body))
        return True

    @rule(
        name=NAMES,
        kind=st.sampled_from(["agent", "human", "ci", "robot"]),
        roles=st.lists(st.sampled_from(["approver", "auditor", "admin", "king"]), max_size=2),
        key=st.sampled_from(KEYS),
    )
    def add_identity(self, name: str, kind: str, roles: list[str], key: str) -> None:
        self.wish("identity.added", lambda: self.directory.plan_identity(name, kind, roles, key))

    @rule(name=NAMES)
    def revoke(self, name: str) -> None:
        if self.wish("identity.revoked", lambda: self.directory.plan_revocation(name, "why")):
            assert self.directory.identities[name].revoked

    @rule(name=NAMES, logins=st.lists(st.sampled_from(["root", "deploy", "-x"]), max_size=2))
    def add_target(self, name: str, logins: list[str]) -> None:
        self.wish(
            "target.added",
            lambda: self.directory.plan_target(name, "h", logins, "e", [KEYS[0]], "key:/k"),
        )

    @rule(name=NAMES)
    def remove_target(self, name: str) -> None:
        self.wish("target.removed", lambda: self.directory.plan_removal(name))

    @rule(
        target=ids,
        command=COMMANDS,
        identity=NAMES,
        place=NAMES,
        login=st.sampled_from(["root", "deploy"]),
        statement=st.text("01234567", min_size=2, max_size=2),
    )
    def whitelist(self, command: bytes, identity: str, place: str, login: str, statement: str) -> str:
        self.number += 1
        entry_id = f"w-{self.number:08x}"
        entry = remembered(command, id=entry_id, identity=identity, target=place, login=login)
        plan = lambda: self.directory.plan_whitelist(entry, statement)  # noqa: E731
        if self.wish("whitelist.added", plan):
            assert statement not in self.used  # a signature counts once, also after its entry was taken off
            self.used.add(statement)
        return entry_id

    @rule(entry_id=ids)
    def forget(self, entry_id: str) -> None:
        self.wish("whitelist.removed", lambda: self.directory.plan_forgetting(entry_id))

    @invariant()
    def the_entries_are_the_directory(self) -> None:
        folded = Directory()
        for kind, body in self.entries:
            folded.apply(kind, body)
        assert folded == self.directory

    @invariant()
    def the_rules_hold(self) -> None:
        owners: dict[str, str] = {}
        for name, identity in self.directory.identities.items():
            assert identity.name == name != "bastion"
            assert not identity.decides or identity.kind == "human"
            for key in identity.keys:
                assert owners.setdefault(key.fingerprint, name) == name
                assert self.directory.identity_of(key.fingerprint) is identity
        for target in self.directory.targets.values():
            assert target.host_keys
            assert target.logins
        for entry in self.directory.whitelist.values():
            place = self.directory.targets[entry.target]
            assert entry.command.strip()
            assert place is not None
            assert not self.directory.identities[entry.identity].decides
            assert entry in self.directory.remembered(entry.identity, entry.login, entry.command)


History.TestCase.settings = settings(max_examples=60, stateful_step_count=30)


TestHistory = History.TestCase
