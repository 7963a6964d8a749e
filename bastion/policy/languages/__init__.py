"""Small embedded languages: programs of sed and awk, and options and operands whose value is a language of its own.
Pure.

Each function takes the text and says what it may do beside reading and printing, as pairs of an action of
facts/actions.toml and what it touches; nothing means that it only reads. They are parsers of the small part that
matters, and answer with something that is held where they lose the thread.

    sed.py, awk.py   programs                     network.py     ssh, curl, aws
    files.py         words that name files        versions.py    git
    system.py        words about the machine      databases.py   databases' clients

Which option or operand is which language the facts say; `bastion/policy/special.py` has the table.
"""

from __future__ import annotations

Act = tuple[str, str]
"""Name of an action, and what it touches."""


class Lost(Exception):
    """The text cannot be followed."""
