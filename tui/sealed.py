"""A Textual app without the ways out of the terminal that Textual gives every app.

It may run on the bastion itself (bastion/console.py) for somebody who must not get further than its screens, and it
shows text of people who would like to. So: no file is written (screenshots, "delivered" files), no browser is started,
the process is not stopped and put into a background that has no shell behind it, and a failure prints no traceback,
whose local variables are that very text. What failed is kept in `failure` for whoever started the app.

What Textual can be told by the environment (drivers, logs, screenshots) is the business of who sets the environment:
the served console gets none.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable

from textual.app import App, SystemCommand
from textual.screen import Screen


class Sealed(App[None], inherit_bindings=False):
    """See above."""

    ENABLE_COMMAND_PALETTE = False
    ALLOW_SELECT = False

    failure = ""
    """The traceback of what ended the app; empty if it ended well."""

    def _fatal_error(self) -> None:
        self._keep_failure()
        self._close_messages_no_wait()

    def _print_error_renderables(self) -> None:
        if self._exit_renderables:
            self._keep_failure()
        self._exit_renderables.clear()

    def _keep_failure(self) -> None:
        error = self._exception
        self.failure = self.failure or "".join(traceback.format_exception(error)) or "the console failed"

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """None: they write screenshots, quit without a word, and change the theme to one that is not ours."""
        return ()

    def open_url(self, url: str, *, new_tab: bool = True) -> None:
        """Nothing is opened."""

    def deliver_text(self, *_: object, **__: object) -> str | None:
        """Nothing is written."""
        return None

    def deliver_binary(self, *_: object, **__: object) -> str | None:
        """Nothing is written."""
        return None

    def deliver_screenshot(self, *_: object, **__: object) -> str | None:
        """Nothing is written."""
        return None

    def save_screenshot(self, *_: object, **__: object) -> str:
        """Nothing is written; `export_screenshot` returns the picture to whoever asks for it in code."""
        return ""

    def action_screenshot(self, *_: object, **__: object) -> None:
        """Nothing is written."""

    def action_suspend_process(self) -> None:
        """There may be nobody who could go on with it."""

    def copy_to_clipboard(self, text: str) -> None:
        """Terminals take it from any program; nothing here has to reach another one."""
