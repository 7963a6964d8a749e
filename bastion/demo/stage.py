"""Everything the demo needs, in one scratch directory: keys, bastion, target, a stock ssh configuration an agent.

    DIR/web-1/           the scratch world: home of every command on the target
    DIR/bastion/         what `bastion init` makes: bastion.toml, state/
    DIR/keys/            key pairs of the agents, the approvers, and the bastion's own for the target
    DIR/ssh/NAME         ssh_config(5) of each agent: `ssh -F` it and `web-1@bastion` is the demo's
    DIR/log/             what each process printed; agents.log is what the agents see

Order: world, target, bastion's state with identities and target in its ledger, daemon. All of it goes the way that a
person's own bastion goes: the code of `bastion init`, administration on the store, `bastion serve` in a process.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bastion.admin import administering
from bastion.config import Config, load
from bastion.control import signers
from bastion.control.client import Client
from bastion.control.endpoints import Remote
from bastion.demo import target, world
from bastion.demo.children import Children
from bastion.demo.programs import COMMAND, environment, free_port, listening, make_key
from bastion.demo.scenarios import AGENTS, TARGET, WHITELISTED
from bastion.errors import BastionError, StoreError, UsageError
from bastion.init import init

PLAIN = re.compile(r"/[A-Za-z0-9/._+=@:,-]*", re.ASCII)
"""A path that needs no quoting in sshd_config, ssh_config, a shell or a `#!` line."""

PATH_LIMIT = 64
"""Bytes of the scratch directory's path: with `/bastion/state/control.sock` a socket's path must stay under 108
(unix(7)), and ssh's own limits are alike."""

SERVE_SECONDS = 15.0
"""For the daemon to serve; it takes about 1 s."""

READING_MINUTES = 5
"""How long a person has for each decision; the 60 s that a bastion starts with are for those who know it."""

POLICY = """\
# The demo is about approving, so everything waits for somebody. What `bastion init` writes lets reads flow.
policy "demo" {
  version 1
}
"""


@dataclass(frozen=True, slots=True)
class Stage:
    """A demo that is ready to begin."""

    directory: Path
    config: Config
    port: int
    host_key: str
    target: target.Running
    approvers: tuple[str, ...]

    @property
    def home(self) -> Path:
        """The scratch world."""
        return self.directory / TARGET

    def key(self, name: str) -> Path:
        """Somebody's private key."""
        return self.directory / "keys" / name

    def ssh_config(self, agent: str) -> Path:
        """An agent's."""
        return self.directory / "ssh" / agent

    def log(self, name: str) -> Path:
        """What a process printed."""
        return self.directory / "log" / f"{name}.log"

    async def connect(self, approver: str) -> Client:
        """An approver's connection to the daemon, over SSH with their own key. Raises BastionError."""
        signer = signers.open_file(self.key(approver))
        return await Client.open(Remote("127.0.0.1", self.port, [signer], self.host_key))


def scratch(keep: Path | None) -> Path:
    """A new directory for one demo, mode 0700. Raises UsageError."""
    if keep is not None:
        return _kept(keep.absolute())
    spots = (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp"))  # noqa: S108 - mkdtemp in them
    for spot in spots:
        if not (PLAIN.fullmatch(str(spot)) and len(str(spot)) + len("/bastion-demo-12345678") <= PATH_LIMIT):
            continue
        try:
            made = Path(tempfile.mkdtemp(prefix="bastion-demo-", dir=spot))
        except OSError:
            continue
        if _can_execute(made):
            return made
        shutil.rmtree(made, ignore_errors=True)
    raise UsageError(
        f"no directory to work in: tried {', '.join(map(str, spots))}", "--keep DIR names one that allows programs"
    )


def _kept(path: Path) -> Path:
    if not PLAIN.fullmatch(str(path)) or len(str(path)) > PATH_LIMIT:
        raise UsageError(
            f"--keep {path}: the demo needs a path of at most {PATH_LIMIT} plain characters", "one in /tmp, perhaps"
        )
    try:
        path.mkdir(mode=0o700)
        path.chmod(0o700)  # whatever the umask is
    except OSError as error:
        raise UsageError(f"--keep {path}: {error.strerror}", "name a directory that does not exist yet") from None
    if not _can_execute(path):
        path.rmdir()
        raise UsageError(f"--keep {path}: programs cannot run there", "it is mounted noexec")
    return path


def _can_execute(directory: Path) -> bool:
    """Whether a program in there can run; a mount can forbid it."""
    probe = directory / "probe"
    try:
        probe.write_text("#!/bin/sh\n")
        probe.chmod(0o700)
        return os.access(probe, os.X_OK)  # access(2) says no on a noexec mount
    except OSError:
        return False
    finally:
        probe.unlink(missing_ok=True)


async def build(directory: Path, children: Children, *, kind: str, approvers: Iterable[str], patient: bool) -> Stage:
    """Set everything up in `directory`, until the bastion serves.

    `kind` is the target's (target.start); `patient` gives a person READING_MINUTES. Raises BastionError, OSError.
    """
    for name in ("keys", "ssh", "log", "target"):
        (directory / name).mkdir(mode=0o700)
    people = tuple(approvers)
    home = directory / TARGET
    world.build(home)
    keys = directory / "keys"
    public = {name: make_key(keys / name) for name in (*(agent.name for agent in AGENTS), *people, "upstream")}
    running = target.start(kind, children, directory / "target", home, keys / "upstream")

    port = free_port()
    made = init(directory / "bastion", listen=f"127.0.0.1:{port}", host="bastion.example", policy=POLICY)
    config = _patient(made.config) if patient else made.config
    with administering(config, f"local:{os.geteuid()}") as admin:
        for agent in AGENTS:
            admin.add_identity(agent.name, "agent", [], public[agent.name])
        for name in people:
            admin.add_identity(name, "human", ["approver"], public[name])
        address, credential = f"127.0.0.1:{running.port}", f"key:{keys / 'upstream'}"
        admin.add_target(TARGET, address, [running.login], "demo", [running.host_key], credential)

    stage = Stage(directory, config, port, made.host_key_line, running, people)
    _ssh_configs(stage)
    await _serve(stage, children)
    await _whitelist(stage)
    return stage


def _patient(config: Config) -> Config:
    before = config.path.read_text()
    after = before.replace('timeout = "60s"', f'timeout = "{READING_MINUTES}m"')
    if after == before:
        raise StoreError(f"{config.path} does not have the timeout that the demo wants to change")
    config.path.write_text(after)
    return load(config.path)


def _ssh_configs(stage: Stage) -> None:
    known = stage.directory / "ssh" / "known_hosts"
    known.write_text(f"bastion {stage.host_key}\n")
    for agent in AGENTS:
        stage.ssh_config(agent.name).write_text(
            "Host bastion\n"
            "  HostName 127.0.0.1\n"
            f"  Port {stage.port}\n"
            "  HostKeyAlias bastion\n"
            f"  IdentityFile {stage.key(agent.name)}\n"
            "  IdentitiesOnly yes\n"
            "  IdentityAgent none\n"
            f"  UserKnownHostsFile {known}\n"
            "  StrictHostKeyChecking yes\n"
            "  BatchMode yes\n"
            "  SendEnv BASTION_*\n"
        )


async def _serve(stage: Stage, children: Children) -> None:
    """Start the daemon and wait until it serves. Raises BastionError with its own last words."""
    log = stage.log("bastion")
    process = children.start(
        "bastion",
        [*COMMAND, "--config", str(stage.config.path), "serve"],
        log=log,
        cwd=stage.directory,
        env=environment(stage.directory),
    )
    end = time.monotonic() + SERVE_SECONDS
    while not listening(stage.port):
        if process.poll() is not None or time.monotonic() > end:
            lines = log.read_text(errors="replace").strip().splitlines() or ["without a word"]
            raise BastionError(f"the bastion did not start: {lines[-1]}")
        await asyncio.sleep(0.01)


async def _whitelist(stage: Stage) -> None:
    """Let through what the scenarios say runs without asking, signed by the first approver. Raises BastionError."""
    async with await stage.connect(stage.approvers[0]) as client:
        for agent, command in WHITELISTED:
            await client.whitelist(command.encode(), agent, TARGET, stage.target.login, None)
