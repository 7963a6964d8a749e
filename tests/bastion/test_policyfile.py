"""Reading a policy from disk: what is no honest file is refused, and nothing outside its directory is read."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from pathlib import Path

import pytest

from bastion import policyfile
from bastion.errors import ConfigError
from bastion.policy.tokens import FILE_LIMIT

POLICY = 'policy "p" {\n  version 1\n  %s\n}\n'


def made(directory: Path, body: str = "allow low", name: str = "policy.bastion") -> Path:
    path = directory / name
    path.write_text(POLICY % body)
    return path


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        policyfile.load(path, approvals=1, timeout=60)
    return str(caught.value)


def test_it_is_read_and_its_hash_is_that_of_the_file(tmp_path: Path) -> None:
    path = made(tmp_path)
    policy, findings = policyfile.load(path, approvals=2, timeout=90)
    assert (policy.name, policy.default_approvals, policy.default_timeout, findings) == ("p", 2, 90, [])
    assert policy.digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_hash_of_several_files_is_that_of_what_sha256sum_prints(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "a").write_text("deny delete\n")
    path = made(tmp_path, 'include "parts/a"')
    lines = [f"{hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()}  {name}\n" for name in
             ("parts/a", "policy.bastion")]  # fmt: skip
    assert policyfile.read(path).digest == hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
    assert policyfile.read(path).files == ("policy.bastion", "parts/a")


def test_the_size_is_exact_and_ten_megabytes_are_refused_fast(tmp_path: Path) -> None:
    path = made(tmp_path)
    text = path.read_bytes()
    path.write_bytes(text + b"#" * (FILE_LIMIT - len(text)))
    policyfile.read(path)
    path.write_bytes(text + b"#" * (FILE_LIMIT - len(text) + 1))
    assert f"at most {FILE_LIMIT}" in refused(path)
    path.write_bytes(b"{" * (10 << 20))
    begun = time.process_time()
    assert "10485760 bytes" in refused(path)
    assert time.process_time() - begun < 0.1


@pytest.mark.parametrize("data", [b"\xff", b'policy "\xc3("', b"policy \xed\xa0\x80", b"\xff\xfep\0o\0"])
def test_what_is_not_utf8_is_refused_with_its_place(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "p"
    path.write_bytes(b"# line\n" + data)
    assert f"{path}:2:" in refused(path)
    assert "not UTF-8" in refused(path)


def test_what_is_no_regular_file_is_refused_and_waits_for_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "not a regular file" in refused(tmp_path / "pipe")
    assert "not a regular file" in refused(Path("/dev/zero"))
    assert "cannot be read" in refused(tmp_path)
    assert "cannot be read" in refused(tmp_path / "missing")
    (tmp_path / "loop").symlink_to("loop")
    assert "cannot be read" in refused(tmp_path / "loop")


def test_included_files_stay_in_the_directory(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "sub").mkdir(parents=True)
    (tmp_path / "outside").write_text("deny delete\n")
    (home / "link").symlink_to(tmp_path / "outside")
    (home / "sub" / "a").write_text('include "../b"\n')
    (home / "b").write_text("deny delete\n")
    for wanted in ("../outside", "link", str(tmp_path / "outside"), "/etc/passwd", "sub/../../outside"):
        assert "outside the directory" in refused(made(home, f'include "{wanted}"'))
    policyfile.read(made(home, 'include "sub/a"'))
    (home / "b").write_text('include "sub/a"\n')
    assert "includes itself" in refused(made(home, 'include "sub/a"'))
    (home / "c").symlink_to("b")  # another name of the same file is the same file
    (home / "b").write_text('include "c"\n')
    assert "includes itself" in refused(made(home, 'include "b"'))
    assert "includes itself" in refused(made(home, 'include "policy.bastion"'))
    os.mkfifo(home / "pipe")
    assert "not a regular file" in refused(made(home, 'include "pipe"'))
    assert "cannot be read" in refused(made(home, 'include "nothing"'))


def test_errors_in_included_files_name_them(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("deny delete\n\n  alow low\n")
    assert refused(made(tmp_path, 'include "a"')).startswith(f"{tmp_path / 'a'}:3:3: found `alow`")


def test_what_lint_calls_an_error_is_not_loaded(tmp_path: Path) -> None:
    assert refused(made(tmp_path, "allow *")).startswith(f"{tmp_path / 'policy.bastion'}:3:3: `allow *` equals no gate")
    assert "time never approves" in refused(made(tmp_path, "timeout approve"))
    policyfile.read(made(tmp_path, "allow *"))  # lint must be able to say it


def test_a_file_that_is_written_while_it_is_read_is_never_half_read(tmp_path: Path) -> None:
    """One writer truncates and rewrites in place, as fast as it can; whatever is loaded is one of the two texts."""
    path = made(tmp_path)
    texts = [
        (POLICY % ("# one" + "#" * 200_000)).encode(),
        (POLICY % ("# two" + "%" * 100_000 + "\n  deny low")).encode(),
    ]
    hashes = {hashlib.sha256(text).hexdigest() for text in texts}
    path.write_bytes(texts[0])
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for text in texts:
                path.write_bytes(text)

    writer = threading.Thread(target=write)
    writer.start()
    outcomes = set()
    try:
        for _ in range(300):
            try:
                digest = policyfile.read(path).digest
                outcomes.add("read")
                assert digest in hashes
            except ConfigError:
                outcomes.add("refused")
    finally:
        stop.set()
        writer.join()
    path.write_bytes(texts[1])
    assert policyfile.read(path).digest in hashes
