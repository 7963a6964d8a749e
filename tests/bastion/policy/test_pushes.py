"""Lists of ref updates as git sends them, and as nobody should."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.model import Reversible, Tier
from bastion.policy import pushes
from bastion.policy.pushes import LIST_LIMIT, REF_LIMIT, UPDATES_LIMIT, ListReader, NoPush, Push, Update, Way

OLD, NEW, ZERO = "1" * 40, "2" * 40, "0" * 40
CAPABILITIES = "\0 report-status-v2 side-band-64k object-format=sha1 agent=git/2.39.5"


def packet(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return b"%04x" % (len(data) + 4) + data


def listed(*lines: str | bytes, flush: bytes = b"0000") -> bytes:
    return b"".join(packet(line) for line in lines) + flush


def read(data: bytes, size: int = 1 << 30) -> tuple[Push, bytes]:
    reader = ListReader()
    for at in range(0, len(data), size):
        found = reader.feed(data[at : at + size])
        if found is not None:
            return found, reader.rest + data[at + size :]
    raise AssertionError("the list is not whole")


def main(old: str = OLD, new: str = NEW, ref: str = "refs/heads/main", more: str = CAPABILITIES) -> str:
    return f"{old} {new} {ref}{more}"


@pytest.mark.parametrize("size", [1, 3, 7, 1 << 20])
def test_made_moved_deleted(size: int) -> None:
    sent = listed(main(), f"{ZERO} {NEW} refs/heads/new\n", f"{OLD} {ZERO} refs/tags/v1")
    push, rest = read(sent + b"PACK and so on", size)
    assert push.raw == sent
    assert rest == b"PACK and so on"
    assert [(each.ref, each.way) for each in push.updates] == [
        ("refs/heads/main", Way.UNKNOWN), ("refs/heads/new", Way.CREATED), ("refs/tags/v1", Way.DELETED),
    ]  # fmt: skip
    assert push.text() == (
        f"update refs/heads/main {OLD} {NEW}\ncreate refs/heads/new {NEW}\ndelete refs/tags/v1 {OLD}".encode()
    )


def test_nothing_to_push() -> None:
    assert read(b"0000") == (Push(b"0000", ()), b"")


def test_options_and_a_history_that_is_cut_off() -> None:
    sent = listed(f"shallow {OLD}", main(more="\0push-options")) + listed("ci.skip", "x=y")
    push, rest = read(sent + b"PACK")
    assert (push.raw, push.options, push.shallow, rest) == (sent, ("ci.skip", "x=y"), (OLD,), b"PACK")
    assert push.text().splitlines()[1:] == [f"shallow {OLD}".encode(), b"option ci.skip", b"option x=y"]


@pytest.mark.parametrize("word", ["push-options", "push-options=1", "x push-options y"])
def test_options_are_waited_for_wherever_git_would(word: str) -> None:
    assert ListReader().feed(listed(main(more=f"\0{word}"))) is None


@pytest.mark.parametrize(
    "sent",
    [
        b"PACK", b"zzzz", b"0001", b"0002", b"0003", b"0004", b"+004", b" 0a1", b"fff1" + b"x" * 9, b"0x10",
        listed(main(ref="HEAD")), listed(main(ref="refs/heads/a b")), listed(main(ref="refs/heads/../x")),
        listed(main(ref="refs/heads/x.lock")), listed(main(ref="refs/heads/")), listed(main(ref="refs/heads//x")),
        listed(main(ref="refs/heads/.x")), listed(main(ref="refs/heads/x@{1}")), listed(main(ref="refs/heads/a\x07")),
        listed(main(ref="refs/heads/a\nb")), listed(main(ref="refs/heads/\u202ex")), listed(main(ref="refs/a\\b")),
        listed(main(ref="refs/heads/*")), listed(main(new="2" * 39)), listed(main(new="2" * 64)),
        listed(main(new="G" * 40)), listed(main(old=ZERO, new=ZERO)), listed(main(), main(ref="refs/heads/x")),
        listed(f"{OLD}  {NEW} refs/heads/x"), listed(main(ref="refs/heads/x\n")), listed(main(more="\0a\0b")),
        listed(main(more="\0\x1b[2J")), listed("push-cert\0x"), listed("push-cert\n"), listed(f"{OLD} {NEW}"),
        listed(main(), f"shallow {OLD}"), listed("shallow x"), listed(main(), main(more="")), listed(b"\xff" * 90),
        listed(""), listed(main(more="\0push-options")) + listed("a\nb"),
    ],
)  # fmt: skip
def test_what_is_none(sent: bytes) -> None:
    with pytest.raises(NoPush):
        ListReader().feed(sent)


def test_limits_at_the_edge() -> None:
    refs = [f"{OLD} {NEW} refs/heads/{number}" for number in range(UPDATES_LIMIT + 1)]
    assert len(read(listed(*refs[:-1]))[0].updates) == UPDATES_LIMIT
    with pytest.raises(NoPush, match="at most"):
        ListReader().feed(listed(*refs))
    longest = "refs/heads/" + "a" * (REF_LIMIT - 11)
    assert read(listed(main(ref=longest)))[0].updates[0].ref == longest
    with pytest.raises(NoPush, match="at most"):
        ListReader().feed(listed(main(ref=f"{longest}a")))
    long = listed(main(more="\0push-options " + "x" * 60_000))
    options = b"".join(packet("y" * 60_000) for _ in range(LIST_LIMIT // 60_000))
    with pytest.raises(NoPush, match="at most"):
        ListReader().feed(long + options)


@given(st.binary(max_size=400), st.integers(1, 50))
def test_anything(data: bytes, size: int) -> None:
    reader, whole = ListReader(), ListReader()
    outcomes = []
    for source, step in ((reader, size), (whole, len(data) or 1)):
        outcome: object = None
        try:
            for at in range(0, len(data), step):
                outcome = source.feed(data[at : at + step])
                if outcome is not None:
                    break
        except NoPush as error:
            outcome = str(error)
        outcomes.append(outcome)
    assert outcomes[0] == outcomes[1]


@given(st.lists(st.tuples(st.sampled_from([OLD, ZERO]), st.sampled_from([NEW, "3" * 40])), min_size=1, max_size=9))
def test_what_is_read_is_what_goes_on(pairs: list[tuple[str, str]]) -> None:
    lines = [f"{old} {new} refs/heads/{number}" for number, (old, new) in enumerate(pairs)]
    push, _ = read(listed(*lines))
    assert push.raw == listed(*(f"{each.old} {each.new} {each.ref}" for each in push.updates))


def test_risk() -> None:
    def one(way: Way, ref: str = "refs/heads/x") -> Push:
        old = ZERO if way is Way.CREATED else OLD
        return Push(b"", (Update(ref, old, ZERO if way is Way.DELETED else NEW),))

    tiers = {way: pushes.assess(one(way), {"refs/heads/x": way}) for way in Way}
    assert {way: said.tier for way, said in tiers.items()} == {
        Way.CREATED: Tier.MEDIUM, Way.FORWARD: Tier.MEDIUM, Way.UNKNOWN: Tier.MEDIUM, Way.FORCED: Tier.HIGH,
        Way.DELETED: Tier.HIGH,
    }  # fmt: skip
    assert tiers[Way.FORCED].reversible is Reversible.NO
    assert tiers[Way.DELETED].verbs == ("push", "delete")
    assert "not known" in tiers[Way.UNKNOWN].reasons[0]
    assert pushes.assess(one(Way.UNKNOWN, "refs/tags/v1"), {}).tier is Tier.HIGH
    assert any(
        "neither branch nor tag" in reason for reason in pushes.assess(one(Way.CREATED, "refs/meta/x"), {}).reasons
    )


def test_the_question_is_answered_by_git(tmp_path: Path) -> None:
    """Forward, by force, and not known, in one real repository."""
    env = {**os.environ, "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a", "GIT_COMMITTER_NAME": "a"}
    env |= {"GIT_COMMITTER_EMAIL": "a", "HOME": str(tmp_path)}

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=tmp_path, env=env, check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "-q", "it's a repository")
    inside = str(tmp_path / "it's a repository")
    commits = []
    for name in ("one", "two"):
        git("-C", inside, "commit", "-q", "--allow-empty", "-m", name)
        commits.append(git("-C", inside, "rev-parse", "HEAD"))
    first, second = commits
    push, _ = read(
        listed(f"{first} {second} refs/heads/a", f"{second} {first} refs/heads/b", f"{second} {'4' * 40} refs/heads/c")
    )
    asked = pushes.question(inside, pushes.moves(push)).decode()
    said = subprocess.run(["sh", "-c", asked], capture_output=True, check=False).stdout
    assert pushes.answered(push, said) == {"refs/heads/a": Way.FORWARD, "refs/heads/b": Way.FORCED}
    assert pushes.answered(push, b"") == {}
    assert pushes.answered(push, b"0 0") == {}
