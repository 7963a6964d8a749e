"""The bundles of tests/vectors: what `verify` and the shell script must say of each; and that they are as made."""

from __future__ import annotations

import filecmp
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from recorder.export import VERIFY_SH
from recorder.verify import verify
from tests.vectors.make_bundles import make

BUNDLES = Path(__file__).parents[1] / "vectors" / "bundles"
NAMES = sorted(path.name for path in BUNDLES.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_what_is_expected(name: str, tmp_path: Path) -> None:
    expected = json.loads((BUNDLES / name / "expected.json").read_text())
    report = verify(BUNDLES / name, key=expected["key"], head=expected["head"] or None)
    assert (report.verdict, report.seq) == (expected["verdict"], expected["seq"]), report.problems

    bundle = tmp_path / "bundle"
    shutil.copytree(BUNDLES / name, bundle)
    shutil.copy(VERIFY_SH, bundle)
    (tmp_path / "key.pub").write_text(expected["key"] + "\n")
    done = subprocess.run(
        ["sh", bundle / "verify.sh", tmp_path / "key.pub"], capture_output=True, text=True, check=False
    )
    assert done.returncode == expected["verify_sh"], done.stderr


def test_they_are_as_made(tmp_path: Path) -> None:
    make(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == NAMES
    for name in NAMES:
        compared = filecmp.dircmp(tmp_path / name, BUNDLES / name)
        assert (compared.left_only, compared.right_only) == ([], [])
        assert filecmp.cmpfiles(tmp_path / name, BUNDLES / name, compared.common_files, shallow=False)[1:] == ([], [])
