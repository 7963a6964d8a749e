"""Keys that sign: a key file, or one that an ssh-agent holds. The private half never leaves this process or the agent.

Theory of operation. `find` answers "with which key?" as ssh does: with `--key FILE` that file (or, if FILE is a public
key, the agent's private half of it); with `--key SHA256:…` the agent's key of that fingerprint; without, the agent's
keys and then the usual files. What it returns are candidates in order, and nothing is decrypted before it is used:
a passphrase is asked for only when the candidate's turn comes.

A signer's key pair also logs in over SSH, so that the key which decides is the key which authenticated.
"""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import asyncssh
from asyncssh.agent import SSHAgentKeyPair
from asyncssh.packet import PacketDecodeError, SSHPacket

from bastion.control import signing
from bastion.errors import NotFound, Unreachable, UsageError
from bastion.model import PublicKey
from bastion.publickey import parse_key

KEY_FILE_LIMIT = 64 << 10
"""Bytes of a key file. An RSA key of 16,384 bits has 13 KiB in PEM."""

PASSPHRASE_TRIES = 3
"""As many as ssh's NumberOfPasswordPrompts."""

DEFAULT_FILES = ("id_ed25519", "id_ecdsa", "id_rsa")
"""In ~/.ssh, best first; of ssh's own list without those that sign only through an agent."""

AGENT_SECONDS = 60.0
"""An agent may ask its owner for a touch or a confirmation first; ssh waits for ever."""

_RSA_SHA2_512 = 4
"""SSH_AGENT_RSA_SHA2_512 (draft-ietf-sshm-ssh-agent section 3.6.1)."""

_OPENSSH = b"-----BEGIN OPENSSH PRIVATE KEY-----"
_SEALED = b"openssh-key-v1\0"

Prompt = Callable[[str], str]
"""Asks the person for a passphrase; the argument is what to ask."""


class Signer(Protocol):
    """One key that can sign."""

    @property
    def key(self) -> PublicKey:
        """The public half."""

    async def sign(self, message: bytes, namespace: str) -> str:
        """An armoured SSHSIG over `message`. Raises UsageError or Unreachable."""

    async def key_pair(self) -> asyncssh.SSHKeyPair:
        """The pair for logging in with this key. Raises UsageError or Unreachable."""


class FileSigner:
    """A private key in a file, decrypted when first used."""

    def __init__(self, path: Path, key: PublicKey, private: asyncssh.SSHKey | None, prompt: Prompt | None) -> None:
        self.path = path
        self._key = key
        self._private = private
        self._prompt = prompt

    @property
    def key(self) -> PublicKey:
        """The public half."""
        return self._key

    @property
    def sealed(self) -> bool:
        """Whether a passphrase is still needed."""
        return self._private is None

    async def sign(self, message: bytes, namespace: str) -> str:
        """See Signer."""
        pair = await self.key_pair()
        if self.key.line.startswith("ssh-rsa "):
            pair.set_sig_algorithm(b"rsa-sha2-512")
        data = signing.signed_data(message, namespace)
        try:
            # In a thread: an RSA key of 16,384 bits takes a second, a FIDO key waits for a touch.
            made = await asyncio.to_thread(pair.sign, data)
        except (ValueError, asyncssh.Error) as error:
            raise UsageError(f"{self.path} cannot sign: {error}") from None
        return signing.armour(signing.Signature(_blob(self.key), namespace, "sha512", made))

    async def key_pair(self) -> asyncssh.SSHKeyPair:
        """See Signer."""
        if self._private is None:
            self._private = self._decrypt()  # not in a thread: whoever is asked must be able to press Ctrl-C
        return asyncssh.load_keypairs([self._private])[0]

    def _decrypt(self) -> asyncssh.SSHKey:
        if self._prompt is None:
            raise UsageError(f"{self.path} has a passphrase", "add the key to an ssh-agent: ssh-add FILE")
        data = read_private(self.path)
        if data.startswith(_OPENSSH) and importlib.util.find_spec("bcrypt") is None:  # asyncssh's optional dependency
            raise UsageError(
                f"{self.path} has a passphrase, and opening it takes the Python package bcrypt",
                "install it, or let an ssh-agent hold the key: ssh-add FILE",
            )
        for _ in range(PASSPHRASE_TRIES):
            try:
                return asyncssh.import_private_key(data, self._prompt(f"Passphrase for {self.path}: "))
            except (asyncssh.KeyEncryptionError, asyncssh.KeyImportError):
                continue
        raise UsageError(f"no passphrase given opens {self.path}")


class _AgentPair(SSHAgentKeyPair):
    """As asyncssh's, but with a connection to the agent for each signature: nothing stays open in between."""

    def __init__(self, path: str, key: PublicKey) -> None:
        algorithm = key.line.partition(" ")[0].encode()
        super().__init__(asyncssh.SSHAgentClient(path), algorithm, _blob(key), b"")
        self._path = path

    async def sign_async(self, data: bytes) -> bytes:
        """Raises ValueError, which asyncssh takes for a key that does not get in."""
        return await _agent_sign(self._path, self.key_public_data, data, self._flags)


class AgentSigner:
    """A key that an ssh-agent holds: a FIDO token's too."""

    def __init__(self, path: str, key: PublicKey) -> None:
        self._path = path
        self._key = key

    @property
    def key(self) -> PublicKey:
        """The public half."""
        return self._key

    async def sign(self, message: bytes, namespace: str) -> str:
        """See Signer."""
        data = signing.signed_data(message, namespace)
        flags = _RSA_SHA2_512 if self.key.line.startswith("ssh-rsa ") else 0
        try:
            made = await _agent_sign(self._path, _blob(self.key), data, flags)
        except ValueError as error:
            raise Unreachable(f"the ssh-agent did not sign: {error}") from None
        return signing.armour(signing.Signature(_blob(self.key), namespace, "sha512", made))

    async def key_pair(self) -> asyncssh.SSHKeyPair:
        """See Signer."""
        return _AgentPair(self._path, self._key)


async def _agent_sign(path: str, blob: bytes, data: bytes, flags: int) -> bytes:
    """Raises ValueError in words."""
    agent = asyncssh.SSHAgentClient(path)
    try:
        async with asyncio.timeout(AGENT_SECONDS), agent:
            made = await agent.sign(blob, data, flags)
    except TimeoutError:
        raise ValueError(f"no answer within {AGENT_SECONDS:.0f} s") from None
    except OSError as error:
        raise ValueError(str(error)) from None
    return made


async def find(
    wanted: str | None,
    *,
    agent: str | None = None,
    prompt: Prompt | None = None,
    home: Path | None = None,
) -> Sequence[Signer]:
    """Candidates in the order to try; with `wanted` exactly one. See the theory of operation.

    `wanted` is what `--key` says, `agent` the agent's socket (SSH_AUTH_SOCK), `home` the directory that has `.ssh`.
    Raises UsageError for a bad file, NotFound when there is no key at all.
    """
    held = await _agent_signers(agent) if agent else []
    if wanted is None:
        found = [*held, *_default_files(home or Path.home(), {each.key for each in held}, prompt)]
        if not found:
            raise NotFound("no key to sign or log in with", "--key FILE, or start an ssh-agent and ssh-add a key")
        return found
    return [_named(wanted, held, prompt)]


def open_file(path: Path, prompt: Prompt | None = None) -> FileSigner:
    """The private key in `path`. Raises UsageError: missing, readable for others, or no private key."""
    data = read_private(path)
    private: asyncssh.SSHKey | None
    try:
        private = asyncssh.import_private_key(data)
    except asyncssh.KeyEncryptionError:
        private = None
    except asyncssh.KeyImportError as error:
        if "passphrase" not in str(error).lower():
            raise UsageError(f"{path} is no private key that is accepted here") from None
        private = None
    if private is not None:
        line = private.export_public_key().decode()
        return FileSigner(path, parse_key(line), private, prompt)
    known = _sealed_public(data) or _public_line(path.with_name(path.name + ".pub"))
    if known is not None:
        return FileSigner(path, known, None, prompt)
    # A PEM file without its public half beside it: only the passphrase tells which key this is.
    unlocked = FileSigner(path, PublicKey("", ""), None, prompt)._decrypt()
    return FileSigner(path, parse_key(unlocked.export_public_key().decode()), unlocked, prompt)


def read_private(path: Path) -> bytes:
    """Bytes of a private key file. Raises UsageError when it is missing or, as ssh has it, readable for others."""
    data, mode = _read(path)
    if mode & 0o077:
        raise UsageError(f"key file {path} is readable for others", f"chmod 600 {path}")
    return data


def _read(path: Path) -> tuple[bytes, int]:
    """Bytes and mode of a small regular file; never waits, as a FIFO would have it. Raises UsageError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as error:
        raise UsageError(f"cannot read key file {path}: {error.strerror}") from None
    try:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            raise UsageError(f"key file {path} is no file")
        data = b""
        while len(data) <= KEY_FILE_LIMIT and (more := os.read(fd, KEY_FILE_LIMIT + 1 - len(data))):
            data += more
    finally:
        os.close(fd)
    if len(data) > KEY_FILE_LIMIT:
        raise UsageError(f"key file {path} is longer than {KEY_FILE_LIMIT} bytes")
    return data, stat.S_IMODE(mode)


async def _agent_signers(path: str) -> list[AgentSigner]:
    """The agent's keys. An agent that does not answer has none: a stale SSH_AUTH_SOCK is common and harmless."""
    try:
        async with asyncio.timeout(AGENT_SECONDS), asyncssh.SSHAgentClient(path) as agent:
            pairs = await agent.get_keys()
    except (OSError, ValueError, TimeoutError):
        return []
    found: list[AgentSigner] = []
    for pair in pairs:
        try:
            key = parse_key(f"{pair.algorithm.decode()} {base64.b64encode(pair.public_data).decode()}")
        except (UsageError, UnicodeDecodeError):
            continue  # a certificate, a DSA key: no identity here
        found.append(AgentSigner(path, key))
    return found


def _default_files(home: Path, known: set[PublicKey], prompt: Prompt | None) -> list[Signer]:
    found: list[Signer] = []
    for name in DEFAULT_FILES:
        path = home / ".ssh" / name
        public = _public_line(path.with_name(name + ".pub"))
        if public in known or not path.exists():
            continue
        try:
            found.append(open_file(path, prompt))
        except UsageError:
            continue  # not asked for by name: another one may do
    return found


def _named(wanted: str, held: list[AgentSigner], prompt: Prompt | None) -> Signer:
    if wanted.startswith("SHA256:"):
        return _held(held, wanted, wanted)
    path = Path(wanted).expanduser()
    public = _public_line(path)
    if public is not None:
        return _held(held, public.fingerprint, str(path))
    in_file = open_file(path, prompt)
    for each in held:
        if in_file.sealed and each.key == in_file.key:
            return each  # an agent that has it spares the passphrase
    return in_file


def _sealed_public(data: bytes) -> PublicKey | None:
    """The public half that OpenSSH's own format keeps in the clear (PROTOCOL.key); None for another format."""
    if not data.startswith(_OPENSSH):
        return None
    lines = data.decode("ascii", "replace").split("\n")
    try:
        packet = SSHPacket(base64.b64decode("".join(line for line in lines if not line.startswith("-----"))))
        if packet.get_bytes(len(_SEALED)) != _SEALED:
            return None
        for _ in ("cipher", "kdf", "kdf options"):
            packet.get_string()
        packet.get_uint32()
        blob = packet.get_string()
        algorithm = SSHPacket(blob).get_string().decode("ascii")
        return parse_key(f"{algorithm} {base64.b64encode(blob).decode()}")
    except (ValueError, PacketDecodeError, UsageError):
        return None


def _held(held: list[AgentSigner], fingerprint: str, what: str) -> AgentSigner:
    for each in held:
        if each.key.fingerprint == fingerprint:
            return each
    raise NotFound(f"the ssh-agent does not hold {what}", "ssh-add it, or name the private key file")


def _public_line(path: Path) -> PublicKey | None:
    """The public key in a `.pub` file; None if it is none."""
    try:
        return parse_key(_read(path)[0].decode("utf-8"))
    except (UnicodeDecodeError, UsageError):
        return None


def _blob(key: PublicKey) -> bytes:
    return base64.b64decode(key.line.partition(" ")[2])
