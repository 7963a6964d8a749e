"""Modules of Ansible by name: what the real one sends goes through, and nothing that differs from it by a byte."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bastion.model import IdentityKind, Request, RequestKind, StdinMode, Verdict
from bastion.policy import ansible_modules
from bastion.policy.ansible import decode
from bastion.policy.ansible_modules import may_write
from bastion.policy.judge import judge
from bastion.policy.plays import Play, PlayError, covers, from_copy, parse
from bastion.policy.question import Question
from bastion.policy.rules import built_in
from tests.support import ansible_codes
from tests.support.requests import REQUEST

ROOT = "/root/.ansible/tmp"
TASK = f"{ROOT}/ansible-tmp-1795264660.5790527-29229-63088308765811"
PLAY = "ansible module copy, service below /srv/app with /usr/bin/python3"
PIPED = b"/bin/sh -c '/usr/bin/python3 && sleep 0'"
UPLOADED = f"/bin/sh -c '/usr/bin/python3 {TASK}/AnsiballZ_copy.py && sleep 0'".encode()
SUDO = "/bin/sh -c 'sudo -H -S -n  -u {} /bin/sh -c '\"'\"'echo BECOME-SUCCESS-{} ; /usr/bin/python3'\"'\"' && sleep 0'"
OWN: dict[str, Any] = {
    "_ansible_check_mode": False,
    "_ansible_no_log": False,
    "_ansible_debug": False,
    "_ansible_diff": False,
    "_ansible_verbosity": 0,
    "_ansible_module_name": "ansible.legacy.copy",
    "_ansible_syslog_facility": "LOG_USER",
    "_ansible_selinux_special_fs": ["fuse", "nfs"],
    "_ansible_socket": None,
    "_ansible_shell_executable": "/bin/sh",
    "_ansible_keep_remote_files": False,
    "_ansible_tmpdir": f"{TASK}/",
    "_ansible_remote_tmp": "~/.ansible/tmp",
    "_ansible_ignore_unknown_opts": False,
    "_ansible_target_log_info": None,
    "_ansible_tracebacks_for": [],
}
COPY = {
    "src": f"{TASK}/.source",
    "dest": "/srv/app/conf",
    "mode": "0644",
    "follow": False,
    "_original_basename": "c.j2",
}


@pytest.fixture(scope="module")
def bare() -> bytes:
    """What the installed ansible-core sends for copy, without arguments."""
    code = "import sys; from tests.support.ansible_codes import payload; sys.stdout.buffer.write(payload('copy'))"
    return subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, check=True).stdout


def with_arguments(bare: bytes, given: dict[str, Any]) -> bytes:
    literal = repr(json.dumps({"ANSIBLE_MODULE_ARGS": given})).encode()
    return re.sub(rb"(ANSIBALLZ_PARAMS = |params=)'.*'", lambda match: match[1] + literal, bare, count=1)


@pytest.fixture(scope="module")
def payload(bare: bytes) -> bytes:
    return with_arguments(bare, {**COPY, **OWN})


def asked(command: bytes, code: bytes = b"", **fields: Any) -> Request:
    stdin = StdinMode.BUNDLED if code else StdinMode.STREAM
    return replace(REQUEST, command=command, stdin=stdin, stdin_code=code, **fields)


def uploaded(
    code: bytes, command: bytes = UPLOADED, script: str = f"{TASK}/AnsiballZ_copy.py", terminal: str = ""
) -> Request:
    return asked(command, script=script, script_code=code, terminal=terminal)


def goes(request: Request, text: str = PLAY) -> bool:
    return covers(parse(text), request)


# --- what goes through ------------------------------------------------------------------------------------------------


def test_the_installed_release_is_known() -> None:
    """When this fails, ansible-core has moved: tests/support/ansible_codes.py says what to add to the table."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", ansible_codes.__file__], capture_output=True, text=True, check=True
    )
    table = Path(ansible_modules.__file__).with_name("facts") / "ansible_codes.txt"
    assert set(done.stdout.splitlines()) <= set(table.read_text().splitlines())
    assert {line.split()[1] for line in done.stdout.splitlines()} >= set(ansible_modules.MODULES)


def test_a_payload_by_its_module(payload: bytes) -> None:
    assert goes(asked(PIPED, payload))
    assert goes(uploaded(payload))
    assert goes(uploaded(payload, terminal="xterm"))


def test_with_other_arguments(bare: bytes) -> None:
    for given in ({"dest": "/srv/app/x/y", "mode": 420}, {**COPY, "backup": True, "validate": None}):
        assert goes(asked(PIPED, with_arguments(bare, {**given, **OWN})))


def test_the_lines_round_it() -> None:
    for line in (
        "/bin/sh -c 'echo ~ && sleep 0'",
        "/bin/sh -c 'echo ~deploy && sleep 0'",
        f'/bin/sh -c \'( umask 77 && mkdir -p "` echo {ROOT} `"&& mkdir "` echo {TASK} `" && '
        f'echo {TASK[len(ROOT) + 1 :]}="` echo {TASK} `" ) && sleep 0\'',
        f"dd of={TASK}/.source.conf bs=65536",
        f"/bin/sh -c 'chmod u+rwx {TASK}/ {TASK}/AnsiballZ_copy.py && sleep 0'",
        f"/bin/sh -c 'rm -f -r {TASK}/ > /dev/null 2>&1 && sleep 0'",
    ):
        assert goes(asked(line.encode())), line
        assert not goes(asked(line.encode() + b" ")), line
        assert not goes(asked(line.replace("sleep 0", "sleep 0; id").replace("65536", "65536; id").encode())), line
        assert not goes(asked(line.encode(), kind=RequestKind.LINE)), line


def test_sudo_only_as_it_was_asked_for(payload: bytes) -> None:
    as_root = f"{PLAY} as root"
    sudo = SUDO.format("root", "a" * 32)
    assert goes(asked(sudo.encode(), payload), as_root)
    assert not goes(asked(sudo.encode(), payload))
    assert not goes(asked(PIPED, payload), as_root)
    for other in (
        SUDO.format("admin", "a" * 32),
        SUDO.format("root", "a" * 31),
        sudo.replace("-H -S -n", "-H -S -n -E"),
        sudo.replace("-n  -u", "-n LD_PRELOAD=/tmp/x -u"),
        sudo.replace("sudo", "/tmp/sudo"),
        sudo.replace(" ; ", " ; id ; "),
    ):
        assert not goes(asked(other.encode(), payload), as_root), other


# --- what does not ----------------------------------------------------------------------------------------------------


def packed(payload: bytes) -> bytes:
    match = re.search(rb"(?:ZIPDATA = |zip_data=)['\"]+([A-Za-z0-9+/=]+)", payload)
    assert match is not None
    return base64.b64decode(match[1])


def repacked(payload: bytes, data: bytes) -> bytes:
    return payload.replace(base64.b64encode(packed(payload)), base64.b64encode(data))


def rezipped(payload: bytes, change: Any) -> bytes:
    import io
    import zipfile

    with zipfile.ZipFile(io.BytesIO(packed(payload))) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return repacked(payload, out.getvalue())


def test_other_code_under_that_name(payload: bytes) -> None:
    module = "ansible/modules/copy.py"

    def one_byte(files: dict[str, bytes]) -> None:
        files[module] = files[module].replace(b"#", b"%", 1)

    changes = {
        "same": lambda files: None,
        "byte": one_byte,
        "extra": lambda files: files.update({"ansible/modules/extra.py": b""}),
        "json": lambda files: files.update({"json.py": b"import os"}),
        "missing": lambda files: files.pop("ansible/module_utils/basic.py"),
        "other": lambda files: files.update({module: files["ansible/module_utils/basic.py"]}),
    }
    found = {name: goes(asked(PIPED, rezipped(payload, change))) for name, change in changes.items()}
    assert found == {name: name == "same" for name in changes}


def test_a_zip_that_two_readers_could_read_apart(payload: bytes) -> None:
    data = packed(payload)
    for other in (b"x" + data, data + b"x", data + data, data[:-2] + b"\1\0x", data.replace(b"PK\1\2", b"PK\1\3", 1)):
        assert not goes(asked(PIPED, repacked(payload, other)))


def test_another_wrapper(payload: bytes) -> None:
    for other in (
        payload + b"import os\n",
        payload.replace(b"import base64", b"import base64, os", 1),
        payload.replace(b"rlimit_nofile=0", b"rlimit_nofile=1", 1),
        payload.replace(b"ansible_module='ansible.legacy.copy'", b"ansible_module='ansible.legacy.stat'", 1),
        payload.replace(b"ansible_module='copy'", b"ansible_module='stat'", 1),
        payload.replace(b"ansible.modules.copy", b"ansible.modules.stat"),
        payload.replace(b"module_fqn='", b" module_fqn='", 1),
        payload.replace(b"\n", b"\r\n"),
        b"print(1)\n",
        b"",
    ):
        assert other != payload or b"ansible_module='copy'" not in payload
        if other != payload:
            assert not goes(asked(PIPED, other))


@pytest.mark.parametrize(
    "command",
    [
        b"/bin/sh -c '/usr/bin/python3.11 && sleep 0'",
        b"/bin/sh -c '/tmp/python3 && sleep 0'",
        b"/usr/bin/python3",
        b"/bin/sh -c 'PYTHONPATH=/tmp /usr/bin/python3 && sleep 0'",
        b"/bin/sh -c '/usr/bin/python3 - && sleep 0'",
        b"/bin/bash -c '/usr/bin/python3 && sleep 0'",
        b"/bin/sh -c '/usr/bin/python3 && sleep 0'; id",
        b"/bin/sh -c '/usr/bin/python3 -i && sleep 0'",
        b"cd /tmp; " + PIPED,
        PIPED + b"\n",
        b"\n" + PIPED,
    ],
)
def test_another_line(payload: bytes, command: bytes) -> None:
    assert not goes(asked(command, payload))


def test_what_was_not_read_beforehand(payload: bytes) -> None:
    assert not goes(asked(PIPED))
    assert not goes(asked(PIPED, payload, terminal="xterm"))
    assert not goes(replace(asked(PIPED, payload), stdin=StdinMode.STREAM))
    assert not goes(asked(UPLOADED))
    assert not goes(asked(UPLOADED, payload))
    assert not goes(uploaded(payload, script=f"{TASK}/AnsiballZ_stat.py"))
    assert not goes(uploaded(payload, UPLOADED.replace(b"_copy", b"_stat"), f"{TASK}/AnsiballZ_stat.py"))


def test_another_module(payload: bytes) -> None:
    for text in (
        "ansible module service with /usr/bin/python3",
        "ansible module replace below /srv/app with /usr/bin/python3",
    ):
        assert not goes(asked(PIPED, payload), text)


@pytest.mark.parametrize(
    "given",
    [
        {"dest": "/srv/apple/x"},
        {"dest": "/srv/app"},
        {"dest": "/srv/app/../../etc/passwd"},
        {"dest": "srv/app/x"},
        {"dest": "/etc/passwd"},
        {"dest": "~/x"},
        {"dest": "/srv/app/$HOME"},
        {"dest": ["/srv/app/x"]},
        {},
        {"dest": "/srv/app/.ssh/authorized_keys"},
        {"dest": "/srv/app/.bashrc"},
        {"dest": "/srv/app/json.py"},
        {"dest": "/srv/app/", "_original_basename": ".bashrc"},
        {"dest": "/srv/app/x", "_original_basename": "../y"},
        {"dest": "/srv/app/json.cpython-311-x86_64-linux-gnu.so"},
        {"dest": "/srv/app/x", "mode": "4755"},
        {"dest": "/srv/app/x", "mode": "u+s"},
        {"dest": "/srv/app/x", "mode": 0o4755},
        {"dest": "/srv/app/x", "mode": True},
        {"dest": "/srv/app/x", "validate": "sh %s"},
        {"dest": "/srv/app/x", "remote_src": True},
        {"dest": "/srv/app/x", "src": "/etc/shadow"},
        {"dest": "/srv/app/x", "src": f"{TASK}/../x/.source"},
        {"dest": "/srv/app/x", "unknown": "x"},
        {"dest": "/srv/app/x", "content": "x"},
        {"dest": "/srv/app/x", "owner": "root; id"},
        {"dest": "/srv/app/x", "attributes": "i"},
        {"dest": "/srv/app/x", "_ansible_shell_executable": "/tmp/sh"},
        {"dest": "/srv/app/x", "_ansible_tmpdir": "/tmp"},
        {"dest": "/srv/app/x", "_ansible_socket": "/tmp/x"},
        {"dest": "/srv/app/x", "_ansible_new": 1},
        {"dest": "/srv/app/x", "_ansible_module_name": "ansible.legacy.stat"},
        {"dest": "/srv/app/x", "_ansible_version": "1"},
        {"dest": "/srv/app/x", "_ansible_remote_tmp": "$(id)"},
        {"dest": "/srv/app/x", "_ansible_keep_remote_files": True},
    ],
)
def test_arguments_that_are_more_than_data(bare: bytes, given: dict[str, Any]) -> None:
    assert decode(with_arguments(bare, {**OWN, **given})) is not None
    assert not goes(asked(PIPED, with_arguments(bare, {**OWN, **given})))


@pytest.mark.parametrize(
    ("module", "given", "good"),
    [
        ("service", {"name": "nginx", "state": "restarted", "enabled": True}, True),
        ("service", {"name": "nginx", "arguments": "-x"}, False),
        ("service", {"name": "--root=/tmp/x"}, False),
        ("service", {"name": "nginx", "use": "/tmp/x"}, False),
        ("systemd", {"name": "nginx.service", "daemon_reload": True, "scope": "system"}, True),
        ("systemd", {"name": "/tmp/evil.service", "state": "started"}, False),
        ("systemd", {"name": "x", "scope": "user"}, False),
        ("apt", {"name": ["nginx", "curl=7.0-1"], "state": "present", "update_cache": True}, True),
        ("apt", {"name": "/tmp/evil.deb"}, False),
        ("apt", {"name": "./evil.deb"}, False),
        ("apt", {"deb": "https://example.org/evil.deb"}, False),
        ("apt", {"name": "-oDPkg::Pre-Invoke::=id"}, False),
        ("apt", {"name": "nginx", "dpkg_options": "pre-invoke=id"}, False),
        ("apt", {"name": "nginx", "state": "absent"}, False),
        ("apt", {"name": "nginx", "allow_unauthenticated": True}, False),
        ("setup", {"gather_subset": ["!all", "network"], "filter": "ansible_service_mgr"}, True),
        ("setup", {"fact_path": "/srv/app"}, False),
        ("stat", {"path": "/srv/app/x", "get_checksum": True, "checksum_algorithm": "sha1"}, True),
        ("stat", {"path": "/etc/shadow"}, False),
        ("stat", {"path": "~/.ssh/id_rsa"}, False),
        ("file", {"path": "/srv/app/x", "state": "directory", "mode": "0755"}, True),
        ("file", {"path": "/srv/app/x", "state": "absent"}, False),
        ("file", {"path": "/srv/app/x", "state": "link", "src": "/etc"}, False),
        ("file", {"path": "/srv/app/x", "state": "hard", "src": "/etc/shadow"}, False),
        ("lineinfile", {"path": "/srv/app/x", "line": "a; b", "regexp": "^a"}, True),
        ("lineinfile", {"path": "/srv/app/x", "line": "a", "validate": "sh %s"}, False),
        ("lineinfile", {"path": "/etc/sudoers", "line": "a"}, False),
        ("command", {"_raw_params": "id"}, False),
        ("user", {"name": "x"}, False),
        ("ping", {}, True),
    ],
)
def test_arguments(module: str, given: dict[str, Any], good: bool) -> None:
    assert (
        ansible_modules.are_data(module, given, ("/srv/app",)) is good
        if module in ansible_modules.MODULES
        else not good
    )


# --- the text ---------------------------------------------------------------------------------------------------------


def test_one_spelling() -> None:
    for text in (PLAY, f"{PLAY} as root", "ansible module ping with /usr/bin/python3"):
        assert str(parse(text)) == text
    assert parse(PLAY) == Play(("copy", "service"), ("/srv/app",), "/usr/bin/python3", "")
    assert "unseen" in parse(PLAY).words


@pytest.mark.parametrize(
    "text",
    [
        "ansible module",
        "ansible module copy with /usr/bin/python3",
        "ansible module ping below /srv with /usr/bin/python3",
        "ansible module shell with /usr/bin/python3",
        "ansible module command with /usr/bin/python3",
        "ansible module ping, ping with /usr/bin/python3",
        "ansible module ping with python3",
        f"{PLAY} as root;id",
        "ansible module copy below / with /usr/bin/python3",
        "ansible module copy below /srv/../etc with /usr/bin/python3",
        "ansible module copy below /srv/ with /usr/bin/python3",
        "ansible module copy below srv with /usr/bin/python3",
        f"{PLAY} ",
        f"{PLAY}\n",
        "ansible module  ping with /usr/bin/python3",
        "ansible module ping with /usr/bin/python3 -c",
        "ansible module ping with /usr/bin/../../tmp/x",
    ],
)
def test_other_spellings(text: str) -> None:
    with pytest.raises(PlayError):
        parse(text)


# --- run from a copy --------------------------------------------------------------------------------------------------


def run_from_copy(work: Path, sha256: str, status: int = 3) -> subprocess.CompletedProcess[bytes]:
    """As sshd runs it, of a script that says from where it runs."""
    task = f"{work}/ansible-tmp-1.2-3-4"
    script = f"{task}/AnsiballZ_copy.py"
    os.makedirs(task, exist_ok=True)
    Path(script).write_text(f"import sys; print(sys.argv[0]); sys.exit({status})\n")
    python = work / "python3"
    if not python.exists():
        python.symlink_to(sys.executable)
    command = f"/bin/sh -c '{python} {script} && sleep 0'".encode()
    line = from_copy(command, script, sha256 or hashlib.sha256(Path(script).read_bytes()).hexdigest())
    assert line
    env = {"PATH": os.environ["PATH"], "TMPDIR": str(work / "tmp")}
    (work / "tmp").mkdir(exist_ok=True)
    return subprocess.run(["/bin/sh", "-c", line.decode()], capture_output=True, check=False, env=env)


def test_it_runs_from_a_copy_of_its_own(tmp_path: Path) -> None:
    done = run_from_copy(tmp_path, "")
    assert done.returncode == 3, done.stderr
    assert re.fullmatch(rf"{re.escape(str(tmp_path))}/tmp/tmp\.\w+/AnsiballZ_copy\.py\n", done.stdout.decode())
    assert not list((tmp_path / "tmp").iterdir())
    assert run_from_copy(tmp_path, "", 0).returncode == 0
    done = run_from_copy(tmp_path, "0" * 64)
    assert (done.returncode, done.stdout) == (125, b"")
    assert b"does not hold what was approved" in done.stderr
    assert not list((tmp_path / "tmp").iterdir())


def test_only_the_line_of_ansible_and_its_own_file() -> None:
    assert from_copy(UPLOADED, f"{TASK}/AnsiballZ_copy.py", "0" * 64)
    assert not from_copy(UPLOADED, f"{TASK}/AnsiballZ_stat.py", "0" * 64)
    assert not from_copy(f"sh {TASK}/x".encode(), f"{TASK}/x", "0" * 64)
    assert not from_copy(PIPED, "", "")
    assert shlex.split(from_copy(UPLOADED, f"{TASK}/AnsiballZ_copy.py", "0" * 64).decode())[:2] == ["/bin/sh", "-c"]


@pytest.mark.parametrize("command", [f"python3 {TASK}/x.py", f"sh {TASK}/.source", f"{TASK}/AnsiballZ_copy.py"])
def test_nothing_else_runs_there(command: str, payload: bytes) -> None:
    """A file that is compared before it runs could be changed in between, where uploads are let through."""
    script = command.rsplit(maxsplit=1)[-1]
    said = judge(Question.of(uploaded(payload, command.encode(), script), IdentityKind.AGENT), built_in(1, 60), None, 1)
    assert (said.verdict, said.rule) == (Verdict.DENY, "tool")
    said = judge(Question.of(uploaded(payload), IdentityKind.AGENT), built_in(1, 60), None, 1)
    assert said.verdict is Verdict.HOLD


@pytest.mark.parametrize(
    "path",
    ["/run/systemd/system/x.service", "/etc/default/cron", "/etc/polkit-1/rules.d/x.rules", "/etc/gitconfig",
     "/etc/sysctl.d/x.conf", "/etc/ppp/ip-up.d/x", "/etc/init/x.conf", "/etc/dhcp/dhclient-exit-hooks.d/x",
     "/etc/docker/daemon.json", "/srv/app/venv/pyvenv.cfg", "/usr/lib/python3/dist-packages/x.pth"],
)  # fmt: skip
def test_what_is_run_later_is_written_by_nobody_without_a_person(path: str) -> None:
    below = (path.rpartition("/")[0], f"/{path.split('/')[1]}")
    assert not may_write(path, below)
    assert may_write("/srv/app/app.conf", ("/srv/app",))
