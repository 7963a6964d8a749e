"""What is shown with its secrets, on a screen of its own where nothing can be decided. Pure.

The lists and the texts that people decide by stay covered: what they show is kept from one drawing to the next, and
must not be what was meant for one look.
"""

from __future__ import annotations

import json

from bastion.control import wire
from bastion.covering import revealing, visible
from tui.paper import Document, Row, Rows, Source, banner_rows, field_rows, source, title_row
from tui.words import cell

NOTED = "REVEALED: secrets are on your screen. The ledger has an entry that says that you looked."


def request_document(info: wire.RequestInfo, width: int) -> Document:
    """What a request asked for, all of it."""
    rows: list[Row] = [title_row(f"request {cell(info.id, 40)}", "", width), *banner_rows(NOTED, width, "alarm")]
    blocks: list[Rows | Source] = [Rows(rows)]
    with revealing():
        for name, text in (("reason", info.reason), ("rollback", info.rollback), ("task", info.task)):
            rows += field_rows(name, visible(text), width) if text else []
        for name, text in info.environment:
            rows += field_rows("variable", f"{visible(name, newlines=False)}={visible(text)}", width)
        for name, data in (("command", info.command), ("code on stdin", info.stdin_code), ("script", info.script_code)):
            if data:
                blocks += [Rows([title_row(name, "", width)]), source(visible(data), width, 0)]
    return Document(blocks)


def entry_document(line: wire.LedgerLine, width: int) -> Document:
    """One entry of the ledger, field by field, as it was signed."""
    rows: list[Row] = [title_row(f"entry {line.seq}", "", width), *banner_rows(NOTED, width, "alarm")]
    try:
        entry = json.loads(line.entry)
        words = json.dumps(entry, indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        words = line.entry.decode("utf-8", "replace")
    with revealing():
        return Document([Rows(rows), source(visible(words), width, 0)])
