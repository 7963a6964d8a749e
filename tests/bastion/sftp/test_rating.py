from __future__ import annotations

import pytest

from bastion.model import EffectKind, Tier
from bastion.sftp.changes import LOOK, Attributes, Found, Item, Kind, There
from bastion.sftp.difference import compare
from bastion.sftp.rating import rate

FILE = Found(There.FILE, 5, 0o644, (0, 0), 1000, "a" * 64)


def write(path: bytes, asked: bytes = b"", **more: object) -> Item:
    return Item(Kind.WRITE, path, asked or path, FILE, size=1, sha256="b" * 64, difference=compare(b"a", b"b"), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "path",
    [
        b"/root/.bashrc", b"/home/a/.profile", b"/home/a/.ssh/authorized_keys", b"/root/.ssh/rc", b"/root/.gitconfig",
        b"/etc/cron.d/x", b"/var/spool/cron/crontabs/root", b"/etc/systemd/system/x.service", b"/etc/sudoers",
        b"/etc/sudoers.d/x", b"/etc/ld.so.preload", b"/etc/ld.so.conf.d/x.conf", b"/usr/local/bin/x", b"/usr/bin/ls",
        b"/home/a/.local/bin/x", b"/etc/profile.d/x.sh", b"/etc/pam.d/sshd", b"/home/a/.config/systemd/user/x.service",
        b"/home/a/.inputrc", b"/home/a/.zshenv", b"/etc/passwd", b"/etc/ssh/sshd_config", b"/home/a/.bash_aliases",
        b"/home/a/bin/x", b"/etc/logrotate.d/x", b"/etc/zsh/zshenv", b"/usr/lib/x86_64-linux-gnu/libc.so.6",
        b"/etc/NetworkManager/dispatcher.d/x", b"/home/a/.config/fish/config.fish", b"/lib/security/pam_x.so",
    ],
)  # fmt: skip
def test_what_runs_by_itself_is_high(path: bytes) -> None:
    assert rate([write(path)]).tier is Tier.HIGH
    assert rate([write(b"/srv/x", path)]).tier is Tier.HIGH
    assert rate([Item(Kind.RENAME, b"/srv/x", b"/srv/x", FILE, to=path, to_asked=path)]).tier is Tier.HIGH
    assert rate([Item(Kind.SYMLINK, path, path, to=b"x")]).tier is Tier.HIGH


@pytest.mark.parametrize(
    ("item", "tier"),
    [
        (LOOK, Tier.LOW),
        (Item(Kind.READ, b"/var/log/syslog", b"/var/log/syslog", FILE), Tier.LOW),
        (Item(Kind.READ, b"/etc/shadow", b"/etc/shadow", FILE), Tier.MEDIUM),
        (Item(Kind.READ, b"/etc/shadow", b"/srv/innocent", FILE), Tier.MEDIUM),
        (Item(Kind.READ, b"/srv/x", b"/home/a/.ssh/id_rsa", FILE), Tier.MEDIUM),
        (write(b"/tmp/x"), Tier.MEDIUM),
        (write(b"/srv/app/x"), Tier.MEDIUM),
        (write(b"/srv/app/x", set=Attributes(0o4755)), Tier.HIGH),
        (write(b"/srv/app/x", set=Attributes(0o2755)), Tier.HIGH),
        (Item(Kind.SETSTAT, b"/srv/app/x", b"/srv/app/x", FILE, set=Attributes(0o6755)), Tier.HIGH),
        (Item(Kind.SETSTAT, b"/srv/app/x", b"/srv/app/x", FILE, set=Attributes(0o640)), Tier.MEDIUM),
        (Item(Kind.REMOVE, b"/srv/app/x", b"/srv/app/x", FILE), Tier.HIGH),
        (Item(Kind.RMDIR, b"/srv/app/x", b"/srv/app/x"), Tier.MEDIUM),
        (Item(Kind.RENAME, b"/etc/shadow", b"/etc/shadow", FILE, to=b"/tmp/x", to_asked=b"/tmp/x"), Tier.HIGH),
        (Item(Kind.LINK, b"/tmp/x", b"/tmp/x", to=b"/etc/shadow", to_asked=b"/etc/shadow", to_found=FILE), Tier.MEDIUM),
    ],
)
def test_tiers(item: Item, tier: Tier) -> None:
    assert rate([item]).tier is tier


def test_a_directory_brings_what_is_in_it() -> None:
    there = Found(There.DIRECTORY, mode=0o755)
    for item in (
        Item(Kind.RENAME, b"/tmp/x", b"/tmp/x", there, to=b"/home/a/.ssh", to_asked=b"/home/a/.ssh"),
        Item(Kind.SYMLINK, b"/home/a/.ssh", b"/home/a/.ssh", to=b"/tmp/x"),
        Item(
            Kind.REPLACE, b"/tmp/x", b"/tmp/x", Found(There.SYMLINK), to=b"/usr/local/bin", to_asked=b"/usr/local/bin"
        ),
    ):
        assert rate([item]).tier is Tier.HIGH, item
    assert rate([Item(Kind.RENAME, b"/srv/x", b"/srv/x", there, to=b"/srv/y", to_asked=b"/srv/y")]).tier is Tier.MEDIUM


def test_every_path_is_an_effect() -> None:
    item = Item(Kind.REPLACE, b"/a/x", b"/b/x", FILE, to=b"/c/x", to_asked=b"/d/x", to_found=FILE)
    found = {effect.what for effect in rate([item]).effects}
    assert {"/a/x", "/b/x", "/c/x", "/d/x"} <= found
    deleted = {effect.what for effect in rate([item]).effects if effect.kind is EffectKind.DELETES}
    assert {"/c/x", "/d/x"} <= deleted
    link = Item(Kind.SYMLINK, b"/a/dir/x", b"/a/dir/x", to=b"../secret")
    assert "/a/secret" in {effect.what for effect in rate([link]).effects}


def test_a_link_to_a_secret_reads_it() -> None:
    for item in (
        Item(Kind.LINK, b"/tmp/x", b"/tmp/x", to=b"/etc/shadow", to_asked=b"/etc/shadow", to_found=FILE),
        Item(Kind.RENAME, b"/etc/shadow", b"/etc/shadow", FILE, to=b"/tmp/x", to_asked=b"/tmp/x"),
        Item(Kind.SYMLINK, b"/tmp/x", b"/tmp/x", to=b"/etc/shadow"),
    ):
        assert EffectKind.SECRET in {effect.kind for effect in rate([item]).effects}, item


def test_unseen_content_weighs() -> None:
    seen, unseen = (
        write(b"/srv/app/x"),
        Item(Kind.WRITE, b"/srv/app/x", b"/srv/app/x", FILE, size=1, sha256="b" * 64, difference=compare(b"a", b"\0")),
    )
    assert (rate([unseen]).score or 0) > (rate([seen]).score or 0)
    assert any("not shown" in reason for reason in rate([unseen]).reasons)
