"""Which file a line runs, in forms round a simple command; never one that something else could take the place of."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.model import Tier, script_hash
from bastion.policy.risk import assess
from bastion.policy.running_files import BROUGHT_SHOWN, brought_in, pinned, shown_file
from bastion.policy.scripts import runs_script
from bastion.policy.shell import Parsed, parse

NAMED = {
    "./x.sh": "./x.sh",
    "bash x": "x",
    "bash -x x.sh a": "x.sh",
    "sh -eux ./x": "./x",
    "python3 -u y a": "y",
    "cd /srv && python y": "/srv/y",
    "cd ./a && ./b.sh": "./a/./b.sh",
    "cd ../a && bash b": "../a/b",
    "/bin/sh -c '/usr/bin/python3 /tmp/AnsiballZ_stat.py && sleep 0'": "/tmp/AnsiballZ_stat.py",
    "sh -c 'cd /a && ./b'": "/a/./b",
    "make": "Makefile",
    "make deploy ENV=prod": "Makefile",
    "make -C /srv -j4 -s x": "/srv/Makefile",
    "make -f x.mk all": "x.mk",
    "cd /srv && make": "/srv/Makefile",
    "sudo -n ./x.sh": "./x.sh",
    "nohup bash x": "x",
    ". ./z": "./z",
}


@pytest.mark.parametrize(("command", "path"), NAMED.items(), ids=list(NAMED))
def test_named(command: str, path: str) -> None:
    assert shown_file(command.encode()) == path
    said = assess(command.encode())
    assert said.tier is not Tier.LOW
    parsed = parse(command.encode())
    assert isinstance(parsed, Parsed)
    assert runs_script(parsed)  # so it is not remembered without its content


@pytest.mark.parametrize(
    "command",
    [
        "cd srv && python y", "cd && ./x", "cd - && ./x", "cd /a /b && ./x", "cd $X && ./x", "cd /a* && ./x",
        "cd ~ && ./x", "cd /srv; python y", "cd /srv || python y", "cd /srv & python y", "cd /srv | python y",
        "cd /srv && cd b && ./x", "! cd /srv && ./x", "(cd /srv) && ./x", "{ cd /srv; } && ./x",
        "cd /srv && ./x && ./y", "cd /srv && ./x; id", "cd /srv && ./x # y", "./x && sleep 0 && id",
        "./x || sleep 0", "sleep 0 && ./x", "./x > y", "A=b ./x", "sudo -u a ./x.sh", "sudo -i ./x", "env ./x",
        "bash -c ./x x", "bash -O x y", "bash --rcfile x y", "bash -s < x", "python -m y", "python -c x",
        "python -W error y", "sh -c 'rm x; ./y'", "sh -c \"./$X\"", "sh -c './x' a b", "make -E x", "make -I x",
        "make --eval=x", "make -f", "make -f a -f b", "make -C a -C b", "make -f a -C b", "make $(X)",
        "make '; id'", "make -o x", "f() { :; }; ./x", "ls", "", "\0",
    ],
)  # fmt: skip
def test_not_named(command: str) -> None:
    assert shown_file(command.encode()) == ""


@given(st.binary(max_size=60))
def test_anything(command: bytes) -> None:
    shown_file(command)
    brought_in("x.sh", command)
    brought_in("Makefile", command)


def sh(work: Path, command: bytes) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", command], cwd=work, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", ["cd ./d && sh x", "make -C d", "sh -c 'cd ./d && sh x'"])
def test_it_runs_only_with_that_content(tmp_path: Path, command: str) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/x").write_text("echo ran\n")
    (tmp_path / "d/Makefile").write_text("all:\n\t@echo ran\n")
    path = shown_file(command.encode())
    code = (tmp_path / path).read_bytes()
    guarded = pinned(command.encode(), path, script_hash(code))
    assert "ran" in sh(tmp_path, guarded).stdout
    (tmp_path / path).write_bytes(code + b"\n")
    done = sh(tmp_path, guarded)
    assert (done.returncode, done.stdout) == (125, "")
    assert "does not hold what was approved" in done.stderr


@pytest.mark.parametrize("name", ["GNUmakefile", "makefile"])
@pytest.mark.parametrize("place", [".", "Makefiles"])
def test_make_takes_no_other_file(tmp_path: Path, name: str, place: str) -> None:
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / place / "Makefile").write_text("all:\n\t@echo approved\n")
    command = f"make -s -C {place}".encode()
    guarded = pinned(command, shown_file(command), script_hash((tmp_path / place / "Makefile").read_bytes()))
    assert "approved\n" in sh(tmp_path, guarded).stdout
    (tmp_path / place / name).write_text("all:\n\t@echo sneaked\n")
    done = sh(tmp_path, guarded)
    assert (done.returncode, done.stdout) == (125, "")


def test_what_a_file_brings_in_is_said() -> None:
    said = brought_in("d/Makefile", b"include a.mk b.mk\n-include $(X)\nall:\n\tid\n")
    assert said[:3] == tuple(f"d/Makefile includes {name}, which is not shown" for name in ("a.mk", "b.mk", "$(X)"))
    said = brought_in("x.sh", b"#!/bin/sh\n. ./lib.sh\npython3 y\nls\n")
    assert len(said) == 2
    assert all("itself runs" in each for each in said)
    assert brought_in("x.sh", b"echo 'open\n")[0].endswith("what it runs is not rated")
    assert brought_in("y", b"#!/usr/bin/python3\nimport z\n") == ()
    many = b"".join(b"include %d.mk\n" % number for number in range(BROUGHT_SHOWN + 5))
    assert len(brought_in("Makefile", many)) == BROUGHT_SHOWN + 1
