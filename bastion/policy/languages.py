"""Small embedded languages: sed, awk, dd, dates, and options whose value is a language of its own. Pure.

Each function takes the text of the program and says what it may do beside reading and printing, as pairs of an action
of facts/actions.toml and what it touches; nothing means that it only reads. They are parsers of the small part that
matters, and answer `unknown-option` or `run-code` where they lose the thread: POSIX sed and GNU's commands `e w W`
(sed(1)), POSIX awk and gawk's `system`, pipes, redirections, `getline`, `@load`, indirect calls (gawk(1)).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from bastion.policy.words import UNKNOWN

Act = tuple[str, str]
"""Name of an action, and what it touches."""


# ---------------------------------------------------------------------------------------------------------------- sed


class _Lost(Exception):
    """The text cannot be followed."""


def sed(script: str) -> list[Act]:
    """What a sed script does beside editing the stream (GNU sed 4.9)."""
    try:
        return list(_sed(script))
    except (_Lost, IndexError):
        return [("run-code", "a sed script that cannot be followed")]


_SIMPLE = frozenset("=dDgGhHnNpPxzF")
_TEXT = frozenset("aic")
_LABEL = frozenset(":btT")


def _sed(script: str) -> Iterator[Act]:  # noqa: PLR0912, PLR0915 - one scan, a case a command
    at, size = 0, len(script)
    while at < size:
        char = script[at]
        if char in " \t\n;{}":
            at += 1
            continue
        if char == "#":
            end = script.find("\n", at)
            at = size if end < 0 else end
            continue
        at = _addresses(script, at)
        if at >= size:
            raise _Lost
        command = script[at]
        at += 1
        if command in "{}" or command in _SIMPLE:
            continue
        if command in "qQlL":
            at = _skip(script, at, " \t0123456789")
        elif command in _LABEL:
            at = _label(script, at, closing=command != ":")
        elif command in _TEXT:
            at = _text(script, at)
        elif command in "rR":
            end = _find(script, at, "\n")
            yield "read", script[at:end].strip()
            at = end
        elif command in "wW":
            end = _find(script, at, "\n")
            yield from _written(script[at:end].strip())
            at = end
        elif command == "y":
            delimiter = script[at]
            at = _delimited(script, at + 1, delimiter, plain=True)
            at = _delimited(script, at, delimiter, plain=True)
        elif command == "s":
            delimiter = script[at]
            at = _delimited(script, at + 1, delimiter)
            at = _delimited(script, at, delimiter, plain=True)
            while at < size and script[at] not in " \t\n;}#":
                flag = script[at]
                at += 1
                if flag == "e":
                    yield "run-code", "what a sed substitution makes"
                elif flag == "w":
                    end = _find(script, at, "\n")
                    yield from _written(script[at:end].strip())
                    at = end
                elif flag not in "gpiImM0123456789":
                    raise _Lost
        elif command == "e":
            yield "run-code", "a command of a sed script"
            at = _find(script, at, "\n")
        else:
            raise _Lost


def _written(name: str) -> Iterator[Act]:
    if name not in ("/dev/stdout", "/dev/stderr"):
        yield "write", name


def _addresses(script: str, at: int) -> int:
    for _ in range(2):
        at = _address(script, at)
        at = _skip(script, at, " \t")
        if script[at : at + 1] != ",":
            break
        at = _skip(script, at + 1, " \t+~")
    return _skip(script, at, " \t!")


def _address(script: str, at: int) -> int:
    char = script[at : at + 1]
    if char.isdigit() or char == "$":
        return _skip(script, at, "0123456789$~")
    if char in ("/", "\\"):
        delimiter = char
        if char == "\\":
            at += 1
            delimiter = script[at]
        at = _delimited(script, at + 1, delimiter)
        return _skip(script, at, "IM")
    return at


def _delimited(script: str, at: int, delimiter: str, *, plain: bool = False) -> int:
    """Behind the next delimiter that is not escaped. One inside brackets is left to a person, but for `plain` text."""
    if delimiter in "\\\n":
        raise _Lost
    bracket = False
    while at < len(script):
        char = script[at]
        if char == "\\":
            at += 2
            continue
        if char == "[" and not bracket and not plain:
            bracket = True
        elif char == "]" and bracket:
            bracket = False
        elif char == delimiter:
            if bracket:
                raise _Lost
            return at + 1
        at += 1
    raise _Lost


_LABELLED = re.compile(r"[ \t]*(?:[\w.-]+[ \t]*)?", re.ASCII)


def _label(script: str, at: int, *, closing: bool) -> int:
    """Behind a label and the blanks that end it. GNU takes what follows a blank for the next command, without a `;`."""
    match = _LABELLED.match(script, at)
    end = match.end() if match else at
    if script[end : end + 1] not in ("", "\n", ";") and not (closing and script[end] == "}"):
        raise _Lost
    return end


def _text(script: str, at: int) -> int:
    """The text of `a`, `i`, `c`: to the end of the line that does not end in a backslash. Of two, the one quotes the
    other, and the text ends; which of more is which depends on what stands before them."""
    while True:
        end = _find(script, at, "\n")
        if end >= len(script) or script[end - 1] != "\\":
            return end
        if script[end - 2] == "\\":
            raise _Lost
        at = end + 1


def _find(script: str, at: int, signs: str) -> int:
    while at < len(script) and script[at] not in signs:
        at += 1
    return at


def _skip(script: str, at: int, signs: str) -> int:
    while at < len(script) and script[at] in signs:
        at += 1
    return at


# ---------------------------------------------------------------------------------------------------------------- awk

_AWK = re.compile(
    r"""(?P<blank>[ \t\r\\]+|\#[^\n]*)|(?P<string>"(?:[^"\\\n]|\\.)*")
      |(?P<number>0x[0-9a-fA-F]+|[0-9.]+(?:[eE][-+]?\d+)?)
      |(?P<name>@?[A-Za-z_]\w*)|(?P<sign>\|&|\|\||&&|>>|[-+*/%^=!<>]=|\+\+|--|\*\*|[-+*%^!<>|?:=(){}\[\],;$~&\n@/])""",
    re.VERBOSE | re.DOTALL,
)
_AWK_DANGER = {
    "system": "run-code", "getline": "", "close": "", "fflush": "", "@load": "load-library", "@include": "run-script",
    "@namespace": "",
}  # fmt: skip
_REGEX = re.compile(r"/(?:[^/\\\n\[]|\\.|\[(?:\^?\]?)(?:[^\]\\\n]|\\.)*\])*/")


def awk(program: str) -> list[Act]:
    """What an awk program does beside printing: runs commands, writes files, loads code."""
    try:
        return list(_awk(program))
    except _Lost:
        return [("run-code", "an awk program that cannot be followed")]


def _awk(program: str) -> Iterator[Act]:  # noqa: PLR0912, PLR0915 - one scan, a case a token
    at, size = 0, len(program)
    operand = False
    depth = 0
    printing = -1
    while at < size:
        if program[at] == "/" and not operand:
            regex = _REGEX.match(program, at)
            if regex is None:
                raise _Lost
            at, operand = regex.end(), True
            continue
        match = _AWK.match(program, at)
        if match is None:
            raise _Lost
        kind, text = match.lastgroup, match[0]
        start, at = at, match.end()
        if kind == "blank":
            continue
        if kind == "name":
            if _AWK_DANGER.get(text):
                yield _AWK_DANGER[text], f"a command of an awk program ({text})"
            if text.startswith("@") and text not in _AWK_DANGER:
                yield "run-code", "an indirect call of an awk program"
            if text in ("ARGV", "ARGC"):
                yield "unknown-input", "files that an awk program names"
            if text == "getline" and program[:start].rstrip().endswith("|"):
                yield "run-code", "a command of an awk program"
            if text == "getline":
                yield from _getline(program[at:])
            if text in ("print", "printf"):
                printing = depth
            operand = text not in ("print", "printf", "return", "in", "case", "do", "else", "delete", "exit")
        elif kind in ("string", "number"):
            operand = True
            if text.startswith(('"/', '"~')):
                yield "read", text[1:-1]  # it may be opened by getline
        elif text == "/" and operand and _after_parenthesis(program, start):
            raise _Lost
        else:
            if text in ("(", "[", "{"):
                depth += 1
            elif text in (")", "]", "}"):
                depth -= 1
            if text in (";", "}"):  # not a newline: behind a comma or a backslash the statement goes on
                printing = -1
            if text in ("|", "|&"):
                yield "run-code", "a command of an awk program"
            if text in (">", ">>") and printing >= 0 and depth <= printing:
                target = re.match(r'\s*"([^"\\]*)"\s*(?=[;}\n]|$)', program[at:])
                if target is not None and target[1] == "/dev/stderr":
                    yield "plain-effect", "standard error of an awk program"
                elif target is None or target[1] not in ("/dev/stdout", "/dev/null"):
                    yield "write", target[1] if target else "a file named by an awk program"
            operand = text in (")", "]", "$", "++", "--")
            if text == "$":
                operand = False


def _getline(rest: str) -> Iterator[Act]:
    """`getline x < FILE`: a file that only run time knows can be a secret, and gawk's `/inet/` is the network."""
    source = re.match(r"\s*(?:[A-Za-z_]\w*|\$\w+)?\s*<\s*(.*)", rest, re.DOTALL)
    if source is None:
        return
    literal = re.match(r'"([^"\\]*)"\s*(?=[;)}\n]|$)', source[1])
    if literal is None:
        yield "unknown-input", "a file named by an awk program"
    elif literal[1].startswith("/inet"):
        yield "connect", literal[1]


def _after_parenthesis(program: str, at: int) -> bool:
    """After `)` a slash may divide or begin an expression; only a grammar could tell."""
    return program[:at].rstrip(" \t").endswith(")")


# ------------------------------------------------------------------------------------------------------------- others


def pager(word: str) -> list[Act]:
    """`less +!id` runs; `less +G` does not."""
    if word.startswith("+"):
        return [] if re.fullmatch(r"\+(?:\d+|G|F|/.*|\d*[gGp%])?", word) else [("run-code", "a pager's first command")]
    return [("read", word)]


def date(word: str) -> list[Act]:
    """`date +%F` prints; `date 0102` sets the clock."""
    return [] if word.startswith("+") else [("clock", word)]


def dd(word: str) -> list[Act]:
    """`of=` writes."""
    name, _, value = word.partition("=")
    if UNKNOWN in name:
        return [("copy", value or word)]
    if name == "of":
        return [("copy", value)]
    return [("read", value)] if name == "if" else []


_SET_OPTIONS = frozenset(
    ("errexit", "errtrace", "functrace", "noclobber", "noexec", "noglob", "nounset", "pipefail", "verbose", "xtrace")
)


def set_option(word: str) -> list[Act]:
    """`set -o NAME`; others change how words are read (`posix`, `keyword`) or what is kept (`history`)."""
    return [] if word in _SET_OPTIONS else [("session-change", f"option {word}")]


def tput(word: str) -> list[Act]:
    """`tput init` and `tput reset` may run the program that terminfo names as `iprog` (tput(1))."""
    return [("run-helper", f"terminal program of tput {word}")] if word in ("init", "reset") else []


def subscript(word: str) -> list[Act]:
    """A variable's name with a subscript is evaluated (bash(1), ARRAYS)."""
    return [("evaluates", word)] if "[" in word and word != "[" else []


_INTERPRETED = re.compile(
    r"rmtree|unlink|remove|rmdir|system|popen|subprocess|exec|spawn|socket|connect|urlopen|requests|fork|kill|truncate"
    r"|`|chmod|chown|eval|compile|os\.|write|pty|import\s*\(|FileUtils|File\.|qx|child_process|fs\.|net\."
)


def code(text: str) -> list[Act]:
    """Code of a language that is not parsed here: run, and worse when it names what deletes, connects or runs."""
    dangerous = _INTERPRETED.search(text) is not None
    return [("run-dangerous-code" if dangerous else "run-code", "code given on the command line")]


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


def container_mount(word: str) -> list[Act]:
    """A host's directory, socket or name space inside a container."""
    host = word.split(":", maxsplit=1)[0].removeprefix("type=bind,")
    risky = word in ("host", "ALL", "SYS_ADMIN") or host in ("/", "/etc", "/root", "/home", "/var/run/docker.sock")
    risky = risky or "source=/," in word or "docker.sock" in word or "unconfined" in word
    return [("container-host", word)] if risky else []


def sysctl(word: str) -> list[Act]:
    """`name=value` sets (sysctl(8))."""
    return [("kernel", word)] if "=" in word else []


def kill(word: str) -> list[Act]:
    """`-1` as a process is every process (kill(1))."""
    if word in ("-l", "-L", "--list", "--table"):
        return [("listed", "")]
    if re.fullmatch(r"-(?:SIG)?(?!1$)[A-Z0-9]+", word):
        return []  # the signal
    if UNKNOWN in word:
        return [("kill-many", "processes that are known only when it runs")]
    return [("kill-many", "every process")] if word == "-1" else [("kill", word)]


def service(word: str) -> list[Act]:
    """The action of `service NAME ACTION`."""
    known = {"status": "listed", "stop": "service-stop", "start": "service-start", "restart": "service-restart"}
    return [(known[word], "")] if word in known else []


def replicas(word: str) -> list[Act]:
    """Scaling to nothing stops what runs (kubectl-scale)."""
    return [("cluster-disrupt", "all replicas")] if word == "0" else []


def http_method(word: str) -> list[Act]:
    """Methods that only read (RFC 9110 section 9.2.1)."""
    return [] if word.upper() in ("GET", "HEAD", "OPTIONS") else [("send", f"a server ({word})")]


def mongo_target(word: str) -> list[Act]:
    """A database or its address; a name that ends like a script is one and is run (mongosh)."""
    return [("database-file", word)] if word.endswith((".js", ".mongodb", ".cjs", ".mjs")) or UNKNOWN in word else []


def nft(word: str) -> list[Act]:
    """A word of nft(8): what begins another command, or another line, changes."""
    return [("firewall", word)] if ";" in word or "\n" in word or UNKNOWN in word else []


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


def manifest(word: str) -> list[Act]:
    """A file, or an address that is fetched."""
    return [("download" if "://" in word or word.startswith("git@") else "read", word)]


def git_object(word: str) -> list[Act]:
    """A path, or a revision with a path behind the colon: `HEAD:.env`."""
    return [("read", word.rpartition(":")[2])]


def response(word: str) -> list[Act]:
    """`@file` is a file of arguments, of which the errors show the content (binutils)."""
    return [("read", word.removeprefix("@"))]


def assigned(word: str) -> list[Act]:
    """`name=value` sets, a name alone is shown (postconf(1))."""
    return [("edit", word)] if "=" in word else []


def archive(word: str) -> list[Act]:
    """`host:file` is on another machine, which tar(1) and cpio(1) reach by running rsh or ssh."""
    return [("connect", word)] if remote_path(word) else [("read", word)]


_PARTED = frozenset(
    ("print", "unit", "free", "all", "list", "devices", "align-check", "help", "version", "min", "opt", "s", "b", "%")
) | {f"{size}{unit}" for size in ("k", "m", "g", "t") for unit in ("b", "ib")}


def parted(word: str) -> list[Act]:
    """Commands of parted(8) that only show."""
    return [] if word.lower() in _PARTED or word.isdigit() else [("disk-change", word)]


def remote_path(word: str) -> bool:
    """`host:path`, `rsync://host`: on another machine."""
    return re.match(r"(?:[^/:]+@)?[^/:]+:|\w+://", word) is not None


def conninfo(word: str) -> list[Act]:
    """A connection string; `passfile`, `sslkey` and their like name files, and are read only."""
    return [("database-code", word)] if word.startswith("\\") else []


def tmux_format(word: str) -> list[Act]:
    """A word of tmux(1): one that ends in `;` begins another command, `#(…)` in a format runs one."""
    if word.endswith(";") or "#(" in word or UNKNOWN in word:
        return [("run-helper", word)]
    return []


_MYSQLADMIN: dict[str, str] = dict.fromkeys(
    ("ping", "status", "extended-status", "processlist", "variables", "version"), ""
) | {"drop": "database-drop", "shutdown": "database-stop", "kill": "database-stop"}


def mysqladmin(word: str) -> list[Act]:
    """Another command behind the first one (`ping shutdown`); what is not known to show changes. Every prefix that is
    no whole name counts as a change too, since mysqladmin(1) takes prefixes of its commands."""
    action = _MYSQLADMIN.get(word.lower(), "database-admin")
    return [(action, word)] if action else []


_YQ_LOAD = re.compile(r"\bload\w*\s*\(\s*(?:\"((?:[^\"\\]|\\.)*)\"\s*\))?")


def yq(expression: str) -> list[Act]:
    """`load("file")` and its kind read a file of that name; one that is worked out may be any (yq 4, Load)."""
    return [
        ("read-secret", "a file whose name is worked out") if match[1] is None else ("read", match[1])
        for match in _YQ_LOAD.finditer(expression)
    ]


def aws_parameter(word: str) -> list[Act]:
    """`file://` and `fileb://` put a file's contents in place of the word (aws(1), "Loading parameters")."""
    kind, separator, path = word.partition("://")
    return [("read", path)] if separator and kind in ("file", "fileb") else []
