"""What people are shown: covered, unless they asked for the rest."""

from __future__ import annotations

from bastion import covering, overwriting
from bastion.policy import visible as plain
from recorder.frames import Frame

KEY = "AKIA" + "IOSFODNN7EXAMPLE"


def test_texts_are_covered_and_revealed() -> None:
    text = f"aws configure set key {KEY} now"
    assert KEY[4:] not in covering.visible(text)
    assert "⟨secret aws-key-id, 16 bytes, #" in covering.visible_line(text.encode(), 200)
    assert covering.value({"a": [text], "b": 1})["b"] == 1
    assert KEY[4:] not in str(covering.value({"a": [text]}))
    assert covering.overwritten(text.encode()) == text.replace(KEY[4:], "[secret]********").encode()
    with covering.revealing():
        assert covering.visible(text) == plain.visible(text)
        assert covering.visible_line(text, 20) == plain.visible_line(text, 20)
        assert covering.text(text) == text
        with covering.revealing(False):
            assert covering.text(text) == text
    with covering.revealing(False):
        assert KEY[4:] not in covering.text(text)


def test_one_process_shows_the_same_secret_alike() -> None:
    assert covering.visible(f"x {KEY} y") == covering.visible(f"x {KEY} y")
    assert covering.visible(f"x {KEY} y") != covering.visible(f"x {KEY[:-1]}F y")


def test_short_texts_need_no_look() -> None:
    assert len("pwd=abcd") >= covering.LEAST
    assert covering.visible("a\x1bb") == plain.visible("a\x1bb")


def test_frames_are_overwritten_across_their_ends_and_keep_their_sizes() -> None:
    data = f"key {KEY} end\r\n".encode()
    made = [Frame(at, "output", data[at : at + 3]) for at in range(0, len(data), 3)]
    mixed = [*made[:4], Frame(5, "resize", b"80x24"), Frame(6, "stderr", b"PGPASSWORD=hunter2"), *made[4:]]
    mixed.append(Frame(9, "marker", b"r-1 PGPASSWORD=hunter2 psql"))
    covered = overwriting.frames(mixed)
    assert [(each.at_us, each.kind, len(each.data)) for each in covered] == [
        (each.at_us, each.kind, len(each.data)) for each in mixed
    ]
    whole = b"".join(each.data for each in covered)
    assert KEY[4:].encode() not in whole
    assert b"hunter2" not in whole
    assert b"80x24" in whole


def test_what_is_watched_live_is_covered_as_it_comes() -> None:
    live, out = overwriting.Live(), b""
    for byte in f"key {KEY} end".encode():
        out += live.cover("output", bytes([byte]))
    assert KEY[4:].encode() not in out
    assert out.endswith(b" end")
    assert live.cover("marker", b"r-1 PGPASSWORD=hunter2") == b"r-1 PGPASSWORD=*******"
    assert live.cover("resize", b"80x24") == b"80x24"


def test_a_keyframe_is_overwritten_also_where_a_line_was_wrapped() -> None:
    from recorder import keyframe
    from recorder.screen import Screen

    screen = Screen(30, 6)
    screen.feed(f"a\r\nthe key is \x1b[31m{KEY}\x1b[0m\r\nPGPASSWORD=hunter2 x\r\n".encode())
    covered = overwriting.screen(screen.keyframe())
    text = "".join(data for row in covered["buffer"] for run in row[3:] for data in run[2])
    assert SECRET not in text
    assert "hunter2" not in text
    assert "the key is AKIA" in text
    keyframe.load(covered)


SECRET = KEY[4:]


def test_people_are_shown_nothing_past_it() -> None:
    """In the console and the command line texts go through here; `describe` counts, and an editor has to edit."""
    import re
    from pathlib import Path

    root = Path(covering.__file__).parents[1]
    found = []
    for path in [*root.glob("tui/**/*.py"), *root.glob("bastion/cli/*.py"), root / "bastion/control/timeline.py"]:
        for match in re.finditer(r"^ *from bastion\.policy\.visible import (.+)$", path.read_text(), re.M):
            names = {name.strip() for name in match[1].split(",")} & {"visible", "visible_line", "describe"}
            found += [f"{path.relative_to(root)}: {name}" for name in sorted(names)]
    assert set(found) <= {"bastion/cli/output.py: describe", "tui/screens/editing.py: visible"}
