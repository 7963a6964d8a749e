"""One connection to a target: dial, hold its host key against the pinned ones, log in with a key or a certificate.

The pinned host key is the only one accepted: there is no trust on first use, and no known_hosts file or ssh
configuration of the account that runs the daemon is read.
"""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import asyncssh

from bastion import credentials
from bastion.errors import BastionError, HostKeyMismatch, Unreachable
from bastion.model import Target
from bastion.names import CERTIFIED, HANDED
from bastion.oserrors import in_words
from bastion.ssh import algorithms
from bastion.ssh.lean import lean
from bastion.ssh.minting import Certify

CREDENTIAL_LIMIT = 64 << 10
"""Bytes of a private key's file; an RSA key of 16,384 bits has 13 kB."""


def read_credential(target: Target) -> asyncssh.SSHKey:
    """The bastion's key for a target. Raises Unreachable if it is missing, damaged or readable by others."""
    if target.credential == CERTIFIED:
        raise Unreachable(f"target {target.name} takes a certificate for each command, and this is none")
    hint = "the admin of the bastion has to mend it"
    scheme, _, name = target.credential.partition(":")
    handed = credentials.directory() if scheme == HANDED else None
    if scheme == HANDED and handed is None:
        raise Unreachable(f"the credential of target {target.name} is one that systemd hands to the service", hint)
    path = handed / name if handed is not None else Path(name)
    exposed = 0o037 if handed is not None else 0o077  # an ACL's mask shows as group bits
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or stat.S_IMODE(status.st_mode) & exposed:
                raise Unreachable(f"the credential of target {target.name} is readable by others", hint)
            data = os.read(descriptor, CREDENTIAL_LIMIT)
        finally:
            os.close(descriptor)
        return asyncssh.import_private_key(data)
    except OSError as error:
        raise Unreachable(f"the credential of target {target.name} cannot be read: {error.strerror}", hint) from None
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
        raise Unreachable(f"the credential of target {target.name} is no usable private key", hint) from None


def own_key(target: Target) -> Certify:
    """The target's credential, asked for like a certificate: when the target wants to know who is there."""

    async def certify(_source: str) -> asyncssh.SSHKeyPair:
        return asyncssh.load_keypairs([read_credential(target)])[0]

    return certify


class _Client(asyncssh.SSHClient):
    """Has a key or a certificate made when the target asks who is there: by then the connection says from where it
    comes."""

    def __init__(self, certify: Certify) -> None:
        self._certify: Certify | None = certify
        self._connection: asyncssh.SSHClientConnection | None = None
        self.failure: BastionError | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """The target answered."""
        self._connection = conn

    async def public_key_auth_requested(self) -> asyncssh.SSHKeyPair | None:
        """Once; None when there is no other key to try."""
        certify, self._certify = self._certify, None
        if certify is None or self._connection is None:
            return None
        name = self._connection.get_extra_info("sockname")
        try:
            return await certify(str(name[0]) if name else "")
        except BastionError as error:
            self.failure = error
            return None


async def dial(
    target: Target, login: str, *, seconds: float, keepalive: float, certify: Certify | None = None, waits: float = 0
) -> asyncssh.SSHClientConnection:
    """A connection to `target`, its host key checked against the pinned ones; with what `certify` makes instead of the
    target's credential. `certify` may take `waits` seconds more than the target.

    Raises Unreachable, HostKeyMismatch.
    """
    if not target.host_keys:
        raise HostKeyMismatch(f"target {target.name} has no pinned host key")
    if certify is None:
        read_credential(target)  # before the target is bothered
    client = _Client(certify or own_key(target))
    pinned = [asyncssh.import_public_key(line) for line in target.host_keys]
    try:
        async with asyncio.timeout(seconds + waits):
            connection = await asyncssh.connect(
                target.host,
                target.port,
                client_factory=lambda: client,
                username=login,
                client_keys=None,
                known_hosts=(pinned, [], []),
                config=None,
                agent_path=None,
                agent_forwarding=False,
                password=None,
                preferred_auth="publickey",
                gss_host=None,
                encryption_algs=algorithms.ENCRYPTION,
                mac_algs=algorithms.MAC,
                compression_algs=["none"],
                keepalive_interval=keepalive,
                connect_timeout=seconds + waits,
                login_timeout=seconds + waits,
                client_version="agent-bastion",
            )
            lean(connection)
            return connection
    except asyncssh.HostKeyNotVerifiable:
        raise HostKeyMismatch(
            f"target {target.name} shows another host key than the pinned one", "nothing was sent; tell the admin"
        ) from None
    except asyncssh.PermissionDenied:
        if client.failure is not None:
            raise client.failure from None
        if target.credential == CERTIFIED:
            hint = "what it trusts (`bastion user-ca`), or `source_address` where it sees the bastion elsewhere"
            raise Unreachable(f"target {target.name} refuses the bastion's certificate for {login}", hint) from None
        hint = f"the public half of the bastion's key has to stand in the authorized_keys of {login} there"
        raise Unreachable(f"target {target.name} refuses the bastion's key for {login}", hint) from None
    except (asyncssh.Error, OSError, TimeoutError) as error:
        raise Unreachable(f"target {target.name} does not answer: {why(error, seconds)}") from None
    except ValueError as error:  # asyncssh, where this process' uid has no account
        raise Unreachable(f"cannot connect to target {target.name}: {error}", "set LOGNAME for the daemon") from None


def why(error: Exception, seconds: float = 10) -> str:
    """What went wrong, in a few words."""
    match error:
        case BastionError():
            return error.message
        case TimeoutError():
            return f"no answer within {seconds:g} s"
        case asyncssh.Error():
            return error.reason
        case OSError():
            return in_words(error)
        case _:
            return str(error) or type(error).__name__
