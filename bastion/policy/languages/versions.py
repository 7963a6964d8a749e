"""Words of git: settings, references, paths. Pure."""

from __future__ import annotations

import re

from bastion.policy.languages import Act

_GIT_HARMLESS = re.compile(r"(?:color|user|advice|log\.date|log\.decorate|diff\.renames|core\.quotepath)[.=].*", re.I)


def git_config(word: str) -> list[Act]:
    """`-c core.pager=…`, `-c alias.x=!…` run programs (git-config(1))."""
    return [] if _GIT_HARMLESS.match(word) else [("run-helper", f"git setting {word}")]


def refspec(word: str) -> list[Act]:
    """`+ref` and `:ref` overwrite or delete on the other side (git-push(1))."""
    return [("vcs-push-force", word)] if word.startswith(("+", ":")) else []


def checkout(word: str) -> list[Act]:
    """A path instead of a branch throws its changes away; `.` is the common case (git-checkout(1))."""
    return [("vcs-discard", word)] if word in (".", "*", ":/") or word.startswith(("./", "../")) else []


def git_object(word: str) -> list[Act]:
    """A path, or a revision with a path behind the colon: `HEAD:.env`."""
    return [("read", word.rpartition(":")[2])]
