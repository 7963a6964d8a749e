"""What an Ansible payload says that it does: module and arguments out of an AnsiballZ wrapper. Pure; nothing is run.

Theory of operation. With pipelining Ansible feeds a Python program to `python3` on stdin, without it uploads the same
program and runs it: a wrapper, a zip of modules in base64, and JSON with the arguments. A program can say that it is
such a wrapper and do something else. So a payload is decoded only when every line of the wrapper is one that Ansible
writes: the lines that differ from payload to payload must be literals of an exact form, and what is left must have one
of the hashes of WRAPPERS. What is decoded is then what the wrapper really does: it unpacks the zip and runs the module
with these arguments.

Not protected: what the module does. Its code is the agent's, like any script; a name proves nothing. So the tier stays
that of code on stdin, high; the module's code has a hash (`code`), which is the same for every payload of one release,
so that a person can see that it is what was looked at before.
"""

from __future__ import annotations

import ast
import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bastion.model import Assessment, Effect, EffectKind
from bastion.policy import ansible_modules
from bastion.policy.visible import visible_line
from bastion.policy.zips import members

PAYLOAD_LIMIT = 1 << 20
"""Bytes of a payload that is looked at; those of ansible-core have 120 to 350 kB."""
FILES_LIMIT = 1000
"""Files in its zip; ansible-core has about 60."""
UNPACKED_LIMIT = 16 << 20
"""Bytes of them all, unpacked; ansible-core has about 1 MiB."""
ARGUMENTS_SHOWN = 12
"""Arguments that the reasons name; all of them stand in the payload."""
VALUE_WIDTH = 160
"""Characters of one of them."""
BLOCK_SHOWN = 8
"""Further reasons that are kept from what the arguments would do."""

WRAPPERS = {
    "c39723eeff267af68254160e189873fe08a08c79c8aba50a49dd943bb85c0330": "2.16 to 2.18",
    "97bca69c8b06e34d4adc9171d8c2c7e0480dce378f1f264db7886bb36b9117e7": "2.19",
}
"""SHA-256 of what is left of a wrapper, and the ansible-core that writes it."""

_NAME = r"(?P<value>[A-Za-z0-9_.]{1,200})"
_TEXT = r"(?P<value>'(?:[^'\\\r\n\0]|\\[^\r\n\0])*'|\"(?:[^\"\\\r\n\0]|\\[^\r\n\0])*\")"
_PACKED = r"(?P<quote>'''|\"\"\"|'|\")(?P<value>[A-Za-z0-9+/=]*)(?P=quote)"
_LINES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("zip", re.compile(rf" *(?:ZIPDATA = |zip_data=){_PACKED},?")),
    ("params", re.compile(rf" *(?:ANSIBALLZ_PARAMS = |params=){_TEXT},?")),
    ("date", re.compile(r" *zinfo\.date_time = (?P<value>\([0-9]{4}(?:, [0-9]{1,2}){5}\))")),
    ("date", re.compile(r"date_time=(?P<value>datetime\.datetime\([0-9, ]+, tzinfo=datetime\.timezone\.utc\)),")),
    ("module", re.compile(rf" *runpy\.run_module\(mod_name='{_NAME}', init_globals=dict\(_module_fqn='(?P=value)', "
                          r"_modlib_path=modlib_path\),")),
    ("module", re.compile(rf" *runpy\.run_module\(mod_name='{_NAME}', init_globals=None, run_name='__main__', "
                          r"alter_sys=True\)")),
    ("module", re.compile(rf"module_fqn='{_NAME}',")),
    ("name", re.compile(rf" *temp_path = tempfile\.mkdtemp\(prefix='ansible_' \+ '{_NAME}' \+ '_payload_'\)")),
    ("name", re.compile(rf" *zipped_mod = os\.path\.join\(temp_path, 'ansible_' \+ '{_NAME}' \+ '_payload\.zip'\)")),
    ("name", re.compile(rf"ansible_module='{_NAME}',")),
    ("limit", re.compile(r"rlimit_nofile=(?P<value>[0-9]{1,9}),")),
)  # fmt: skip
"""Lines that differ between payloads: what they hold, and their exact form."""

_SECRET = re.compile(r"(?i)passw|passphrase|secret|token|api_?key|private_key")
"""Arguments whose values stay out of reasons, which go into the ledger, to consoles and to notifications."""
_INTERPRETER = re.compile(r"#!(?:/usr|/usr/local)?/bin/(?:env )?python[0-9.]{0,8}", re.ASCII)
_OWN = "_ansible_"
"""Arguments that Ansible adds begin so."""


@dataclass(frozen=True, slots=True)
class Payload:
    """One that was decoded."""

    release: str
    """Of ansible-core, which wrote the wrapper."""
    module: str
    """Its full name: `ansible.modules.command`."""
    arguments: Mapping[str, Any]
    """Without Ansible's own."""
    hidden: bool
    """`no_log`: its arguments are nobody's to read."""
    check: bool
    """Check mode: the module is asked to change nothing."""
    code: str
    """SHA-256 over names and hashes of all files of its zip."""
    own: Mapping[str, Any]
    """The arguments that Ansible adds."""
    plain: bool
    """The wrapper says nothing but module, arguments and date."""


def decode(program: bytes) -> Payload | None:
    """The payload; None for anything that is not one, every line of it. Never raises."""
    if len(program) > PAYLOAD_LIMIT or b"_ANSIBALLZ_WRAPPER = True" not in program or b"\0" in program:
        return None
    try:
        text = program.decode()
        release, found = _skeleton(text)
        if not release:
            return None
        (module,), (packed,), (literal,) = found["module"], found["zip"], found["params"]
        given = json.loads(ast.literal_eval(literal), object_pairs_hook=_once)
        arguments = given["ANSIBLE_MODULE_ARGS"]
        if not isinstance(arguments, dict) or set(given) != {"ANSIBLE_MODULE_ARGS"} or len(found["name"]) != 1:
            return None
        code = _code(base64.b64decode(packed, validate=True), f"{module.replace('.', '/')}.py")
    except (ValueError, KeyError, SyntaxError, RecursionError, MemoryError, binascii.Error):
        return None
    own = {key: value for key, value in arguments.items() if key.startswith(_OWN)}
    rest = {key: value for key, value in arguments.items() if key not in own}
    hidden, check = own.get("_ansible_no_log") is not False, own.get("_ansible_check_mode") is True
    (named,) = found["name"]
    plain = found.get("limit", {"0"}) == {"0"} and named.rpartition(".")[2] == module.rpartition(".")[2]
    return Payload(release, module, rest, hidden, check, code, own, plain)


def skeleton(text: str) -> str:
    """SHA-256 of what is left of a wrapper: a key of WRAPPERS."""
    left = [line if (said := _variable(line)) is None else _place(line, said[0]) for line in _body(text)]
    return hashlib.sha256("\n".join(left).encode()).hexdigest()


def _skeleton(text: str) -> tuple[str, dict[str, set[str]]]:
    found: dict[str, set[str]] = {}
    for line in _body(text):
        if (said := _variable(line)) is not None:
            found.setdefault(said[0], set()).add(said[1])
    return WRAPPERS.get(skeleton(text), ""), found


def _place(line: str, name: str) -> str:
    """What is left of a line that differs: how far it is indented means something to Python."""
    return f"{' ' * (len(line) - len(line.lstrip(' ')))}\0{name}"


def _body(text: str) -> list[str]:
    """Its lines, but for the one that names the interpreter, where that is a Python."""
    lines = text.split("\n")
    return lines[1:] if _INTERPRETER.fullmatch(lines[0]) else lines


def _variable(line: str) -> tuple[str, str] | None:
    for name, form in _LINES:
        if (match := form.fullmatch(line)) is not None:
            return name, match["value"]
    return None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object without repeated keys: two readers must not see two arguments."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is repeated")
    return found


def _code(packed: bytes, module: str) -> str:
    """The hash of what is in the zip. Raises ValueError."""
    found = members(packed, files=FILES_LIMIT, size=UNPACKED_LIMIT)
    if module not in found:
        raise ValueError("not such a zip")
    lines = sorted(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in found.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


# --- for people -------------------------------------------------------------------------------------------------------

_STATES = {"restarted": "restart", "reloaded": "restart", "started": "start", "stopped": "stop", "absent": "uninstall"}
_DOES: dict[str, Callable[[Mapping[str, Any]], tuple[list[Effect], list[str]]]] = {
    **dict.fromkeys(
        ("copy", "template", "file", "lineinfile", "blockinfile", "replace", "get_url", "unarchive"),
        lambda given: (
            [Effect(EffectKind.WRITES, str(given[key])) for key in ("dest", "path") if given.get(key)],
            ["write"],
        ),
    ),
    **dict.fromkeys(
        ("service", "systemd", "systemd_service", "sysvinit"),
        lambda given: (
            [Effect(EffectKind.SERVICE, str(given.get("name") or ""))],
            [_STATES.get(str(given.get("state")), "start")],
        ),
    ),
    **dict.fromkeys(
        ("apt", "dnf", "yum", "package", "pip"),
        lambda given: (
            [Effect(EffectKind.PACKAGE, each) for each in _listed(given.get("name"))],
            ["uninstall" if given.get("state") == "absent" else "install"],
        ),
    ),
    **dict.fromkeys(("user", "group"), lambda given: ([], ["account"])),
}
"""What modules of ansible-core do by their arguments, for rules that forbid; it never makes anything less risky."""


def described(assessment: Assessment, program: bytes, assess: Callable[[bytes], Assessment]) -> Assessment:
    """The assessment of what runs this program, with what the payload says in front; as it was for no payload."""
    payload = decode(program)
    if payload is None:
        return assessment
    name = payload.module.rpartition(".")[2]
    told = [_sentence(payload), *_arguments(payload)]
    weights = [0] * len(told)
    effects, verbs = _DOES[name](payload.arguments) if name in _DOES else ([], [])
    if name in ("command", "shell", "raw") and (line := _line(payload.arguments)):
        inner = assess(line.encode("utf-8", "surrogateescape"))
        told += [f"its command: {reason}" for reason in inner.reasons[:BLOCK_SHOWN]]
        weights = [0] * len(told)
        effects, verbs = list(inner.effects), list(inner.verbs)
    return replace(
        assessment,
        reasons=(*told, *assessment.reasons),
        weights=(*weights, *assessment.weights),
        effects=tuple(dict.fromkeys((*assessment.effects, *effects))),
        verbs=tuple(dict.fromkeys((*assessment.verbs, *verbs))),
    )


def known_release(payload: Payload) -> str:
    """The release of ansible-core whose own code this is, unchanged; empty if it is nobody's that is known."""
    name = payload.module.rpartition(".")[2]
    return ansible_modules.release_of(payload.code, name, payload.own.get("_ansible_version"))


def _sentence(payload: Payload) -> str:
    check = ", in check mode" if payload.check else ""
    own = known_release(payload)
    whose = f"the code is ansible-core {own}'s own" if own else "nobody here knows its code"
    return (
        f"Ansible's module {payload.module}{check}; ansible-core {payload.release}, code {payload.code[:16]}: {whose}"
    )


def _arguments(payload: Payload) -> list[str]:
    known = {key: value for key, value in payload.arguments.items() if value is not None}
    if payload.hidden:
        return [f"its {len(known)} arguments are not for reading (no_log)"] if known else []
    lines = [f"{visible_line(key, 40)} = {_shown(key, value)}" for key, value in list(known.items())[:ARGUMENTS_SHOWN]]
    more = len(known) - len(lines)
    return [*lines, f"and {more} more arguments"] if more else lines


def _shown(key: str, value: object) -> str:
    if _SECRET.search(key):
        return "(a secret by its name, in the payload only)"
    return visible_line(value if isinstance(value, str) else json.dumps(value), VALUE_WIDTH)


def _line(given: Mapping[str, Any]) -> str:
    if isinstance(given.get("_raw_params"), str):
        return str(given["_raw_params"])
    if isinstance(given.get("cmd"), str):
        return str(given["cmd"])
    words = given.get("argv")
    return " ".join(map(str, words)) if isinstance(words, list) else ""


def _listed(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)] if value else []
