"""How the console looks and which keys it takes: what a configuration may say, and what the bastion keeps for `ssh -t`.

`client.toml` speaks for `bastion tui`. Over ssh (`served`) it is not at hand; there the preferences count that the
bastion keeps, which their owner signed (bastion/control/preferring.py).
"""

from __future__ import annotations

from textual import on

from bastion import errors
from bastion.control import wire
from bastion.control.preferences import Preferences, PreferencesError, parse
from bastion.covering import visible_line
from tui import keys, messages
from tui.choices import check_look, typed
from tui.feed import words_of
from tui.screens.preferring import PreferencesScreen
from tui.showing import Showing
from tui.themes import THEMES


class Look(Showing, inherit_bindings=False):
    """The part of the app that is about this."""

    served: bool
    """Over ssh: what the bastion keeps counts here."""
    keymap_ids: dict[str, str]
    """Keys by id, where they are mapped anew."""

    def key_of(self, id: str) -> str:
        """The keys that do this, as they are mapped here."""
        return self.keymap_ids.get(id, keys.DEFAULTS[id])

    @on(messages.Kept)
    def kept(self, message: messages.Kept) -> None:
        """Preferences take effect; what this release does not know of them is said, and then none of it counts."""
        if not self.served:
            return
        try:
            self.adopt(parse(message.text))
        except (PreferencesError, errors.UsageError) as error:
            self.tell(f"your preferences were not used: {visible_line(str(error), 200)}", "warning")
        self.draw()

    def adopt(self, wanted: Preferences) -> None:
        """Has it so from now on. Raises UsageError, and changes nothing then."""
        check_look(wanted)
        self.keymap_ids = keys.checked(wanted.keymap)
        self.set_keymap(self.keymap_ids)
        self.view.typed = typed(wanted.confirm)
        if wanted.theme and not self.no_color:
            self.theme = wanted.theme
        self.view.guard.display_changed(self.clock())

    def next_theme(self) -> None:
        """The next of our themes; the choice lasts as long as the console runs."""
        names = [own.name for own in THEMES] + ["ansi-dark", "ansi-light"]
        self.theme = names[(names.index(self.theme) + 1) % len(names) if self.theme in names else 0]
        self.tell(f"theme: {self.theme}")

    def edit_preferences(self) -> None:
        """Asks what is kept, and opens the dialog for it."""
        self.run_worker(self._preferences(), name="preferences", exclusive=True, group="preferences")

    async def _preferences(self) -> None:
        try:
            kept = await self.feed.call(wire.ShowPreferences, wire.PreferencesInfo)
            text = parse(kept.text).text()
        except (errors.BastionError, PreferencesError) as error:
            self.tell(f"what is kept cannot be had: {words_of(error)}", "bad")
            self.draw()
            return
        confirm = "target" if self.view.typed else ""
        here = Preferences(self.theme, confirm, tuple(sorted(self.keymap_ids.items())))
        self.push_screen(PreferencesScreen(text or here.text()), self._prefer)

    def _prefer(self, wanted: Preferences | None) -> None:
        if wanted is not None:
            self.tell("your preferences are being signed and sent ...")
            self.run_worker(self.feed.prefer(wanted.text()), name="prefer")
            self.draw()
