"""`bastion witness`: the other box that remembers heads, so that no ledger can be put back unseen."""

from __future__ import annotations

from pathlib import Path

import click

from bastion.cli import output
from bastion.cli.options import Settings, json_verb
from bastion.errors import UsageError

DIRECTORY = click.argument("directory", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))


@click.group("witness")
def command() -> None:
    """A witness of ledgers (C2SP tlog-witness), for another box than the bastion's: init, trust, list, serve."""


@command.command("init")
@DIRECTORY
@click.option("--name", required=True, help="What it is called, such as witness.example/w1.")
@json_verb
def init(settings: Settings, directory: Path, name: str) -> None:
    """Make a witness in DIR, a new directory. Prints its key: for bastion.toml, and for auditors."""
    from bastion.witness.store import WitnessStore

    made = WitnessStore.create(directory, name)
    if settings.json:
        output.as_json({"directory": str(directory.absolute()), "name": name, "key": made.witness.verifier_key})
    else:
        output.say(made.witness.verifier_key)


@command.command("trust")
@DIRECTORY
@click.argument("origin")
@click.argument("log_key", metavar="FILE.pub")
@json_verb
def trust(settings: Settings, directory: Path, origin: str, log_key: str) -> None:
    """Watch the ledger ORIGIN (HOST/xxxxxxxx, as `bastion ledger head` prints it), which FILE.pub signs.

    After `bastion ledger rotate-key` give it the new key in the same way: a witness believes nobody about keys.
    """
    from bastion.cli.identity import read_key_lines
    from bastion.witness.store import WitnessStore

    line = log_key if log_key.startswith("ssh-") else read_key_lines(Path(log_key), one=True)[0]
    log = WitnessStore(directory).trust(origin, " ".join(line.split()[:2]))
    if settings.json:
        output.as_json(_row(log.origin, len(log.keys), log.size))
    else:
        output.say(f"watching {output.shown(log.origin)}, {len(log.keys)} key{'' if len(log.keys) == 1 else 's'}")


@command.command("list")
@DIRECTORY
@json_verb
def list_(settings: Settings, directory: Path) -> None:
    """List the ledgers that are watched, and the size of the last head that was signed for each."""
    from bastion.witness.store import WitnessStore

    rows = [_row(log.origin, len(log.keys), log.size) for log in WitnessStore(directory).logs()]
    if settings.json:
        output.as_json(rows)
        return
    table = [(str(row["origin"]), str(row["keys"]), str(row["size"])) for row in rows]
    output.table(("ORIGIN", "KEYS", "ENTRIES"), table)


@command.command("serve")
@DIRECTORY
@click.option("--listen", default="127.0.0.1:2223", show_default=True, metavar="HOST:PORT", help="Port 0: a free one.")
@click.option("--tls-cert", metavar="FILE", default="", help="Serve HTTPS with this certificate chain.")
@click.option("--tls-key", metavar="FILE", default="", help="Its private key.")
def serve(directory: Path, listen: str, tls_cert: str, tls_key: str) -> None:
    """Answer bastions until stopped. Messages go to stderr."""
    import logging

    from bastion.settings import parse_listen
    from bastion.witness.server import serve as run

    try:
        host, port = parse_listen(listen)
    except ValueError as error:
        raise UsageError(f"--listen must be {error}") from None
    if bool(tls_cert) is not bool(tls_key):
        raise UsageError("--tls-cert and --tls-key go together")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    run(directory, host, port, cert=tls_cert, key=tls_key, ready=lambda bound: output.say(f"listening on port {bound}"))


def _row(origin: str, keys: int, size: int) -> dict[str, object]:
    return {"origin": origin, "keys": keys, "size": size}
