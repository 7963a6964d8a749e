"""Which commands start a shell that can be governed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.gate import driver
from bastion.gate.nested import Nesting, nesting

GOVERNED = {
    "bash": Nesting("", "plain"),
    "bash -l": Nesting("", "login"),
    "  sh ": Nesting("", "sh"),
    "sudo -i": Nesting("sudo -i ", "login"),
    "sudo -n -s": Nesting("sudo -n -s ", "plain"),
    "sudo bash": Nesting("sudo ", "plain"),
    "su": Nesting("su --session-command ", "plain", quoted=True),
    "su - root": Nesting("su - --session-command ", "login", quoted=True),
    "sudo su -": Nesting("sudo su - --session-command ", "login", quoted=True),
    "docker exec -it web sh": Nesting("docker exec -it web ", "sh", "docker exec -i web "),
    "docker exec -u root -it web /bin/bash": Nesting(
        "docker exec -it -u root web ", "plain", "docker exec -i -u root web "
    ),
    "kubectl exec -it pod -c app -n prod -- bash -l": Nesting(
        "kubectl exec -it pod -c app -n prod -- ", "login", "kubectl exec -i pod -c app -n prod -- "
    ),
}


@pytest.mark.parametrize("command", GOVERNED)
def test_governed(command: str) -> None:
    assert nesting(command.encode()) == GOVERNED[command]


@pytest.mark.parametrize(
    "command",
    [
        "",
        "ls",
        "bash -c id",
        "bash x",
        "bash --norc",
        "sh -l",
        "sudo -i id",
        "sudo -u bob -i",
        "sudo ls",
        "su bob",
        "su - bob",
        "su -c id",
        "bash; id",
        "bash\nid",
        "b$x",
        "sudo -i;",
        "docker exec web sh",
        "docker exec -it web sh -c id",
        "docker exec -it --privileged web sh",
        "docker exec -it web",
        "docker run -it web sh",
        "kubectl exec -it pod sh",
        "kubectl exec -it pod -- sh -c id",
        "kubectl exec -it -- sh",
        "bash " * 30,
        "básh",
    ],
)
def test_not_governed(command: str) -> None:
    assert nesting(command.encode()) is None


@given(st.binary(max_size=60))
def test_any_bytes(command: bytes) -> None:
    found = nesting(command)
    assert found is None or found.command("x").isascii()


def test_what_replaces_the_shell() -> None:
    words = driver.nested("1" * 39, "/tmp/.bastion-00", "login")
    how = nesting(b"su -")
    assert how is not None
    assert how.command(words) == f"su - --session-command '{words}'".encode()
    with pytest.raises(ValueError, match="directory"):
        driver.nested("1" * 39, "/tmp/a b;", "$(x)")
