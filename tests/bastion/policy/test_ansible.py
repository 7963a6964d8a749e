"""Payloads that Ansible itself makes are decoded; what only looks like one is not."""

from __future__ import annotations

import base64
import io
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.model import Assessment, EffectKind, Tier
from bastion.policy import ansible
from bastion.policy.ansible import PAYLOAD_LIMIT, decode, described
from bastion.policy.risk import assess

PYTHON = b"/bin/sh -c '/usr/bin/python3 && sleep 0'"


def made(work: Path, module: str, arguments: str, *options: str) -> bytes:
    """What Ansible feeds to a target for this; its ssh is a script that keeps it."""
    ssh = work / "ssh"
    ssh.write_text(f'#!/bin/sh\nfor last; do :; done\ncase "$last" in *python3*) cat > {work}/payload;; esac\nexit 1\n')
    ssh.chmod(0o755)
    env = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(work), "LANG": "C.UTF-8",
        "ANSIBLE_PIPELINING": "1", "ANSIBLE_SSH_EXECUTABLE": str(ssh), "ANSIBLE_LOCAL_TEMP": str(work / "local"),
    }  # fmt: skip
    given = ["-e", "ansible_python_interpreter=/usr/bin/python3", "-m", module, "-a", arguments, *options]
    subprocess.run(
        ["ansible", "all", "-i", "x,", *given], cwd=work, env=env, capture_output=True, check=False, timeout=60
    )
    return (work / "payload").read_bytes()


@pytest.fixture(scope="module")
def payload(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return made(tmp_path_factory.mktemp("ansible"), "command", "systemctl restart nginx")


def test_module_and_arguments(payload: bytes) -> None:
    found = decode(payload)
    assert found is not None
    assert (found.module, found.arguments["_raw_params"]) == ("ansible.modules.command", "systemctl restart nginx")
    assert (found.check, found.hidden) == (False, False)
    assert not any(key.startswith("_ansible_") for key in found.arguments)


def test_it_is_said_and_makes_nothing_less_risky(payload: bytes) -> None:
    plain = assess(PYTHON, payload)
    said = described(plain, payload, assess)
    assert said.reasons[0].startswith("Ansible's module ansible.modules.command; ansible-core ")
    assert "_raw_params = systemctl restart nginx" in said.reasons
    assert (said.tier, said.score) == (plain.tier, plain.score) == (Tier.HIGH, plain.score)
    assert "restart" in said.verbs
    assert (EffectKind.SERVICE, "nginx") in [(effect.kind, effect.what) for effect in said.effects]
    assert len(said.reasons) == len(said.weights)


def test_secrets_stay_in_the_payload(tmp_path: Path) -> None:
    said = described(assess(PYTHON), made(tmp_path, "user", "name=x password=hunter2"), assess)
    assert "name = x" in said.reasons
    assert any(reason.startswith("password = (a secret") for reason in said.reasons)
    assert "hunter2" not in " ".join(said.reasons)
    hidden = made(tmp_path, "command", "echo hunter2", "-e", "ansible_no_log=true")
    assert decode(hidden.replace(b'"_ansible_no_log": false', b'"_ansible_no_log": true')).hidden  # type: ignore[union-attr]
    changed = hidden.replace(b'"_ansible_no_log": false', b'"_ansible_no_log": true')
    assert "hunter2" not in described(assess(PYTHON), changed, assess).reasons[1]


def zipped(payload: bytes, packed: bytes) -> bytes:
    """The payload with another zip."""
    return re.sub(
        rb"(ZIPDATA = |zip_data=)'[A-Za-z0-9+/=]*'", lambda m: m[1] + b"'" + base64.b64encode(packed) + b"'", payload
    )


def a_zip(*files: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return out.getvalue()


def test_the_code_has_a_hash_that_tells_other_code(payload: bytes) -> None:
    one, other = (decode(zipped(payload, a_zip(("ansible/modules/command.py", code)))) for code in (b"one", b"other"))
    assert one is not None
    assert other is not None
    assert one.code != other.code
    assert decode(payload).code == decode(payload).code  # type: ignore[union-attr]


def test_zips_that_are_refused(payload: bytes) -> None:
    module = ("ansible/modules/command.py", b"x")
    for packed in (
        b"", b"PK", a_zip(("ansible/modules/stat.py", b"x")), a_zip(module, ("big", bytes(ansible.UNPACKED_LIMIT))),
        a_zip(module, *((str(number), b"") for number in range(ansible.FILES_LIMIT))),
    ):  # fmt: skip
        assert decode(zipped(payload, packed)) is None


def test_wrappers_that_do_something_else(payload: bytes) -> None:
    lines = payload.split(b"\n")
    blank = [at for at, line in enumerate(lines) if not line.strip()]
    tampered = [
        payload + b"import os; os.system('id')\n",
        payload.replace(b"import base64", b"import base64, os; os.system('id')", 1),
        payload.replace(b"b64decode(", b"b64decode( ", 1),
        payload.replace(b"_ANSIBALLZ_WRAPPER = True", b"_ANSIBALLZ_WRAPPER = True; import os", 1),
        re.sub(rb"(ANSIBALLZ_PARAMS = |params=)('.*'),?\n", rb"\1\2 + open('/etc/passwd').read()\n", payload, count=1),
        re.sub(rb"(ANSIBALLZ_PARAMS = |params=)('.*')", rb"\1f\2", payload, count=1),
        payload.replace(b"ansible.modules.command", b"ansible.modules.command'+'x", 1),
        payload.replace(b"\n", b"\r\n"),
        payload.replace(b"\n", b"\x0b\n", 1),
        payload.replace(b"#!/usr/bin/python3", b"#!/tmp/evil", 1),
        payload.replace(b"#!/usr/bin/python3", b"#!/usr/bin/python3 coding: utf-7", 1),
        payload.decode().replace("import sys", "import s\u0443s").encode(),
        payload + b" " * (PAYLOAD_LIMIT + 1 - len(payload)),
        b"\xff" + payload,
    ]
    params = next(line for line in lines if b"ANSIBLE_MODULE_ARGS" in line)
    for extra in (params, b"rlimit_nofile=0,", b"module_fqn='ansible.modules.ping',", b"import os"):
        for at in blank[:1] or [3]:
            tampered.append(b"\n".join([*lines[:at], extra, *lines[at + 1 :]]))
    doubled = payload.replace(b'{"ANSIBLE_MODULE_ARGS": {', b'{"ANSIBLE_MODULE_ARGS": {"_raw_params": "id", ', 1)
    for program in (*tampered, doubled):
        assert program != payload
        assert decode(program) is None


@given(st.binary(max_size=300))
def test_anything(data: bytes) -> None:
    assert decode(data) is None
    assert decode(b"_ANSIBALLZ_WRAPPER = True\n" + data) is None


def test_what_is_no_payload_is_assessed_as_it_was() -> None:
    found = Assessment(3, Tier.LOW, ("x",))
    assert described(found, b"print(1)\n", assess) is found
