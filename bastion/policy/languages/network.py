"""Words of programs that speak to a server: ssh, curl, aws. Pure."""

from __future__ import annotations

import re

from bastion.policy.languages import Act
from bastion.policy.words import UNKNOWN

_SSH_HARMLESS = frozenset(
    (  # noqa: SIM905 - a table
        "batchmode connecttimeout stricthostkeychecking userknownhostsfile loglevel port user identityfile hostname "
        "identitiesonly serveraliveinterval serveralivecountmax passwordauthentication preferredauthentications "
        "requesttty compression addressfamily connectionattempts ciphers macs kexalgorithms hostkeyalgorithms "
        "pubkeyauthentication"
    ).split()
)


def ssh_option(word: str) -> list[Act]:
    """`-o ProxyCommand=…` and its like run programs (ssh_config(5))."""
    name = re.split(r"[ =\t]", word.strip(), maxsplit=1)[0].lower()
    return [] if name in _SSH_HARMLESS else [("run-helper", f"ssh option {name}")]


def http_method(word: str) -> list[Act]:
    """Methods that only read (RFC 9110 section 9.2.1)."""
    return [] if word.upper() in ("GET", "HEAD", "OPTIONS") else [("send", f"a server ({word})")]


def output(word: str) -> list[Act]:
    """`-o FILE`; `-` and /dev/null are no files."""
    return [] if word in ("-", "/dev/null") else [("download-file", word)]


def header(word: str) -> list[Act]:
    """`-H @file` and `-b file` send what is in a file (curl(1)); a header or `name=value` is text."""
    return [] if (":" in word or "=" in word) and not word.startswith("@") else [("send", word)]


def curl_format(word: str) -> list[Act]:
    """`-w '%output{file}'` writes, `-w @file` reads (curl(1) 8.3)."""
    if "%output" in word or UNKNOWN in word:
        return [("download-file", word)]
    return [("read", word[1:])] if word.startswith("@") else []


def aws_parameter(word: str) -> list[Act]:
    """`file://` and `fileb://` put a file's contents in place of the word (aws(1), "Loading parameters")."""
    kind, separator, path = word.partition("://")
    return [("read", path)] if separator and kind in ("file", "fileb") else []
