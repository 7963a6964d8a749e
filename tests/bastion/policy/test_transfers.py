"""The far ends of transfers: exactly these forms, and nothing that only looks like one."""

from __future__ import annotations

import pytest

from bastion.model import Tier
from bastion.policy.risk import assess
from bastion.policy.stdin import reads_code
from bastion.policy.transfers import Kind, Transfer, recognise

KNOWN = {
    "git-upload-pack '/srv/x.git'": Transfer(Kind.FETCH, ("/srv/x.git",)),
    "/usr/bin/git-upload-pack '/srv/it'\\''s.git'": Transfer(Kind.FETCH, ("/srv/it's.git",)),
    "git-receive-pack 'x.git'": Transfer(Kind.PUSH, ("x.git",)),
    # rsync 3.2: -av, -az --delete, -avP, --numeric-ids, -avzH --delete-after, each way
    "rsync --server -vlogDtpre.iLsfxCIvu . /srv/b": Transfer(Kind.WRITE, ("/srv/b",)),
    "rsync --server -logDtprze.iLsfxCIvu --delete . /srv/b": Transfer(Kind.WRITE, ("/srv/b",), deletes=True),
    "rsync --server --sender -vlogDtpre.iLsfxCIvu . /srv/a /srv/b": Transfer(Kind.READ, ("/srv/a", "/srv/b")),
    "rsync --server --sender -logDtpre.iLsfxCIvu --numeric-ids . /srv/b": Transfer(Kind.READ, ("/srv/b",)),
    "rsync --server --sender -vlHogDtprze.LsfxCIvu . /srv/b": Transfer(Kind.READ, ("/srv/b",)),
    "rsync --server --sender -lDtpre.iLsfxCIvu --remove-source-files . /a": Transfer(Kind.READ, ("/a",), deletes=True),
    "scp -f /etc/hosts": Transfer(Kind.READ, ("/etc/hosts",)),
    "scp -v -r -p -t /srv/x": Transfer(Kind.WRITE, ("/srv/x",)),
    "scp -r -d -t '/srv/x y'": Transfer(Kind.WRITE, ("/srv/x y",)),
}


@pytest.mark.parametrize(("command", "transfer"), KNOWN.items(), ids=list(KNOWN))
def test_known(command: str, transfer: Transfer) -> None:
    assert recognise(command.encode()) == transfer
    assert reads_code(command.encode()) is None


@pytest.mark.parametrize(
    "command",
    [
        "scp -t /tmp/x; bash", "scp -t /tmp/x & bash", "scp -t /tmp/x &", "scp -t /tmp/x | bash", "scp -t /tmp/x\nbash",
        "scp -t $(id)", "scp -t `id`", "scp -t $HOME", "scp -t /tmp/*", "scp -t ~/x*", "scp -t x y", "scp -t", "scp",
        "scp -t -f x", "scp -S sh -t x", "scp -oProxyCommand=sh -t x", "scp -t -- -x", "scp -t x > y", "scp -t x < y",
        "A=b scp -t x", "sudo scp -t x", "./scp -t x", "/tmp/scp -t x", "scp -t x # y", "(scp -t x)", "{ scp -t x; }",
        "! scp -t x", "scp() { :; }; scp -t x", "coproc scp -t x", "scp -t {a,b}",
        "rsync --server; id", "rsync --server", "rsync --server .", "rsync --server --daemon .",
        "rsync --server --daemon . /x", "rsync --server -e sh . /x", "rsync --server -vesh . /x", "rsync -av a b",
        "rsync --server --rsh=sh . /x", "rsync --server --rsync-path=x . /x", "rsync --server -v . /x /y",
        "rsync --server --log-file=/etc/x . /x", "rsync --server --temp-dir=/etc . /x", "rsync --server . --daemon",
        "rsync --server --partial-dir=/etc . x", "rsync --server --write-batch=/etc/x . x",
        "rsync --sender --server . x", "rsync --server --sender -slogDtpre.LsfxCIvu . /x", "rsync --server -s . /x",
        "rsync --server --sender --secluded-args . /x", "rsync --server --protect-args . /x",
        "git-upload-pack", "git-upload-pack -x", "git-upload-pack --strict /x", "git-upload-pack /x /y",
        "git-shell -c id", "git upload-pack /x", "git-receive-pack '/x'; id", "git-receive-pack \"$X\"",
        "sftp-server", "internal-sftp", "", "\0", "scp -t \u202ex\u202c; id",
    ],
)  # fmt: skip
def test_not_one(command: str) -> None:
    assert recognise(command.encode()) is None


@pytest.mark.parametrize(
    "command",
    [
        "cd /srv && git-receive-pack x.git", "git receive-pack /srv/x.git", "git -C /srv receive-pack x.git",
        "sh -c 'git-receive-pack /srv/x.git'", "env A=1 git-receive-pack /srv/x.git", "exec git-receive-pack /srv/x",
        "git-receive-pack /srv/x.git; true", "git-receive-pack --stateless-rpc /srv/x.git", "git http-backend",
        "git-receive-pack $(echo /srv/x.git)", "timeout 9 git-receive-pack /srv/x.git", "git fast-import",
        "git-receive-pack /srv/x.git 2>/dev/null", "cat | git-receive-pack /srv/x.git",
    ],
)  # fmt: skip
def test_a_push_whose_list_nobody_reads_is_high(command: str) -> None:
    assert assess(command.encode()).tier is Tier.HIGH


@pytest.mark.parametrize(
    "directory", ["", "/usr/lib/openssh/", "/usr/libexec/openssh/", "/usr/libexec/", "/usr/lib/ssh/"]
)
def test_sftp_past_the_bastion_is_high(directory: str) -> None:
    """`sftp -s /usr/lib/openssh/sftp-server` asks for it as a command: no file of it would be judged."""
    for words in ("", " -R", " -e -u 077"):
        assert assess(f"{directory}sftp-server{words}".encode()).tier is Tier.HIGH


def test_reading_is_low_and_what_is_not_seen_is_not() -> None:
    assert assess(b"git-upload-pack '/srv/x.git'").tier is Tier.LOW
    assert assess(b"rsync --server --sender -logDtpre.iLsfxCIvu . /srv/x").tier is Tier.LOW
    assert assess(b"scp -f /etc/shadow").tier is not Tier.LOW
    opens = assess(b"git-receive-pack '/srv/x.git'")
    assert (opens.tier, opens.reasons) == (
        Tier.LOW, ("git push: opens the repository; what it shall change is held by itself",)
    )  # fmt: skip
    assert assess(b"git-receive-pack /etc/shadow").tier is not Tier.LOW
    for command in (b"scp -t /tmp/x", b"rsync --server -logDtpre.iLsfxCIvu . /tmp/x"):
        said = assess(command)
        assert said.tier is not Tier.LOW
        assert any("not seen beforehand" in reason for reason in said.reasons)
    assert assess(b"scp -t /etc/cron.d/x").tier is Tier.HIGH
    assert assess(b"rsync --server -logDtpre.iLsfxCIvu --delete . /srv/x").tier is Tier.HIGH
    assert assess(b"rsync --server --sender -logDtpre.iLsfxCIvu --remove-source-files . /a").tier is Tier.HIGH
