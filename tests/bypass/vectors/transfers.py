"""What looks like a transfer and is not, and what goes through one that is. Files themselves are in protocol.py."""

from __future__ import annotations

from tests.bypass.vector import Channel, Ends, Exec, Plant, Probe, Vector


def _masks(name: str, command: bytes, must: str, *, bites: bool = True) -> Vector:
    """A command with the face of a transfer: it is held as what it is, whole, and its stdin with it."""
    steps = (Plant(b"{E}", b"touch {X}\n"), Exec(command))
    return Vector(name, "masquerade", Channel.EXEC, must, steps, held=(command,), ends=Ends.CLOSED, bites=bites)


def _probe(name: str, must: str, probe: str) -> Vector:
    return Vector(name, "masquerade", Channel.EXEC, must, (Probe(probe),), ends=Ends.CUT, bites=False)


MASQUERADES = (
    _masks("MQ-01", b"scp -t /tmp/x; touch {X}", "a command behind scp is held with it"),
    _masks("MQ-02", b"rsync --server; touch {X}", "a command behind rsync is held with it"),
    _masks("MQ-03", b"git-receive-pack '/x'; touch {X}", "a command behind git is held with it"),
    _masks("MQ-04", b"git-upload-pack '/x' & touch {X}", "a command beside git is held with it"),
    _masks("MQ-05", b"scp -t /tmp/x\ntouch {X}", "a second line is held with the first"),
    _masks("MQ-06", b'scp -t "$(touch {X})"', "a path that runs something is no path"),
    _masks("MQ-07", b"GIT_TRACE=1 git-receive-pack '/x' || touch {X}", "variables in front make it another command"),
    _masks("MQ-08", b"env X=1 sh {E} scp -t /tmp/x", "env runs what stands behind it, whatever that looks like"),
    _masks("MQ-09", b"rsync --server -vlogDtpre.iLsfx . /tmp/x; sh {E}", "options of a transfer make it none"),
    _masks("MQ-10", b"sh {E} # scp -t /tmp/x", "a comment is no transfer"),
    _masks("MQ-11", b"scp() { sh {E}; }; scp -t /tmp/x", "a function of that name is no transfer"),
    _masks("MQ-12", b"git-receive-pack '/x' | sh {E}", "a pipe is no transfer"),
    _masks("MQ-13", b"sftp-server; touch {X}", "nor is this one of sftp"),
    Vector(
        "MQ-14",
        "masquerade",
        Channel.EXEC,
        "mosh goes on past the bastion: it is refused, and nothing is held",
        (Exec(b"mosh-server new -- touch {X}"),),
        ends=Ends.CUT,
        bites=False,
    ),
    _probe("MQ-20", "a subsystem is known by its exact name", "subsystem_names"),
    _probe(
        "MQ-21", "a push that needs nobody to be opened changes nothing by itself", "push_of_a_remembered_repository"
    ),
    _probe("MQ-22", "what follows an approved list of refs moves no other", "second_list_of_a_push"),
)

VECTORS = MASQUERADES
