"""Code for data is the error that matters; data for code costs a wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastion.policy.stdin import reads_code

CODE = [
    "sh",
    "bash",
    "bash -s",
    "bash -s x",
    "bash -x",
    "bash +x",
    "bash -o pipefail",
    "bash --rcfile x",
    "bash -",
    "bash /dev/stdin",
    "bash /proc/self/fd/0",
    "/bin/sh",
    "/usr/bin/env bash",
    "./sh",
    "sudo bash",
    "sudo -n sh",
    "sudo -u root sh",
    "sudo -i",
    "nohup bash",
    "env A=b bash",
    "A=b bash",
    "PATH=/tmp:$PATH cat",
    "python3",
    "python3 -",
    "python3 -W ignore",
    "python3 -i x.py",
    "perl",
    "ruby -x",
    "node",
    "psql",
    "psql -U postgres shop",
    "mysql shop",
    "sqlite3 x.db",
    "redis-cli -h host",
    "xargs rm",
    "parallel",
    "crontab -",
    "at now",
    "kubectl apply -f -",
    "docker exec -i x sh",
    "docker run -i busybox",
    "ssh other",
    "git apply",
    "patch -p1",
    "ed file",
    "vim -s /dev/stdin",
    "awk -f -",
    "sed -f - x",
    "make -f -",
    ". /dev/stdin",
    "source /dev/stdin",
    'eval "$(cat)"',
    "while read x; do $x; done",
    "read x; $x",
    "cat | sh",
    "cat | sudo tee x | bash",
    "echo $(sh)",
    "cat <(bash)",
    "true && bash",
    "(bash)",
    "{ sh; }",
    "if true; then sh; fi",
    "f() { sh; }; f",
    "cat() { sh; }; cat",
    "bash -c 'sh'",
    "bash -c 'cat | sh'",
    'bash -c "$X"',
    "$SHELL",
    "b''ash",
    "b\\ash",
    "$'\\x62ash'",
    "/bin/b[a]sh",
    "{bash,-s}",
    "./deploy.sh",
    "unknown-program",
    "busybox sh",
    "exec bash",
    "command bash",
    "alias cat=sh; cat",
    "trap sh EXIT",
    "coproc bash",
    "'unfinished",
    "tar -x --to-command=sh",
    "tar xI sh",
    "tar -xIsh",
    "tar -x --use-compress-program=sh",
    "tar -x $OPTIONS",
    "split --filter=sh",
    "split --filt sh",
    "sort --compress-program sh",
    "systemctl edit --stdin x",
    "ip -batch -",
    "curl -K -",
    "export PATH=/tmp; cat",
]

DATA = [
    "true",
    "cat",
    "cat > file",
    "cat >/dev/null",
    "tar -xf - -C /srv",
    "dd of=x bs=1M",
    "gzip -d > x",
    "sha256sum",
    "head -c 10",
    "/usr/bin/wc -l",
    "sudo systemctl restart nginx",
    "sudo -n tee /etc/x",
    "grep -c error | sort | uniq -c",
    "cd /srv && ls -la",
    "bash -c 'cat > x'",
    "bash -c 'exit 3'",
    "bash script.sh",
    "python3 script.py --flag",
    "python3 -c 'print(1)'",
    "b''ash x.sh",
    "echo done; exit 7",
]


@pytest.mark.parametrize("command", CODE)
def test_what_may_be_code_is_read_first(command: str) -> None:
    why = reads_code(command.encode())
    assert why
    assert why.isprintable()


@pytest.mark.parametrize("command", DATA)
def test_what_is_known_as_data_streams(command: str) -> None:
    assert reads_code(command.encode()) is None


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_give_an_answer(command: bytes) -> None:
    assert reads_code(command) is None or reads_code(command)


@given(st.sampled_from(CODE), st.sampled_from(DATA), st.sampled_from([" | ", "; ", " && ", " || ", "\n"]))
def test_one_reader_of_code_decides_for_the_line(code: str, data: str, between: str) -> None:
    assert reads_code(f"{data}{between}{code}".encode())
