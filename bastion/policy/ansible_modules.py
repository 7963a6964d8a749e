"""Which modules of ansible-core a person can let through by name, and with which arguments. Pure; data, and the forms
of its values.

Theory of operation. A module by name means its own code (`CODES`: what ansible-core of a release puts into a payload,
file by file) with any arguments that are data. So only modules are here whose arguments run nothing, and of these only
the arguments that do not: an argument that is not listed, such as `validate`, or a value of another form, is a person's
matter each time. `command`, `shell`, `raw`, `script`, `expect`, `cron`, `git`, `pip`, `make` and their like are not
here, since what they are given is run; nor `user`, `group` and `authorized_key`, which let people in; nor what removes,
links, fetches from elsewhere or unpacks.

What is written must lie below a directory that the person named, at no place that is run or trusted at login, at start
or by sudo (facts/places.toml), and under no name that Python imports.

Not protected: what other programs make of the files that are written, of packages that are installed and of services
that are started. That is what the person lets through.
"""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

from bastion.policy import programs
from bastion.policy.ansible_lines import in_task, is_task
from bastion.policy.pattern import plain_path
from bastion.policy.places import Places

SINK = 40
"""Weight of a place (facts/places.toml) at which nothing is written by module: start-up files, devices, roots."""
IMPORTED = (".py", ".pyc", ".so")
"""How a file ends that Python imports (importlib.machinery.all_suffixes): a module of Ansible starts where such a file
could take the place of one of Python's own."""
FACTS = "/etc/ansible/facts.d"
"""Where the module setup runs what it finds."""

Check = Callable[[object, tuple[str, ...]], bool]
"""(value, directories below which may be written) -> whether that is data."""

_WORD = re.compile(r"[A-Za-z0-9_@][A-Za-z0-9_.@:+=-]{0,127}", re.ASCII)
_UNIT = re.compile(r"[A-Za-z0-9_@][A-Za-z0-9_.@:-]{0,254}", re.ASCII)
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,127}(?:[=:][A-Za-z0-9.+:~_-]{1,128})?", re.ASCII)
_SUBSET = re.compile(r"!{0,2}[a-z_*]{1,60}(?:,!{0,2}[a-z_*]{1,60})*", re.ASCII)
_MODE = re.compile(r"preserve|0?[01]?[0-7]{3}|[ugoa]{0,4}[=+-][rwxX]{0,4}(?:,[ugoa]{0,4}[=+-][rwxX]{0,4})*", re.ASCII)
_BASE = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.@+=,-]{0,254}", re.ASCII)


def _text(value: object, _: tuple[str, ...] = ()) -> bool:
    return isinstance(value, str | int | float)


def _flag(value: object, _: tuple[str, ...] = ()) -> bool:
    return isinstance(value, bool) or value in ("yes", "no", "true", "false")


def _off(value: object, _: tuple[str, ...] = ()) -> bool:
    return value is False or value in ("no", "false", "")


def _number(value: object, _: tuple[str, ...] = ()) -> bool:
    return isinstance(value, int) and abs(value) < 1_000_000


def _like(form: re.Pattern[str]) -> Check:
    return lambda value, _: isinstance(value, str) and form.fullmatch(value) is not None


def _list_of(form: re.Pattern[str]) -> Check:
    def check(value: object, _: tuple[str, ...]) -> bool:
        values = value if isinstance(value, list) else [value]
        return all(isinstance(each, str) and form.fullmatch(each) is not None for each in values)

    return check


def _one_of(*values: object) -> Check:
    return lambda value, _: any(value is each or (isinstance(each, str) and value == each) for each in values)


def _mode(value: object, _: tuple[str, ...]) -> bool:
    """No setuid, no setgid. A number is what YAML made of an octal one."""
    if isinstance(value, bool):
        return False
    return 0 <= value <= 0o1777 if isinstance(value, int) else isinstance(value, str) and bool(_MODE.fullmatch(value))


def _put(value: object, _: tuple[str, ...]) -> bool:
    return isinstance(value, str) and in_task(value)


def _writes(value: object, below: tuple[str, ...]) -> bool:
    return isinstance(value, str) and may_write(value.removesuffix("/"), below)


def _looks(value: object, _: tuple[str, ...]) -> bool:
    """Its metadata and checksum; that of a secret could be guessed at."""
    path = value.removesuffix("/") if isinstance(value, str) else ""
    return plain_path(path) and _places().of_read(path) is None


def may_write(path: str, below: tuple[str, ...]) -> bool:
    """Whether a file may be written there without a person."""
    if not plain_path(path) or not any(path.startswith(f"{each}/") for each in below):
        return False
    place = _places().of_change(path)
    sink = place is not None and place.weight >= SINK
    return not sink and not path.endswith(IMPORTED) and not f"{path}/".startswith(f"{FACTS}/")


@functools.cache
def _places() -> Places:
    return Places(programs.load().places)


_FILE: Mapping[str, Check] = {
    "mode": _mode, "owner": _like(_WORD), "group": _like(_WORD), "unsafe_writes": _off, "attributes": _one_of(),
}  # fmt: skip
_EDITS: Mapping[str, Check] = {
    **_FILE, **dict.fromkeys(("path", "dest", "destfile", "name"), _writes), "backup": _flag, "create": _flag,
    "insertafter": _text, "insertbefore": _text, "encoding": _like(_WORD),
}  # fmt: skip
_UNITS: Mapping[str, Check] = {
    **dict.fromkeys(("name", "service", "unit"), _like(_UNIT)), "enabled": _flag, "masked": _flag, "force": _off,
    "state": _one_of("started", "stopped", "restarted", "reloaded"), "daemon_reload": _flag, "daemon_reexec": _flag,
    "no_block": _flag, "scope": _one_of("system"),
}  # fmt: skip
_PACKAGES: Mapping[str, Check] = {
    **dict.fromkeys(("name", "pkg", "package"), _list_of(_PACKAGE)), "state": _one_of("present", "installed", "latest"),
    "update_cache": _flag, "cache_valid_time": _number, "install_recommends": _flag, "only_upgrade": _flag,
    "default_release": _like(_WORD), "lock_timeout": _number, "upgrade": _one_of("no", False), "purge": _off,
    "autoremove": _off, "autoclean": _off, "clean": _off, "force": _off, "allow_unauthenticated": _off,
    "allow_downgrade": _off, "allow_change_held_packages": _off, "force_apt_get": _flag,
    "dpkg_options": _one_of("force-confdef,force-confold"),
}  # fmt: skip
MODULES: Mapping[str, Mapping[str, Check]] = {
    "copy": {
        **_FILE, "dest": _writes, "src": _put, "_original_basename": _like(_BASE), "checksum": _like(_WORD),
        "backup": _flag, "force": _flag, "follow": _flag, "local_follow": _flag, "remote_src": _off,
        "directory_mode": _mode,
    },
    "file": {
        **_FILE, "path": _writes, "dest": _writes, "name": _writes, "state": _one_of("file", "directory", "touch"),
        "recurse": _off, "follow": _flag, "force": _off, "_original_basename": _like(_BASE), "_diff_peek": _flag,
        "access_time": _like(_WORD), "modification_time": _like(_WORD),
    },
    "stat": {
        "path": _looks, "checksum_algorithm": _like(_WORD), "checksum": _like(_WORD),
        **dict.fromkeys(
            ("follow", "get_checksum", "get_mime", "get_attributes", "get_md5", "get_size",
             "get_selinux_context"), _flag),
    },
    "lineinfile": {
        **_EDITS, "line": _text, "value": _text, "regexp": _text, "regex": _text, "search_string": _text,
        "firstmatch": _flag, "backrefs": _flag, "state": _one_of("present", "absent"),
    },
    "blockinfile": {
        **_EDITS, "block": _text, "content": _text, "marker": _text, "marker_begin": _text, "marker_end": _text,
        "state": _one_of("present", "absent"), "append_newline": _flag, "prepend_newline": _flag,
    },
    "replace": {**_EDITS, "regexp": _text, "replace": _text, "after": _text, "before": _text},
    "service": {
        **{key: _UNITS[key] for key in ("name", "enabled", "state")}, "sleep": _number, "use": _one_of("auto"),
        "runlevel": _like(_WORD),
    },
    "systemd": _UNITS, "systemd_service": _UNITS,
    "sysvinit": {**{key: _UNITS[key] for key in ("name", "enabled", "state")}, "sleep": _number},
    "apt": _PACKAGES,
    "dnf": {key: _PACKAGES[key] for key in ("name", "pkg", "state", "update_cache", "lock_timeout")},
    "setup": {
        "gather_subset": _list_of(_SUBSET), "filter": _list_of(re.compile(r"[a-z0-9_*?]{1,60}", re.ASCII)),
        "gather_timeout": _number, "fact_path": _one_of(FACTS),
    },
    "ping": {"data": _like(_WORD)},
}  # fmt: skip
"""Modules, and of what form which of their arguments are. `null`, the default, always is."""

_WRITERS = frozenset(("copy", "template", "file", "lineinfile", "blockinfile", "replace"))
TASKS: Mapping[str, frozenset[str]] = {
    "copy": frozenset(("stat", "copy", "file")),
    "template": frozenset(("stat", "copy", "file")),
    "file": frozenset(("file",)),
    "stat": frozenset(("stat",)),
    "lineinfile": frozenset(("lineinfile",)),
    "blockinfile": frozenset(("blockinfile",)),
    "replace": frozenset(("replace",)),
    "service": frozenset(("setup", "service", "systemd", "systemd_service", "sysvinit")),
    "systemd": frozenset(("systemd",)),
    "systemd_service": frozenset(("systemd_service",)),
    "apt": frozenset(("apt",)),
    "dnf": frozenset(("dnf",)),
    "package": frozenset(("setup", "apt", "dnf")),
    "setup": frozenset(("setup",)),
    "ping": frozenset(("ping",)),
}
"""What a task of that name sends: `template` is worked out where Ansible runs, and sent as a copy."""


def writes(task: str) -> bool:
    """Whether it takes a directory below which it may write."""
    return task in _WRITERS


def are_data(module: str, given: Mapping[str, Any], below: tuple[str, ...]) -> bool:
    """Whether all arguments of a module are of a form that runs nothing."""
    forms = MODULES.get(module, {})
    if not all(value is None or (key in forms and forms[key](value, below)) for key, value in given.items()):
        return False
    return module != "copy" or _lands(given, below)


def _lands(given: Mapping[str, Any], below: tuple[str, ...]) -> bool:
    """Where the destination turns out to be a directory, a copy lands in it, under the name that it had."""
    base = given.get("_original_basename") or posixpath.basename(given.get("src") or "")
    destination = given.get("dest")
    if not isinstance(destination, str):
        return False
    return not base or may_write(f"{destination.removesuffix('/')}/{base}", below)


# --- Ansible's own arguments ------------------------------------------------------------------------------------------

_OWN: Mapping[str, Check] = {
    **dict.fromkeys(
        ("_ansible_check_mode", "_ansible_no_log", "_ansible_debug", "_ansible_diff", "_ansible_ignore_unknown_opts"),
        _flag,
    ),
    "_ansible_verbosity": _number,
    "_ansible_syslog_facility": _like(_WORD),
    "_ansible_selinux_special_fs": _list_of(_WORD),
    "_ansible_string_conversion_action": _like(_WORD),
    "_ansible_socket": _one_of(),
    "_ansible_shell_executable": _one_of("/bin/sh"),
    "_ansible_keep_remote_files": _off,
    "_ansible_tmpdir": lambda value, _: isinstance(value, str) and is_task(value),
    "_ansible_remote_tmp": _like(re.compile(r"~?(?:/\.?[A-Za-z0-9_][A-Za-z0-9_.-]*)+", re.ASCII)),
    "_ansible_target_log_info": _one_of(),
    "_ansible_tracebacks_for": _list_of(_WORD),
}


def own_are_plain(module: str, release: str, own: Mapping[str, Any]) -> bool:
    """Whether what Ansible adds is what it adds by itself, for that module of that release."""
    rest = dict(own)
    named = rest.pop("_ansible_module_name", module)
    if named not in (module, f"ansible.legacy.{module}", f"ansible.builtin.{module}"):
        return False
    if rest.pop("_ansible_version", release) != release:
        return False
    return all(key in _OWN and (value is None or _OWN[key](value, ())) for key, value in rest.items())


# --- known code -------------------------------------------------------------------------------------------------------


@functools.cache
def codes() -> Mapping[str, frozenset[tuple[str, str]]]:
    """By the hash of a payload's code: (release, module) of ansible-core whose own it is."""
    found: dict[str, set[tuple[str, str]]] = {}
    text = (resources.files("bastion.policy") / "facts" / "ansible_codes.txt").read_text("ascii")
    for line in text.splitlines():
        if not line.startswith("#"):
            release, module, code = line.split(" ")
            found.setdefault(code, set()).add((release, module))
    return {code: frozenset(whose) for code, whose in found.items()}


def release_of(code: str, module: str, said: object) -> str:
    """The release of ansible-core whose own module of that name this code is; empty if it is none. `said`: the one that
    the payload names, for code that several have."""
    known = sorted(release for release, name in codes().get(code, ()) if name == module)
    return str(said) if said in known else next(iter(known), "")
