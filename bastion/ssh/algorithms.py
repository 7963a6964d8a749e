"""Ciphers, in the order that we offer them on both sides.

AES-GCM first: asyncssh's own order begins with chacha20, which measured 35 MB/s where AES-GCM gave 113-148. chacha20
stays for hosts without AES instructions; CTR with an encrypt-then-MAC for old clients. No CBC, no arcfour.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from asyncssh.kex import get_default_kex_algs

ENCRYPTION = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes128-ctr",
    "aes256-ctr",
)


def aes_in_hardware(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor has AES instructions (x86 calls that a flag, ARM a feature). In doubt not."""
    try:
        text = cpuinfo.read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    lines = (line.partition(":") for line in text.splitlines())
    return any(name.strip() in ("flags", "Features") and "aes" in said.split() for name, _, said in lines)


def offered(*, hardware: bool) -> tuple[str, ...]:
    """What agents are offered. The client's order decides (RFC 4253 section 7.1), and OpenSSH's begins with chacha20,
    which takes asyncssh four times as long as AES-GCM where the processor has AES: there it is not offered. Every
    client that has it has AES-CTR at least."""
    return tuple(name for name in ENCRYPTION if not (hardware and name.startswith("chacha20")))


def narrowed(ours: Sequence[bytes], *theirs: Sequence[bytes]) -> list[bytes]:
    """What is named to a client that names `theirs`, one list for each direction: AES-GCM alone, if it has that. The
    order of OpenSSH up to 9.9 has CTR before GCM, which takes twice the processor time at either end. Where chacha20 is
    offered, the processor has no AES, and the client's order is as good as any."""
    gcm = [name for name in ours if b"-gcm@" in name]
    if any(name.startswith(b"chacha20") for name in ours) or not all(set(gcm) & set(each) for each in theirs):
        return list(ours)
    return gcm


_KNOWN = tuple(
    name
    for name in (each.decode() for each in get_default_kex_algs())
    if not name.startswith(("gss-", "rsa")) and not name.endswith("sha1") and "@ssh.com" not in name
)
"""What asyncssh offers, less Kerberos (nobody logs in with it here), RSA transport, SHA-1 and one vendor's own."""

KEX = ("curve25519-sha256", *(name for name in _KNOWN if name != "curve25519-sha256"))
"""Key exchanges that the server names. The client's order decides which is used (RFC 4253 section 7.1), so OpenSSH's
post-quantum first choice stays its choice. Ours only tells whether a guessed first packet was right, and there asyncssh
looks at the chosen method where the RFC looks at both first names: with curve25519 first, which dropbear guesses, the
two agree; otherwise dropbear cannot connect at all."""

MAC = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)

WINDOW = 8 << 20
"""Bytes of receive window of a running command; OpenSSH's is 2 MiB. Bigger ones gave no more on loopback."""

HELD_WINDOW = 64 << 10
"""Bytes of stdin that a client may send ahead while its command is held, or before one."""

PACKET = 128 << 10
"""Bytes in one channel packet that we take. RFC 4253 section 6.1 asks for 32 KiB; with four times that, uploads through
the bastion went 1.3 times as fast, and 256 KiB gave no more."""

PACKET_LEAST = 1024
"""Bytes that the other end must take in one channel packet, on every channel; RFC 4253 section 6.1 has it take 32 KiB.
With one byte each, a screenful would keep the daemon busy for seconds."""
