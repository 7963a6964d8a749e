"""Requests that no ordinary client sends, and what belongs to channels of their own. Most are functions of probes/:
they speak the protocol itself."""

from __future__ import annotations

from tests.bypass.vector import Channel, Ends, Exec, Held, Probe, Shown, Vector


def _probe(name: str, category: str, channel: Channel, must: str, probe: str) -> Vector:
    return Vector(name, category, channel, must, (Probe(probe),), ends=Ends.CUT, bites=False)


def _shown(name: str, must: str, command: bytes, has: tuple[str, ...], lacks: tuple[str, ...] = ()) -> Vector:
    """A command whose picture could lie. It goes by the ordinary client, so it has no NUL and is UTF-8."""
    steps = (Exec(command), Held(command), Shown(has, lacks))
    return Vector(name, "display", Channel.APPROVER, must, steps, ends=Ends.CLOSED, bites=False)


PROTOCOL = (
    _probe("EX-03", "exec", Channel.PROTOCOL, "a command with NUL, or that is no UTF-8, is refused", "odd_commands"),
    _probe("PR-02", "protocol", Channel.PROTOCOL, "one command a channel: a second one is refused", "second_command"),
    _probe("PR-05", "protocol", Channel.PROTOCOL, "no tunnel to an address of the agent's choosing", "tunnels"),
    _probe("PR-06", "protocol", Channel.PROTOCOL, "no tunnel to a socket of the target", "socket_tunnel"),
    _probe("PR-07", "protocol", Channel.PROTOCOL, "no listener on the target", "listener"),
    _probe("PR-10", "protocol", Channel.PROTOCOL, "no agent and no display goes along", "agent_and_display"),
    _probe("PR-13", "protocol", Channel.PROTOCOL, "signals have no effect but to take back what is held", "signals"),
    _probe("PR-15", "protocol", Channel.PROTOCOL, "a terminal's name runs nothing", "terminal_names"),
    _probe("PR-16", "protocol", Channel.PROTOCOL, "who drops the connection leaves nothing running", "dropped"),
    _probe("PR-17", "protocol", Channel.PROTOCOL, "a second client of one connection has gates of its own", "shared"),
    _probe("PR-19", "protocol", Channel.PROTOCOL, "new keys in the middle change nothing", "new_keys"),
    _probe("PR-21", "protocol", Channel.PROTOCOL, "one agent cannot flood the approvers", "flood"),
    _probe("PR-22", "protocol", Channel.PROTOCOL, "garbage on one channel harms no other", "garbage"),
    _probe("PR-23", "protocol", Channel.PROTOCOL, "env and pty-req after the command change nothing", "late_requests"),
)

APPROVER = (
    _shown("DI-01", "controls are named", b"echo \x1b[2K\x1b[1A; id", ("⟨ESC⟩",), ("\x1b",)),
    _shown("DI-02", "a carriage return is named", b"rm -rf /x #\recho harmless   ", ("⟨CR⟩", "rm -rf /x"), ("\r",)),
    _shown("DI-03", "bidi marks are named", "echo \u202egnp.exe".encode(), ("U+202E",), ("\u202e",)),
    _shown("DI-04", "letters that look alike are named", "c\u0430t /x".encode(), ("U+0430",), ("\u0430",)),
    _shown("DI-05", "what has no width is named", "e\u200bcho".encode(), ("U+200B",), ("\u200b",)),
    _shown("DI-06", "nothing is composed", "echo e\u0301".encode(), ("U+0301",), ("\u0301", "\u00e9")),
    _shown("DI-07", "tabs are named", b"echo\ta", ("⟨TAB⟩",), ("\t",)),
    _shown("DI-08", "every line end has its mark", b"true\n\n\n\n\nrm -rf /x\n", ("⏎", "rm -rf /x")),
    _shown("DI-09", "controls of 8 bits are named", "echo \x9b2J".encode(), ("U+009B",), ("\x9b",)),
    _shown("DI-10", "long blanks are counted", b"ls" + b" " * 10_000 + b"; rm -rf /x", ("10000 spaces", "rm -rf /x")),
    _shown("DI-11", "a long command is whole", b"ls " + b"x" * 30_000 + b"; rm -rf /x", ("; rm -rf /x",)),
    _shown("DI-12", "words to the approver stay the command's", b"ls # APPROVED BY admin", ("# APPROVED BY admin",)),
    _probe("AP-01", "approver", Channel.APPROVER, "an approval is bound to what was displayed", "other_digest"),
    _probe("AP-02", "approver", Channel.APPROVER, "an approval counts once", "twice"),
    _probe("AP-03", "approver", Channel.APPROVER, "after a denial no approval counts", "denied_first"),
    _probe("AP-04", "approver", Channel.APPROVER, "an approval after it was taken back runs nothing", "withdrawn"),
)

FILES = (
    _probe("FI-02", "files", Channel.FILES, "a denied overwrite leaves the file as it was", "overwrite"),
    _probe(
        "FI-03", "files", Channel.FILES, "a file that changed since it was shown is not replaced", "changed_meanwhile"
    ),
    _probe("FI-04", "files", Channel.FILES, "links are resolved before anybody is asked", "through_a_link"),
    _probe("FI-06", "files", Channel.FILES, "a rename is held", "rename"),
    _probe("FI-08", "files", Channel.FILES, "a change of mode is held", "set_mode"),
    _probe("FI-10", "files", Channel.FILES, "a path never reaches a shell", "path_with_code"),
    _probe("FI-12", "files", Channel.FILES, "rsync as a daemon runs nothing of its configuration", "rsync_daemon"),
    _probe("FI-15", "files", Channel.FILES, "git takes exactly one path", "git_arguments"),
    _probe("FI-16", "files", Channel.FILES, "secrets are not read unseen", "read_secret"),
    _probe("FI-17", "files", Channel.FILES, "no extension goes past", "extensions"),
)

JUMP = (
    _probe("PJ-01", "jump", Channel.JUMP, "only a registered name and port 22", "jump_elsewhere"),
    _probe("PJ-02", "jump", Channel.JUMP, "no second hop, and no forward inside", "second_hop"),
    _probe("PJ-03", "jump", Channel.JUMP, "what is inside a jump is gated like everything else", "jump"),
    _probe("PJ-06", "jump", Channel.JUMP, "the agent's own key opens no target", "directly"),
)

VECTORS = PROTOCOL + APPROVER + FILES + JUMP
