"""What runs a file whose content may change is known as such."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from bastion.policy.scripts import guarded, runs_script, script_file
from bastion.policy.shell import Parsed, parse


def script(command: bytes) -> str:
    parsed = parse(command)
    assert isinstance(parsed, Parsed)
    return runs_script(parsed)


@pytest.mark.parametrize(
    "command",
    [
        b"./deploy.sh", b"/opt/app/deploy", b"sudo ./deploy.sh", b"sudo -u root ./x", b"bash deploy.sh", b"bash",
        b"sh x",
        b"bash -x -c 'id'", b"bash -c './deploy.sh'", b"sh -c \"bash -c './x'\"", b"bash -c \"$X\"",
        b"cat x | sh", b"source ./env", b". /etc/profile", b"python3 x.py", b"python3 -m http.server", b"make install",
        b"npm run build", b"npm test", b"sed -f x y", b"sed -nf x y", b"awk -f x y", b"sed $X y", b"psql -f x.sql",
        b"mysql --init-command=x", b"env A=1 ./x", b"timeout 5 ./x", b"nohup nice -n 5 ./x", b"$X", b"xargs rm",
        b"true; ./x",
        b"echo $(./x)", b"crontab x", b"npx foo", b"exec ./x", b"command ./x",
    ],
)  # fmt: skip
def test_runs_one(command: bytes) -> None:
    assert script(command)


@pytest.mark.parametrize(
    "command",
    [
        b"systemctl restart nginx", b"/usr/bin/systemctl restart nginx", b"bash -c 'uptime; id'", b"sh -c uptime",
        b"sed -n 5p file", b"sed -i s/a/b/ file", b"sed -E s/a/b/ file", b"awk '{print}' file", b"npm install",
        b"psql -d app -c 'VACUUM'", b"sudo -n systemctl restart nginx", b"git commit -m x", b"python3 -c 'print(1)'",
        b"timeout 5 uptime", b"env LANG=C ls",
    ],
)  # fmt: skip
def test_runs_none(command: bytes) -> None:
    assert script(command) == ""


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("./x", "./x"), ("/srv/x a b", "/srv/x"), ("bash x.sh", "x.sh"), ("/usr/bin/python3 y.py -v", "y.py"),
        ("'/srv/it'\\''s/x'", "/srv/it's/x"), (". ./env", "./env"), ("# reason: x\n./y", "./y"),
        ("ls", ""), ("/usr/bin/ls", ""), ("bash", ""), ("bash -x y", ""), ("bash -c x", ""), (". env", ""),
        ("./x; ./y", ""), ("./x | cat", ""), ("./x > y", ""), ("A=b ./x", ""), ("cd z && ./x", ""), ("$X/y", ""),
        ("./*", ""), ("~/x", ""), ("sudo ./x", ""), ("make", ""), ("./x $(id)", ""), ("(./x)", ""), ("bash +x y", ""),
    ],
)  # fmt: skip
def test_the_file_that_a_line_runs(line: str, path: str) -> None:
    parsed = parse(line.encode())
    assert isinstance(parsed, Parsed)
    assert script_file(parsed) == path


@pytest.mark.parametrize("shell", ["bash", "dash", "zsh", "fish", "mksh", "busybox"])
def test_the_guard_in_every_shell(shell: str, tmp_path: Path) -> None:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"no {shell} here")
    words = [found, "sh", "-c"] if shell == "busybox" else [found, "-c"]
    path = tmp_path / "it's $(here)"
    path.write_text("echo ran\n")
    good = guarded(b"echo after", str(path), hashlib.sha256(path.read_bytes()).hexdigest())
    bad = guarded(b"echo after", str(path), hashlib.sha256(b"").hexdigest())
    done = subprocess.run([*words, good.decode()], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"after\n"), done.stderr
    done = subprocess.run([*words, bad.decode()], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (125, b"")
    assert b"it does not run" in done.stderr
    path.unlink()
    assert subprocess.run([*words, good.decode()], capture_output=True, check=False).stdout == b""
