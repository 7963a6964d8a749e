"""The bundles of tests/vectors: what `verify` and the shell script must say of each; and that they are as made."""

from __future__ import annotations

import filecmp
import json
import os
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from recorder.export import VERIFY_SH
from recorder.verify import verify
from tests.vectors.make_bundles import make

ROOT = Path(__file__).parents[2]
BUNDLES = ROOT / "tests" / "vectors" / "bundles"
SHELLS = [each for each in (["dash"], ["busybox", "ash"]) if shutil.which(each[0])] or [["sh"]]
"""What a stranger may have; busybox then is also the sed, grep and sha256sum of its own."""
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
    for shell in SHELLS:
        done = subprocess.run(
            [*shell, bundle / "verify.sh", tmp_path / "key.pub"], capture_output=True, text=True, check=False
        )
        assert done.returncode == expected["verify_sh"], (shell, done.stderr)


def test_they_are_as_made(tmp_path: Path) -> None:
    make(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == NAMES
    for name in NAMES:
        compared = filecmp.dircmp(tmp_path / name, BUNDLES / name)
        assert (compared.left_only, compared.right_only) == ([], [])
        assert filecmp.cmpfiles(tmp_path / name, BUNDLES / name, compared.common_files, shallow=False)[1:] == ([], [])


def test_every_attack_and_crash_has_a_vector_or_a_test() -> None:
    """The tables of tests/vectors/README.md: what they name is there, and they name every bundle."""
    rows = re.findall(
        r"^\| (?!-)(.+?) \| (`[^|]*`) \|$", (ROOT / "tests" / "vectors" / "README.md").read_text(), re.MULTILINE
    )
    shown = {
        row: re.findall(r"`([^`]+)`", names) for row, names in rows if "shown by" not in names and "bundles/" not in row
    }
    assert len(shown) > 35
    bundles = set()
    for row, names in shown.items():
        for name in names:
            path, _, test = name.partition("::")
            if not test:
                bundles.add(name)
            else:
                found = re.search(rf"^(?:async )?def {test}\(", (ROOT / path).read_text(), re.MULTILINE)
                assert found, f"{row}: there is no {name}"
    assert bundles == set(NAMES)


ROUNDS = int(os.environ.get("BASTION_MUTATIONS", "300")) // 2
"""Random changes of each bundle."""


@pytest.mark.parametrize("base", ["valid", "valid-rotated"])
def test_no_random_change_of_a_bundle_is_missed(base: str, tmp_path: Path) -> None:
    """One to three bytes changed, cut or put in, in any file that is evidence: all of it is signed, so none passes."""
    key = json.loads((BUNDLES / base / "expected.json").read_text())["key"]
    for seed in range(ROUNDS):
        chance = random.Random(seed)
        bundle = tmp_path / f"{seed}"
        shutil.copytree(BUNDLES / base, bundle)
        path = chance.choice(sorted([*bundle.glob("seg-*"), *bundle.glob("checkpoint*")]))
        good = path.read_bytes()
        bad = bytearray(good)
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(bad))
            match chance.randrange(4):
                case 0:
                    del bad[at : at + chance.randint(1, 64)]
                case 1:
                    bad[at:at] = chance.randbytes(chance.randint(1, 8))
                case _:
                    bad[at] ^= 1 << chance.randrange(8)
        if bytes(bad).split() == good.split() and path.suffix == ".sig":
            continue  # the line breaks of an armour mean nothing
        path.write_bytes(bad)
        assert not verify(bundle, key=key).good, f"seed {seed}: {path.name}"
        shutil.rmtree(bundle)
