"""The command palette: every key of the main screen by what it does, for whoever does not know the key yet.

Textual's own palette, with none of its own commands in it: they write screenshots. What is chosen does exactly
what its key does, with the same guards, except that the second key of an approval is no command.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from textual.await_complete import AwaitComplete
from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider

from tui import keys

LEFT_OUT = frozenset({"request.confirm", "list.clear", "console.palette"})
"""A second key is a key of its own; the others mean nothing from here."""


class Commands(Provider):
    """The keys of the screen under the palette."""

    def _all(self) -> list[tuple[str, str, str]]:
        named = getattr(self.app, "keymap_ids", {})
        groups = (keys.DECIDE, keys.LISTS, keys.SCREENS, keys.CONSOLE)
        return [
            (key.help, key.action, keys.spelled(named.get(key.id, key.keys)))
            for group in groups
            for key in group
            if key.id not in LEFT_OUT
        ]

    async def discover(self) -> Hits:
        """All of them, before anything was typed."""
        for words, action, spelled in self._all():
            yield DiscoveryHit(words, partial(self._run, action), help=f"key {spelled}")

    async def search(self, query: str) -> Hits:
        """Those that match."""
        matcher = self.matcher(query)
        for words, action, spelled in self._all():
            if (score := matcher.match(words)) > 0:
                yield Hit(score, matcher.highlight(words), partial(self._run, action), help=f"key {spelled}")

    async def _run(self, action: str) -> None:
        await self.app.run_action(action, self.screen)


class Palette(CommandPalette):
    """Textual's, closed once: of Enter and Esc in one go the second would close the screen under it, too."""

    def dismiss(self, result: Any = None) -> AwaitComplete:
        return super().dismiss(result) if self.is_active else AwaitComplete()
