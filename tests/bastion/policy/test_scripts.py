"""What runs a file whose content may change is known as such."""

from __future__ import annotations

import pytest

from bastion.policy.scripts import runs_script
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
