"""Single commands: what they read on stdin, what is set for them, and what needs no person."""

from __future__ import annotations

from tests.bypass.vector import (
    TOUCH,
    Allow,
    Approve,
    Channel,
    End,
    Ends,
    Exec,
    Held,
    Leave,
    Pause,
    Plant,
    Step,
    Type,
    Vector,
)


def _exec(
    name: str,
    category: str,
    must: str,
    *steps: Step,
    held: tuple[bytes, ...] = (),
    ends: Ends = Ends.CLOSED,
    bites: bool = True,
) -> Vector:
    return Vector(name, category, Channel.EXEC, must, steps, held=held, ends=ends, bites=bites)


def _automatic(name: str, allowed: bytes, tried: bytes, must: str, *, bites: bool = True) -> Vector:
    """Somebody remembered an approval; the agent tries what looks alike."""
    steps = (Plant(b"{E}", TOUCH + b"\n"), Allow(allowed), Exec(tried))
    return Vector(name, "allowlist", Channel.AUTOMATIC, must, steps, held=(tried,), ends=Ends.CLOSED, bites=bites)


STDIN = (
    _exec("EX-01", "exec", "a plain command is held", Exec(TOUCH), held=(TOUCH,)),
    _exec("EX-02", "exec", "lines of one command are one item", Exec(b"true\n" + TOUCH), held=(b"true\n" + TOUCH,)),
    _exec(
        "SI-02",
        "stdin-code",
        "code on stdin is captured, and part of what is approved",
        Exec(b"bash -s", open=True),
        Type(TOUCH + b"\n"),
        End(),
        Held(b"bash -s", stdin=TOUCH + b"\n"),
    ),
    _exec(
        "SI-06",
        "stdin-code",
        "code that comes later is held, too: no silent end, no silent data",
        Exec(b"sh", open=True),
        Pause(0.5),
        Type(TOUCH + b"\n"),
        End(),
        Held(b"sh", stdin=TOUCH + b"\n"),
    ),
    _exec(
        "SI-13",
        "stdin-code",
        "what xargs makes commands of is shown",
        Exec(b"xargs -I% sh -c %", open=True),
        Type(TOUCH + b"\n"),
        End(),
        Held(b"xargs -I% sh -c %", stdin=TOUCH + b"\n"),
    ),
    _exec(
        "SI-14",
        "stdin-code",
        "an approval of a shell with one script is none for another",
        Exec(b"sh", open=True),
        Type(b"true\n"),
        End(),
        Approve(b"sh", stdin=b"true\n"),
        Exec(b"sh", open=True),
        Type(TOUCH + b"\n"),
        End(),
        Held(b"sh", stdin=TOUCH + b"\n"),
    ),
    _exec(
        "EX-07",
        "env",
        "variables that run code do not reach the target",
        Plant(b"{E}", TOUCH + b"\n"),
        Exec(b"bash -c true", ("-o", "SetEnv=BASH_ENV={E} ENV={E}")),
        Approve(b"bash -c true"),
    ),
    _exec(
        "EX-08",
        "race",
        "an approval after the agent left runs nothing by itself",
        Plant(b"{E}", TOUCH + b"\n"),
        Exec(b"sh {E}"),
        Held(b"sh {E}"),
        Leave(),
        Approve(b"sh {E}"),
        ends=Ends.CUT,
        bites=False,
    ),
    _exec(
        "EX-09",
        "exec",
        "an approval is for these bytes: what is near them is asked for anew",
        Plant(b"{E}", TOUCH + b"\n"),
        Exec(b"true"),
        Approve(b"true"),
        Exec(b"true;sh {E}"),
        held=(b"true;sh {E}",),
    ),
    _exec(
        "EX-10",
        "scp",
        "scp's own protocol writes nothing that nobody saw",
        Exec(b"scp -t {X}", open=True),
        Type(b"C0644 3 x\nabc\x00"),
        End(),
    ),
    _exec(
        "TC-06",
        "toctou",
        "code that a build tool runs is held with the command",
        Plant(b"{E}", b"all:\n\t" + TOUCH + b"\n"),
        Exec(b"make -f {E}; sh -c 'sed -n 2p {E} | sh'"),
        held=(b"make -f {E}; sh -c 'sed -n 2p {E} | sh'",),
    ),
    _exec(
        "TC-07",
        "toctou",
        "a script that was put there before is held when it runs",
        Plant(b"{E}", TOUCH + b"\n"),
        Exec(b"/bin/sh -c '/bin/sh {E} && sleep 0'"),
        held=(b"/bin/sh -c '/bin/sh {E} && sleep 0'",),
    ),
)
# EX-08 and EX-09 name {E}, so nothing approved there names the canary

LITERAL = "only one simple command of literal words, exactly as it was approved"
GRAMMAR = "a program's name is not enough: each word is judged, and an unknown one is a person's matter"

AUTOMATIC = (
    _automatic("GT-01", b"less /etc/passwd", b"LESSOPEN='|sh {E} %s' less /etc/passwd", GRAMMAR, bites=False),
    _automatic(
        "GT-04",
        b"tar cf /dev/null /etc/hostname",
        b"tar cf /dev/null /etc/hostname --checkpoint=1 '--checkpoint-action=exec=sh {E}'",
        GRAMMAR,
    ),
    _automatic("GT-05", b"awk '{print}' /etc/hostname", b"awk 'BEGIN{system(\"sh {E}\")}'", GRAMMAR),
    _automatic("GT-06", b"vim -c :q", b"vim -es -u NONE -c ':!sh {E}' -c ':qa!'", GRAMMAR),
    _automatic("GT-08", b"ssh -V", b"ssh -o 'ProxyCommand=sh {E}' -o BatchMode=yes x", GRAMMAR),
    _automatic("GT-10", b"xargs -a /etc/hostname echo", b"xargs -a {E} -I% sh -c %", GRAMMAR),
    _automatic(
        "GT-11",
        b"systemctl status ssh",
        b"SYSTEMD_PAGER='sh {E}' SYSTEMD_PAGERSECURE=0 systemctl status ssh",
        GRAMMAR,
        bites=False,
    ),
    _automatic("GT-12", b"rsync -n a b", b"rsync -e 'sh {E} x' a b:", GRAMMAR, bites=False),
    _automatic("GT-14", b"man ls", b"man -P 'sh {E}' ls", GRAMMAR, bites=False),
    _automatic("GT-20", b"git diff --stat", b"git diff --no-index --output={X} /etc/hostname /dev/null", GRAMMAR),
    _automatic("GT-15", b"ls", b"ls; sh {E}", LITERAL),
    _automatic("GT-16", b"ls", b"ls $(sh {E})", LITERAL),
    _automatic("GT-16b", b"ls", b"ls `sh {E}`", LITERAL),
    _automatic("GT-16c", b"ls", b"bash -c 'ls <(sh {E})'", LITERAL),
    _automatic("GT-16d", b"ls", b"ls${IFS};sh${IFS}{E}", LITERAL),
    _automatic("GT-17", b"ls", b"ls\nsh {E}", LITERAL),
    _automatic("GT-18", b"ls /", b"ls *", LITERAL, bites=False),
    _automatic("GT-18b", b"ls /", b"ls /{a,b}", LITERAL, bites=False),
    _automatic("GT-19", b"ls", b"l\\s", LITERAL, bites=False),
    _automatic("GT-19b", b"ls", b"FOO=1 ls", LITERAL, bites=False),
    _automatic("GT-19c", b"ls", b"ls ", LITERAL, bites=False),
    _automatic("TC-02", b"ls", b"PATH={E}:$PATH ls", LITERAL, bites=False),
)
"""GT-18 and -19 are no attacks by themselves: where one of them is let through, what is judged is not what was written.
That is a matter of taste for low commands, and so `held` is what says it here."""

VECTORS = STDIN + AUTOMATIC
