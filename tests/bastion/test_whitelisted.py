"""What is remembered is found by its command, by what its pattern begins with, or as a module; and no more once it is
forgotten."""

from __future__ import annotations

from bastion.whitelisted import PLAY, Whitelist, WhitelistEntry


def entry(name: str, command: bytes, pattern: str = "") -> WhitelistEntry:
    return WhitelistEntry(name, command, "agent-1", "web-1", "root", "ana", 0, pattern)


EXACT = entry("w-1", b"id \xff")
PATTERN = entry("w-2", b"tail -n 5 /a/b", "tail -n {number} /a/b")
ALIKE = entry("w-3", b"tail -n 5 /c", "tail -n {number} /c")
MODULE = entry("w-4", b"python3 x.py", PLAY + "ansible.builtin.service")


def found(kept: Whitelist, command: bytes, identity: str = "agent-1", login: str = "root") -> list[str]:
    return [each.id for each in kept.about(identity, login, command)]


def test_it_is_found_by_what_it_is_filed_under() -> None:
    kept = Whitelist()
    for each in (EXACT, PATTERN, ALIKE, MODULE):
        kept.add(each)
    assert found(kept, b"id \xff") == ["w-1"]
    assert found(kept, b"tail -n 7 /a/b") == ["w-2", "w-3"]  # which of them fits is not asked here
    assert found(kept, b"tail -n") == []
    assert found(kept, b"python3 x.py") == []
    assert list(kept.plays("agent-1", "root")) == [MODULE]
    assert found(kept, b"id \xff", identity="agent-2") == found(kept, b"id \xff", login="admin") == []
    assert list(kept.plays("agent-1", "admin")) == []


def test_what_is_forgotten_leaves_nothing_to_look_for() -> None:
    kept = Whitelist()
    for each in (EXACT, PATTERN, ALIKE, MODULE):
        kept.add(each)
    kept.forget("w-2")
    assert found(kept, b"tail -n 7 /c") == ["w-3"]
    for name in ("w-1", "w-3", "w-4"):
        kept.forget(name)
    assert kept.entries == {}
    assert list(kept.plays("agent-1", "root")) == []
    assert found(kept, b"tail -n 7 /c") == found(kept, b"id \xff") == []
    assert not kept._beginnings, "each length there is costs every request a look"


def test_an_entry_from_before_there_were_patterns() -> None:
    body = {"id": "w-1", "command": "aWQ=", "identity": "a", "target": "t", "login": "l", "by": "ana", "expires": "7"}
    made = WhitelistEntry.of(body)
    assert (made.command, made.expires, made.pattern, made.env, made.code) == (b"id", 7, "", "", "")
