"""Makes the captures anew: what real programs send to a terminal of 80 by 24, byte for byte.

    python tests/captures/make.py [NAME...]

Each runs on a pty of its own, is typed at with pauses, and is ended; what it sent goes to NAME.out. The files are kept
in the repository, so that a test needs none of the programs but tmux.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time
from pathlib import Path

HERE = Path(__file__).parent
SIZE = (80, 24)

TEXT = "".join(f"{n:4d}  def function_{n}(self, value={n}):  # a comment, {'=' * (n % 50)}\n" for n in range(300))
PROGRESS = r"""
import time
for n in range(0, 101, 4):
    bar = "█" * (n // 4) + "▏" * (n < 100)
    print(f"\r\x1b[32m{bar:<26}\x1b[0m {n:3d}% \x1b[2m{n * 1.7:5.1f} MB/s\x1b[0m", end="\x1b[K", flush=True)
    time.sleep(0.01)
print("\n\x1b[1mdone\x1b[0m")
"""
CJK = r"""
print("漢字とかなの文章。日本語テキスト 한국어 텍스트 中文字符" * 4)
print("e\u0301 a\u0308 n\u0303 o\u0302\u0323 \u0915\u093f")
print("emoji: 😀 🚀 ✅ 🎉 | ❤ ☎ ★ | αβγ кириллица ﬀ ﬁ")
print("\x1b[44mwide at the edge " + "漢" * 40 + "\x1b[0m")
print("\x1b[7m漢字\x1b[0m\x1b[3D|\x1b[K overwritten halves: 漢字漢字\b\b\bX")
print("box: ┌─┬─┐ │ │ │ └─┴─┘ ▁▂▃▄▅▆▇█ ░▒▓")
print("\x1b(0lqqwqqk\x1b(B line drawing \x1b(0mqqvqqj\x1b(B")
"""

ALONE = ["unshare", "-rpf", "--mount-proc"]
"""In a process namespace of its own: what else runs here is nobody's business."""

PROGRAMS: dict[str, tuple[list[str], list[str]]] = {
    "vim": (
        ["vim", "-u", "NONE", "-N", "--cmd", "set t_Co=256 ruler showcmd nocompatible", "-c", "syntax on", "text.py"],
        ["\x06", "\x06", "jjj", "dd", "oinserted text\x1b", "V5j", "\x1b", ":set number\r", "/function_150\r", "zz",
         "ggGi漢字 é\x1b", ":sp\r", "\x17\x17", ":set hlsearch\r", "\x02", "p", "u", ":q!\r", ":q!\r"],
    ),
    "less": (
        ["less", "-R", "colours.txt"],
        [" ", " ", "b", "/150\r", "n", "G", "g", "5j", "-S\r", "\x1b)", "d", "u", "q"],
    ),
    "top": ([*ALONE, "top", "-d", "1"], ["", "1", "z", "x", "q"]),
    "htop": ([*ALONE, "htop", "-d", "10"], ["", "", "t", "\x1b[B\x1b[B", "", "\x1b", "q"]),
    "tmux": (
        ["tmux", "-S", "sock", "-f", "tmux.conf", "new-session", "sh"],
        ["PS1='$ '\r", "echo one\r", "\x02%", "PS1='% '\r", "seq 40\r", '\x02"', "seq 5\r", "\x02o", "\x02z", "\x02z",
         "printf '\\033[31mred\\033[0m\\n'\r", "\x02[", "\x1b[5~", "q", "\x02d"],
    ),
    "progress": ([sys.executable, "-c", PROGRESS], []),
    "cjk": ([sys.executable, "-c", CJK], []),
}  # fmt: skip


def capture(command: list[str], keys: list[str], work: Path) -> bytes:
    """What the program sent."""
    pid, fd = pty.fork()
    if pid == 0:
        os.chdir(work)
        env = {
            "PATH": os.environ["PATH"],
            "TERM": "xterm-256color",
            "LC_ALL": "C.UTF-8",
            "HOME": str(work),
            "SHELL": "/bin/sh",
        }
        words = [word.replace("{work}", str(work)) for word in command]
        os.execvpe(words[0], words, env)  # noqa: S606
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
    os.kill(pid, signal.SIGWINCH)
    sent = b""
    for key in [*keys, None]:
        sent += quiet(fd, 0.5)
        if key is not None:
            with contextlib.suppress(OSError):
                os.write(fd, key.encode())
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGHUP)
    os.waitpid(pid, 0)
    os.close(fd)
    return sent


def quiet(fd: int, seconds: float) -> bytes:
    """All that comes until nothing does for so long, or six times as long has passed."""
    found, end = b"", time.monotonic() + 6 * seconds
    while time.monotonic() < end and select.select([fd], [], [], seconds)[0]:
        try:
            data = os.read(fd, 65536)
        except OSError:
            break
        if not data:
            break
        found += data
    return found


def main(names: list[str]) -> None:
    """Those, or all."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "text.py").write_text(TEXT)
        (work / "tmux.conf").write_text("set -g status-right ''\n")
        (work / "colours.txt").write_text(
            "".join(
                f"\x1b[3{n % 8}mline {n}\x1b[0m {'漢' * (n % 9)} \x1b[1;4mbold {n}\x1b[0m {'-' * n}\n"
                for n in range(200)
            )
        )
        for each in names or PROGRAMS:
            command, keys = PROGRAMS[each]
            data = capture(command, keys, work)
            (HERE / f"{each}.out").write_bytes(data)
            print(each, len(data))


if __name__ == "__main__":
    main(sys.argv[1:])
