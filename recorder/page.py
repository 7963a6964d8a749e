"""A recording as one HTML file: the player, the cast and the list of commands, nothing from elsewhere. Pure.

Theory of operation. The page works from `file://` and asks nobody for anything: its Content-Security-Policy allows
exactly the two scripts and the two style sheets that are in it, by their SHA-256, and WebAssembly for the player's
terminal; no connection, frame, image or form at all. What comes from agents and targets stands in two places only: the
cast, as JSON in a data block that no browser runs, with every `<`, `>` and `&` as a \\u escape, so that it can neither
end the block nor begin anything; and the list, as text with HTML's five special characters escaped. The player draws
terminal cells as text.

The player is vendored (recorder/player/README.md). It renders with a terminal of its own (avt), not with ours: what it
shows of odd sequences may differ from `session replay`. Neither is the evidence; the frames are.

The player leaves pauses of more than 3 s out, and its times are those without them. So the list goes by the number of a
command's marker, which the page finds by its time in the cast. Before it plays, the page shows the last screen.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PLAYER = Path(__file__).with_name("player")
"""The vendored files."""
_ESCAPES = str.maketrans({each: f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"})

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.4 system-ui, sans-serif; }
body { margin: 1.5rem; }
h1 { font-size: 1.15rem; margin: 0 0 .25rem; }
p { margin: 0 0 1rem; opacity: .75; }
main { display: grid; grid-template-columns: minmax(0, 3fr) minmax(16rem, 1fr); gap: 1rem; align-items: start; }
@media (max-width: 60rem) { main { grid-template-columns: minmax(0, 1fr); } }
ol { list-style: none; margin: 0; padding: 0; max-height: 85vh; overflow: auto; }
li { margin: 0 0 .4rem; }
li button, li div { display: block; box-sizing: border-box; width: 100%; padding: .4rem .6rem; text-align: left;
  font: inherit; color: inherit; background: none; border: 1px solid #8886; border-left: .35rem solid #888;
  border-radius: .3rem; }
li button { cursor: pointer; }
li button:hover, li button:focus-visible, li .now { background: #8883; }
li .low { border-left-color: #3a8f4d; }
li .medium { border-left-color: #c98a1b; }
li .high { border-left-color: #c6362f; }
li small { opacity: .75; }
code { display: block; white-space: pre-wrap; overflow-wrap: anywhere; font: .9em/1.35 ui-monospace, monospace; }
"""
_SCRIPT = """
"use strict";
const cast = JSON.parse(document.getElementById("cast").textContent);
const place = document.getElementById("player");
const marks = [];
let at = 0;
for (const line of cast.split("\\n").slice(1))
  if (line) {
    const [after, kind] = JSON.parse(line);
    at += after;
    if (kind === "m") marks.push(at);
  }
const buttons = [...document.querySelectorAll("button[data-at]")].map((button) => {
  const from = Number(button.dataset.at);
  const index = marks.reduce((best, time, number) =>
    Math.abs(time - from) < Math.abs(marks[best] - from) ? number : best, 0);
  return { button, index };
});
const player = AsciinemaPlayer.create({ data: cast }, place,
  { fit: "width", preload: true, idleTimeLimit: 3, poster: "npt:9999999" });
for (const { button, index } of buttons)
  button.addEventListener("click", async () => {
    await player.seek({ marker: index });
    mark(index);
  });
function mark(index) {
  const now = buttons.filter((each) => each.index <= index).pop();
  for (const each of buttons) each.button.classList.toggle("now", each === now);
}
player.addEventListener("marker", (event) => mark(event.index));
"""


@dataclass(frozen=True, slots=True)
class Command:
    """A line of the list, in words that are fit to be seen."""

    text: str
    about: str
    """Who decided what, in a few words."""
    tier: str
    """low, medium, high; anything else has no colour."""
    at_us: int | None
    """When it began, in the recording; None: it never ran there."""


def page(title: str, about: str, commands: Iterable[Command], cast: Iterable[str]) -> Iterator[str]:
    """The page in pieces. `cast` is lines of an asciicast. Raises OSError when the player's files are not there."""
    player = (PLAYER / "asciinema-player.min.js").read_text("utf-8")
    looks = (PLAYER / "asciinema-player.css").read_text("utf-8")
    yield (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_policy((player, _SCRIPT), (looks, _STYLE))}">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{looks}</style>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{html.escape(title)}</h1>\n<p>{html.escape(about)}</p>\n"
        "<noscript><p>The player needs JavaScript; this page loads nothing from elsewhere.</p></noscript>\n"
        '<main>\n<div id="player"></div>\n<ol>\n'
    )
    for command in commands:
        yield _item(command)
    yield '</ol>\n</main>\n<script type="application/json" id="cast">"'
    for line in cast:
        yield json.dumps(line, ensure_ascii=False)[1:-1].translate(_ESCAPES)
    yield f'"</script>\n<script>{player}</script>\n<script>{_SCRIPT}</script>\n</body>\n</html>\n'


def _item(command: Command) -> str:
    kind = command.tier if command.tier in ("low", "medium", "high") else ""
    words = f"<code>{html.escape(command.text)}</code><small>{html.escape(command.about)}</small>"
    if command.at_us is None:
        return f'<li><div class="{kind}">{words}</div></li>\n'
    return f'<li><button type="button" class="{kind}" data-at="{command.at_us / 1e6:.6f}">{words}</button></li>\n'


def _policy(scripts: Iterable[str], styles: Iterable[str]) -> str:
    """CSP level 3: https://www.w3.org/TR/CSP3/."""
    return (
        f"default-src 'none'; script-src {_hashes(scripts)} 'wasm-unsafe-eval'; style-src {_hashes(styles)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hashes(contents: Iterable[str]) -> str:
    digests = (hashlib.sha256(content.encode()).digest() for content in contents)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
