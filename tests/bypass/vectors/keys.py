"""Keys of all kinds, and windows of all sizes: what is shown is what runs, and each line is held."""

from __future__ import annotations

from tests.bypass.vector import (
    TOUCH,
    Approve,
    Ends,
    Resize,
    Type,
)
from tests.bypass.vectors.shell import shell

VECTORS = (
    shell(
        "KE-03",
        "keys",
        "vertical tab, form feed, NEL and line separators end no line; what is shown is what runs",
        Type(b"true\x0b" + TOUCH + b"\x0c\xc2\x85\xe2\x80\xa8" + TOUCH + b"\x1e\r"),
        bites=False,
    ),
    shell(
        "KE-05", "keys", "no search in a history that nobody sees", Type(b"\x12touch\r"), held=(b"touch",), bites=False
    ),
    shell("KE-09", "keys", "NUL is refused", Type(b"true\x00; " + TOUCH + b"\r"), held=(b"true; " + TOUCH,)),
    shell(
        "KE-10",
        "keys",
        "overlong UTF-8 is no newline",
        Type(b"true\xc0\x8a" + TOUCH + b"\xe0\x80\x8a\xff\xfe\r"),
        bites=False,
    ),
    shell(
        "KE-11",
        "keys",
        "8-bit controls are refused",
        Type(b"true\x9b2K\x85" + TOUCH + b"\xc2\x85\xc2\x9b1A\r"),
        bites=False,
    ),
    shell(
        "KE-12",
        "keys",
        "characters and keys cut into single bytes mean the same",
        Type("true é\x1b[D\x1b[C; ".encode() + TOUCH + b"\r", apart=True),
        held=("true é; ".encode() + TOUCH,),
    ),
    shell(
        "KE-13",
        "keys",
        "a lone line feed, ^O, ^M after a carriage return: each line is held, none runs",
        Type(TOUCH + b"\n"),
        held=(TOUCH,),
    ),
    shell("KE-14", "keys", "^O runs nothing", Type(TOUCH + b"\x0f"), Type(b"\r"), held=(TOUCH,)),
    shell(
        "KE-15",
        "keys",
        "^V quotes nothing, ^X^E opens no editor",
        Type(b"true \x16\x03\x18\x05; " + TOUCH + b"\r"),
        bites=False,
    ),
    shell(
        "KE-16",
        "keys",
        "a here-document is one item with its body",
        Type(b"cat <<E\r$(" + TOUCH + b")\rE\r"),
        held=(b"cat <<E\n$(" + TOUCH + b")\nE",),
    ),
    shell(
        "KE-17",
        "keys",
        "quotes that one command puts out, or leaves open, change nothing for the next",
        Type(b"printf '%s' \"'\\\"\"\r"),
        Approve(b"printf '%s' \"'\\\"\""),
        Type(b'x="\'"; eval "echo $x" 2>/dev/null\r'),
        Approve(b'x="\'"; eval "echo $x" 2>/dev/null'),
        Type(TOUCH + b"\r"),
        held=(TOUCH,),
    ),
    shell("KE-18", "keys", "however lines are put together, none escapes", Type(b"true # \\\r" + TOUCH + b"\r")),
    shell(
        "KE-19",
        "keys",
        "windows of any size change no decision",
        Resize(0, 0),
        Resize(1, 1),
        Resize(65535, 65535),
        Resize(80, 24, 500),
        Type(TOUCH + b"\r"),
        held=(TOUCH,),
    ),
    shell(
        "KE-20",
        "keys",
        "a line longer than the editor takes runs in no part",
        Type(b"true " + b"x" * 70_000 + b"; " + TOUCH + b"\r"),
        bites=False,
        ends=Ends.CUT,
    ),
)
