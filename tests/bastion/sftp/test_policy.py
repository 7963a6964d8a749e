"""What a policy says of transfers: the whole way from items to a verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bastion.model import IdentityKind, Request, RequestKind, StdinMode, Verdict
from bastion.policy.judge import judge
from bastion.policy.language import parse
from bastion.policy.question import Question
from bastion.sftp.changes import LOOK, NOTHING, Found, Item, Kind, There, describe
from bastion.sftp.difference import compare
from bastion.sftp.rating import rate
from tests.support.requests import REQUEST

FILE = Found(There.FILE, 5, 0o644, (0, 0), 1000, "a" * 64)


def request(*items: Item) -> Request:
    return replace(
        REQUEST, kind=RequestKind.TRANSFER, env="staging", login="root", command=describe(items),
        stdin=StdinMode.BUNDLED, assessment=rate(items),
    )  # fmt: skip


def write(path: bytes, asked: bytes = b"") -> Item:
    return Item(Kind.WRITE, path, asked or path, NOTHING, size=1, sha256="b" * 64, difference=compare(None, b"b\n"))


def reading(path: bytes) -> Item:
    return Item(Kind.READ, path, path, FILE)


def verdict(rules: str, *items: Item) -> Verdict:
    policy = parse(f'policy "x" {{\n  version 1\n{rules}\n}}\n', "x.bastion")
    return judge(Question.of(request(*items), IdentityKind.AGENT), policy, None, 0).verdict


many = [write(b"/srv/real/%d" % number, b"/srv/link/%d" % number) for number in range(4)]


@pytest.mark.parametrize(
    ("rules", "items", "expected"),
    [
        ("", [LOOK], Verdict.HOLD),
        ("allow low", [LOOK], Verdict.ALLOW),
        ("allow low", [reading(b"/var/log/x")], Verdict.ALLOW),
        ("allow low", [reading(b"/root/.ssh/id_rsa")], Verdict.HOLD),
        ("allow low", [reading(b"/var/log/x"), reading(b"/etc/shadow")], Verdict.HOLD),
        ("allow low", [write(b"/srv/x")], Verdict.HOLD),
        ('allow writes "/srv/**"', [write(b"/srv/x")], Verdict.ALLOW),
        ('allow writes "/srv/**"', [write(b"/srv/x"), write(b"/opt/x")], Verdict.HOLD),
        ('allow writes "/srv/**"', [write(b"/etc/x", b"/srv/link")], Verdict.HOLD),
        ('allow writes "/srv/**"', [write(b"/srv/x", b"/etc/link")], Verdict.HOLD),
        ('allow writes "/**"', [write(b"/root/.bashrc")], Verdict.HOLD),
        ('block_paths "**/.env"', [write(b"/srv/.env")], Verdict.DENY),
        ('block_paths "**/.env"', [write(b"/srv/x", b"/srv/.env")], Verdict.DENY),
        ('block_paths "**/.env"', [reading(b"/srv/.env")], Verdict.DENY),
        ('block_paths "**/.env"', [write(b"/srv/a"), write(b"/srv/.env")], Verdict.DENY),
        (
            'block_paths "/srv/a/**"',
            [Item(Kind.RENAME, b"/srv/a", b"/srv/a", FILE, to=b"/x", to_asked=b"/x")],
            Verdict.DENY,
        ),
        ('block_paths "**/.env"', [Item(Kind.SYMLINK, b"/srv/x", b"/srv/x", to=b".env")], Verdict.DENY),
        ("max_files 4", many, Verdict.HOLD),
        ("max_files 3", many, Verdict.DENY),
        ("max_files 3", [reading(b"/srv/%d" % number) for number in range(4)], Verdict.DENY),
        ("max_files 1", [LOOK], Verdict.HOLD),
        ("deny delete", [Item(Kind.REMOVE, b"/srv/x", b"/srv/x", FILE)], Verdict.DENY),
        ("deny delete", [write(b"/srv/x")], Verdict.HOLD),
        ("block_categories auth", [write(b"/etc/ssh/sshd_config")], Verdict.DENY),
    ],
)
def test_verdicts(rules: str, items: list[Item], expected: Verdict) -> None:
    assert verdict(rules, *items) is expected
