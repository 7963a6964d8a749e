"""Options and operands that take a look of their own: one function for each, by the word that the facts have. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

from bastion.policy.argv import Invocation
from bastion.policy.findings import Finding
from bastion.policy.languages import Act, awk, databases, files, network, sed, system, versions
from bastion.policy.surroundings import Where
from bastion.policy.words import UNKNOWN, Word

if TYPE_CHECKING:
    from bastion.policy.running import Runner

NO_PAGER = frozenset(("--no-pager", "-f", "--follow", "-n", "--lines", "-P"))
_OWN_URL = re.compile(r"(?:https?://)?(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?(?:[/?#][^@]*)?", re.IGNORECASE)
_DIVERTS = frozenset(("-x", "--proxy", "--resolve", "--connect-to", "-L", "--location", "--interface", "--unix-socket"))
"""Options of curl(1) by which a request goes elsewhere than its URL says."""
_TESTS = frozenset(("-v", "-R"))
_COUNTS = frozenset(("-eq", "-ne", "-lt", "-le", "-gt", "-ge"))
_NAME = re.compile(r"\w+(?:\[\d+\])?")


class Listed(list[Finding]):
    """The answer of an option that makes its program only list, with what listing does."""


LISTED = Listed()


def _only_lists(_runner: Runner, _given: Invocation, _word: Word, _where: Where) -> list[Finding]:
    return LISTED


def _paged_list(runner: Runner, given: Invocation, _word: Word, where: Where) -> list[Finding]:
    """A listing of everything, which goes to a pager by itself: `dpkg -l`, `dmesg -H`."""
    if where.captured or given.operands or given.has(NO_PAGER | {"--nopager"}):
        return LISTED
    return Listed([runner.finder.find("paged", given.path)])


def _dry(_runner: Runner, given: Invocation, _word: Word, _where: Where) -> list[Finding]:
    return [] if given.has(frozenset(("-f", "--force"))) else LISTED


def _later(_runner: Runner, _given: Invocation, _word: Word, _where: Where) -> list[Finding]:
    """Settled when the rest has been found."""
    return []


def _env_split(runner: Runner, given: Invocation, _word: Word, where: Where) -> list[Finding]:
    """`env -S STRING` without further words; with them it is read where they are."""
    return [] if given.operands else runner.with_environment(given, (), where)


def _firewall_list(runner: Runner, given: Invocation, _word: Word, _where: Where) -> list[Finding]:
    """Without -n it asks name servers about every address."""
    numeric = given.has(frozenset(("-n", "--numeric")))
    return LISTED if numeric else Listed([runner.finder.find("lookup", "addresses in the rules")])


def _trapped(runner: Runner, given: Invocation, word: Word, where: Where) -> list[Finding]:
    """`''` ignores the signals behind it and `-`, or nothing in front of them, puts them back (bash(1)): neither
    runs anything. What else stands there is code for later."""
    if word.text in ("", "-") or (len(given.operands) == 1 and word.constant and word.text.isalnum()):
        return []
    return [runner.finder.find("session-hook", word.text), *runner.string(word, where)]


def _checkout(runner: Runner, given: Invocation, word: Word, _where: Where) -> list[Finding]:
    """Paths behind a branch or `--` are overwritten (git-checkout(1))."""
    if given.separated or (len(given.operands) > 1 and word is not given.operands[0]):
        return [runner.finder.find("vcs-discard", word.text)]
    return runner.effects_of(versions.checkout(word.text))


def _restore(runner: Runner, given: Invocation, word: Word, _where: Where) -> list[Finding]:
    """Changes that are not committed are lost, unless only the index is restored (git-restore(1))."""
    index_only = given.has(frozenset(("-S", "--staged"))) and not given.has(frozenset(("-W", "--worktree")))
    return [runner.finder.find("vcs-local" if index_only else "vcs-discard", word.text)]


def _shell_next(runner: Runner, given: Invocation, _word: Word, where: Where) -> list[Finding]:
    """`bash -c STRING`: the string is the first operand."""
    if not given.operands or not given.operands[0].text:
        return [runner.finder.find("unknown-option", f"{given.path} -c without a command")]
    return runner.string(given.operands[0], where)


def _sudo_shell(runner: Runner, given: Invocation, _word: Word, _where: Where) -> list[Finding]:
    return [] if given.operands else [runner.finder.find("become-root", given.path)]


def _remote_copy(runner: Runner, given: Invocation, word: Word, where: Where) -> list[Finding]:
    if given.has(frozenset(("--list-only",))):
        return _remote_read(runner, given, word, where)
    if files.remote_path(word.text):
        return [runner.finder.find("send", word.text)]
    return runner.finder.path("copy", word, where.directories)


def _remote_read(runner: Runner, _given: Invocation, word: Word, where: Where) -> list[Finding]:
    if files.remote_path(word.text):
        return [runner.finder.find("download", word.text)]
    return runner.finder.path("read", word, where.directories)


def _declared(runner: Runner, given: Invocation, word: Word, _where: Where) -> list[Finding]:
    """`export NAME=value`, `declare NAME`."""
    name, equals, value = word.text.partition("=")
    array = any(one.name in ("-a", "-A") for one in given.options)
    if word.splits or (equals and value.startswith("(")) or (array and UNKNOWN in value):
        return [runner.finder.find("evaluates", word.raw)]  # '(…)' is read as an array, and expanded
    return runner.variable(name, value, exported=False)


def _exported(runner: Runner, _given: Invocation, word: Word, _where: Where) -> list[Finding]:
    """`docker exec -e NAME=value`: for the command that follows."""
    name, _, value = word.text.partition("=")
    return runner.variable(name, value, exported=True)


def _pack(runner: Runner, given: Invocation, _word: Word, where: Where) -> list[Finding]:
    """`tar -c`: the archive is written, what goes into it is read (tar(1)); `-` is stdout."""
    named = [one.value for one in given.options if one.name in ("-f", "--file") and one.value is not None]
    if not named:
        return [runner.finder.find("create", "the default archive")]
    return [found for file in named for found in runner.finder.path("create", file, where.directories)]


def _names(runner: Runner, _given: Invocation, word: Word, where: Where) -> list[Finding]:
    """A file that names the files that are read."""
    return runner.finder.path("read", word, where.directories) + runner.finder.path("read", Word(UNKNOWN, word.raw))


def _template_file(runner: Runner, _given: Invocation, word: Word, where: Where) -> list[Finding]:
    """`kubectl get -o go-template-file=PATH` prints what is in the file."""
    kind, _, path = word.text.partition("=")
    return (
        runner.finder.path("read", Word(path, word.raw, word.glob), where.directories) if kind.endswith("-file") else []
    )


def _assigned_files(runner: Runner, _given: Invocation, word: Word, where: Where) -> list[Finding]:
    """`helm --set-file a=FILE,b=FILE`."""
    files = [each.partition("=")[2] for each in word.text.split(",")]
    return [found for file in files for found in runner.finder.path("read", Word(file, word.raw), where.directories)]


def _looked_up(runner: Runner, given: Invocation, word: Word, _where: Where) -> list[Finding]:
    """`getent hosts NAME` asks name servers, where the name is none of this network's."""
    asks = given.operands[0].text in ("hosts", "ahosts", "ahostsv4", "ahostsv6") and word is not given.operands[0]
    away = [what for action, what in databases.host(word.text) if action == "connect"] if asks else []
    return [runner.finder.find("lookup", what) for what in away]


def _url(runner: Runner, given: Invocation, word: Word, _where: Where) -> list[Finding]:
    """A service of the target itself is asked, and answers: `curl localhost/health`."""
    elsewhere = given.has(_DIVERTS) or _OWN_URL.fullmatch(word.text) is None
    return [runner.finder.find("download" if elsewhere else "ask-local", word.text)]


def _service(runner: Runner, given: Invocation, word: Word, _where: Where) -> list[Finding]:
    """`service NAME ACTION`: the action says what, the name of which service."""
    return [runner.finder.find(name, given.operands[0].text) for name, _ in system.service(word.text)]


def _tree(runner: Runner, given: Invocation, word: Word, where: Where) -> list[Finding]:
    """Every file below a directory is read. A whole tree (`/`, `/home`) holds secrets somewhere, which is not
    counted; a directory that holds them itself (`~/.ssh`, `/etc`) is."""
    below = [word] if word.text else runner.paths(given)
    here = runner.finder.reading(word, where.directories) if word.text else []
    return here + [found for each in below for found in runner.inside(each, where.directories)]


def _variable(runner: Runner, _given: Invocation, word: Word, _where: Where) -> list[Finding]:
    """A name that a builtin assigns to: `read NAME`, `printf -v NAME`."""
    return runner.variable(word.text, UNKNOWN, exported=False)


def _tested(runner: Runner, given: Invocation, word: Word, _where: Where) -> list[Finding]:
    """`test -v NAME` evaluates the name's subscript (bash(1) CONDITIONAL EXPRESSIONS)."""
    words = given.operands
    names = [after for before, after in pairwise(words) if before.text in _TESTS]
    counted = [
        one
        for before, sign, after in zip(words, words[1:], words[2:], strict=False)
        if sign.text in _COUNTS
        for one in (before, after)
    ]
    if any("[" in one.text for one in counted):  # ksh takes it for arithmetic
        return [runner.finder.find("evaluates", word.raw)] if word is words[0] else []
    unsure = any(one.splits for one in words) and any("[" in one.text[1:] for one in words)
    if (word in names and not _NAME.fullmatch(word.text)) or (unsure and word is words[0]):
        return [runner.finder.find("evaluates", word.raw)]
    return []


def _remote_line(runner: Runner, given: Invocation, word: Word, where: Where) -> list[Finding]:
    """`ansible -a`: a module's arguments; for shell and command modules a command line."""
    return runner.string(word, where) if given.program.name == "ansible" else []


def _psql_variable(runner: Runner, _given: Invocation, word: Word, _where: Where) -> list[Finding]:
    harmless = word.text.startswith(("ON_ERROR_STOP", "QUIET", "ECHO")) and UNKNOWN not in word.text
    return [] if harmless else [runner.finder.find("database-unread", f"variable {word.text}")]


LANGUAGES: Mapping[str, Callable[[str], list[Act]]] = {
    "sed": sed.sed,
    "awk": awk.awk,
    "pager": files.pager,
    "date": system.date,
    "dd": files.dd,
    "tput": system.tput,
    "mongo-target": databases.mongo_target,
    "output": network.output,
    "header": network.header,
    "curl-format": network.curl_format,
    "manifest": files.manifest,
    "response": files.response,
    "git-object": versions.git_object,
    "nft": system.nft,
    "assigned": system.assigned,
    "archive": files.archive,
    "parted": system.parted,
    "set-option": system.set_option,
    "python": system.code,
    "perl": system.code,
    "other": system.code,
    "ssh-option": network.ssh_option,
    "git-config": versions.git_config,
    "refspec": versions.refspec,
    "container-mount": system.container_mount,
    "sysctl": system.sysctl,
    "kill": system.kill,
    "replicas": system.replicas,
    "http-method": network.http_method,
    "conninfo": databases.conninfo,
    "database-host": databases.host,
    "tmux-format": system.tmux_format,
    "mysqladmin": databases.mysqladmin,
    "yq": files.yq,
    "aws-parameter": network.aws_parameter,
}
"""What reads text by itself."""

SPECIAL: Mapping[str, Callable[[Runner, Invocation, Word, Where], list[Finding]]] = {
    "only-lists": _only_lists,
    "lookup": _only_lists,
    "restore": _restore,
    "paged-list": _paged_list,
    "dry": _dry,
    "rehearsal": _later,
    "env-split": _env_split,
    "firewall-list": _firewall_list,
    "checkout": _checkout,
    "shell-next": _shell_next,
    "sudo-shell": _sudo_shell,
    "remote-copy": _remote_copy,
    "remote-read": _remote_read,
    "assignment": _declared,
    "url": _url,
    "names": _names,
    "assigned-files": _assigned_files,
    "looked-up": _looked_up,
    "template-file": _template_file,
    "pack": _pack,
    "service": _service,
    "tree": _tree,
    "trap": _trapped,
    "variable": _variable,
    "environment": _exported,
    "test": _tested,
    "remote-line": _remote_line,
    "psql-variable": _psql_variable,
}
