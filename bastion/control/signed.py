"""Statements that people signed, as they come in.

A vote and a whitelist entry count by their signature, not by the connection that brought them: the statement is read
out of the signed bytes, the key must belong to an approver who is not revoked, and over SSH it must be the caller's
own. So whoever gets into the local socket can withhold decisions but cannot make one.
"""

from __future__ import annotations

from bastion.control import signing
from bastion.control.connection import Caller
from bastion.control.house import House
from bastion.errors import Conflict, NotAllowed
from bastion.model import Identity, PublicKey, Role


def check_origin(house: House, origin: str) -> None:
    """Is the statement for this ledger? Raises Conflict."""
    if origin != house.audit.origin:
        raise Conflict("the statement is for another bastion's ledger")


def signer_of(house: House, statement: bytes, signature: str, namespace: str, caller: Caller) -> Identity:
    """The approver whose key signed this. Raises NotAllowed."""
    approvers = {
        key: identity
        for identity in house.directory.identities.values()
        if Role.APPROVER in identity.roles and not identity.revoked
        for key in identity.keys
    }
    key: PublicKey | None = signing.verify(statement, signature, namespace, approvers)
    if key is None:
        raise NotAllowed("the signature is not an approver's", "sign with the key of an identity with that role")
    signer = approvers[key]
    if not caller.local and signer.name != caller.name:
        raise NotAllowed(f"{caller.name} brought a signature of {signer.name}")
    return signer


def approver(house: House, caller: Caller) -> Identity:
    """The approver whose connection this is, for what nobody signs. Raises NotAllowed."""
    identity = house.directory.identities.get(caller.name)
    if caller.local or identity is None or identity.revoked or Role.APPROVER not in identity.roles:
        raise NotAllowed(f"{caller.name} is no approver, or was revoked")
    return identity
