"""A request as `bastion request show` prints it."""

from __future__ import annotations

from bastion.cli.details import request_rows
from tui.samples import request

DESCRIPTION = b"sftp: 1 change: remove /srv/x\n1 remove /srv/x\n    a file of 2 bytes, mode 0644\n    | -x\n"


def test_a_transfer_is_its_description_and_reads_nothing() -> None:
    rows = request_rows(request(kind="transfer", command=DESCRIPTION, stdin="bundled"))
    names = [name for name, _ in rows]
    assert "stdin" not in names
    assert "command" not in names
    at = names.index("transfer")
    assert rows[at + 1] == ("", DESCRIPTION)


def test_a_command_says_what_it_reads() -> None:
    names = [name for name, _ in request_rows(request(command=b"ls"))]
    assert {"command", "stdin"} <= set(names)


def test_what_is_no_command_reads_nothing() -> None:
    for kind in ("grant", "forward"):
        names = [name for name, _ in request_rows(request(kind=kind, command=b"request-access web-1 --for 1800s"))]
        assert "stdin" not in names


def test_a_push_is_no_item_of_a_shell() -> None:
    push = {"kind": "stdin", "stdin": "bundled", "sequence": 1, "mode": "none"}
    rows = dict(
        request_rows(request(command=b"create refs/heads/x 7d1a\n", stdin_code=b"0000", parent="r-9add8d93", **push))
    )
    assert rows["pushed by"] == "the command of r-9add8d93"
    assert str(rows["stdin"]).startswith("the list of refs as git sent it: 4 bytes")
    assert not {"shell", "typed into", "command"} & set(rows)
