"""Words for people about commands that start a shell or lead away."""

from __future__ import annotations

import pytest

from bastion.gate.ungoverned import Leads, edits_lines, leads_to

SHELL = [
    "bash",
    "bash -x",
    "zsh -l",
    "/usr/bin/fish",
    "su bob",
    "su - bob",
    "sudo -u bob -i",
    "sudo -u bob bash",
    "sudo -i -u bob",
    "sudo env A=1 bash",
    "FOO=1 bash",
    "exec bash",
    "docker exec -t web bash",
    "kubectl exec pod -it -- sh",
    "chroot /mnt bash",
    "nohup sh",
    "cd /tmp && bash",
    "busybox sh",
]
NOT = [
    "sudo pkill bash",
    "docker stop bash",
    "bash -c id",
    "bash run.sh",
    "sudo -u bob id",
    "su -c id bob",
    "sudo -k",
    "sudo",
    "echo bash",
    "ls /bin/sh",
    "chroot /mnt",
    "env",
    "docker exec web ls",
    "'",
    "\x01",
]


@pytest.mark.parametrize("item", SHELL)
def test_a_shell(item: str) -> None:
    assert leads_to(item.encode()) is Leads.SHELL


@pytest.mark.parametrize("item", NOT)
def test_none(item: str) -> None:
    assert leads_to(item.encode()) is None


@pytest.mark.parametrize("item", ["ssh web-2", "ssh web-2 uptime", "sleep 1; /usr/bin/ssh -t x bash", "mosh x"])
def test_away(item: str) -> None:
    assert leads_to(item.encode()) is Leads.AWAY


@pytest.mark.parametrize("item", ["set -o vi", "set +o emacs", "id; builtin set -e -o vi", "(set -o emacs)"])
def test_the_line_editor(item: str) -> None:
    assert edits_lines(item.encode())


@pytest.mark.parametrize("item", ["set -o", "set -e", "vi", "echo -o vi", "set -o pipefail", "'", "bash -o vi"])
def test_not_the_line_editor(item: str) -> None:
    assert not edits_lines(item.encode())


def test_what_is_no_text() -> None:
    assert leads_to(b"\xff") is None
    assert leads_to(b"") is None
