"""What may run beside its shell: what asks nothing of it, and leaves nothing in it."""

from __future__ import annotations

import pytest

from bastion.policy.aside import aside, changes_directory


@pytest.mark.parametrize(
    "line",
    [
        "ls", "ls -la /srv/*.log", "cat a | grep 'x y' | wc -l", "df -h; free && uptime || date", "cat < x",
        "grep a b 2>&1", "# reason: x\nls", "! grep x y", "ls > /dev/null 2>&1", "timeout 5 ls",
    ],
)  # fmt: skip
def test_beside(line: str) -> None:
    assert aside(line.encode())


@pytest.mark.parametrize(
    "line",
    [
        "cd x", "cd x && ls", "export A=b", "A=b", "A=b ls", "echo $HOME", "echo ${X}", "ls `id`", "ls $(id)",
        "f() { ls; }; f", "alias ls=x", "ls &", "sleep 9 & ls", "(ls)", "{ ls; }", "if true; then ls; fi",
        "for x in a; do ls; done", "read x", ". ./x", "source x", "eval ls", "exec ls", "exit", "trap x EXIT", "jobs",
        "fg", "wait", "umask", "set -e", "type ls", "command ls", "builtin ls", "kill 1", "[[ -v x ]]", "((1))",
        "let x", "coproc ls", "ls \\\n& id", "ls <(id)", "a 'b", "cat <<< $X", "cat <<E\n$X\nE", "", "echo \x00",
        "printf %s 'a&b'",
    ],
)  # fmt: skip
def test_not_beside(line: str) -> None:
    assert not aside(line.encode())


@pytest.mark.parametrize("line", ["cd", "cd /tmp", "cd ..", "cd -", "cd 'a b'", "cd ~"])
def test_cd(line: str) -> None:
    assert changes_directory(line.encode())


@pytest.mark.parametrize(
    "line",
    [
        "cd $X", "cd `id`", "cd x y", "cd x; ls", "cd x && ls", "'cd' x", "\\cd x", "cd x &", "cd x > y", "A=b cd x",
        "cd <(id)", "pushd x", "cd() { :; }; cd", "builtin cd x", "cd x | cat", "(cd x)",
    ],
)  # fmt: skip
def test_not_cd(line: str) -> None:
    assert not changes_directory(line.encode())
