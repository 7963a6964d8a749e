"""Lines of bastion/policy/facts/ansible_codes.txt, out of an installed ansible-core: what it puts into a payload.

    python tests/support/ansible_codes.py > lines      with the Python that has that ansible-core

Needs nothing of the project, so that it runs where another release is installed.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import sys
import zipfile
from typing import Any

MODULES = (
    "apt", "blockinfile", "command", "copy", "cron", "dnf", "file", "find", "get_url", "git", "group", "lineinfile",
    "package_facts", "ping", "pip", "replace", "service", "service_facts", "setup", "slurp", "stat", "systemd",
    "systemd_service", "sysvinit", "tempfile", "unarchive", "uri", "user", "wait_for",
)  # fmt: skip
"""Those that can be let through by name, and others that are met often: a person is told whether the code is known."""


def payload(module: str) -> bytes:
    """The program that Ansible sends for a module without arguments."""
    from ansible.executor.module_common import modify_module
    from ansible.parsing.dataloader import DataLoader
    from ansible.plugins.loader import init_plugin_loader, module_loader
    from ansible.template import Templar

    init_plugin_loader([])
    found = module_loader.find_plugin_with_context(f"ansible.legacy.{module}")
    known: dict[str, Any] = {"ansible_python_interpreter": "/usr/bin/python3"}
    built = modify_module(
        module_name=found.resolved_fqcn or f"ansible.legacy.{module}",
        module_path=found.plugin_resolved_path,
        module_args={},
        templar=Templar(loader=DataLoader(), variables=known),
        task_vars=known,
        module_compression="ZIP_DEFLATED",
    )
    data = getattr(built, "b_module_data", None)
    return data if isinstance(data, bytes) else built[0]


def code(program: bytes) -> str:
    """SHA-256 over the hashes and names of what is in its zip, as bastion.policy.ansible has it."""
    match = re.search(rb"(?:ZIPDATA = |zip_data=)['\"]+([A-Za-z0-9+/=]+)", program)
    assert match is not None
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(match[1]))) as archive:
        lines = [f"{hashlib.sha256(archive.read(name)).hexdigest()}  {name}\n" for name in archive.namelist()]
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def main() -> None:
    from ansible.release import __version__

    for module in MODULES:
        sys.stdout.write(f"{__version__} {module} {code(payload(module))}\n")


if __name__ == "__main__":
    main()
