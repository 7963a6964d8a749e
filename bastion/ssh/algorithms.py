"""Ciphers, in the order that we offer them on both sides.

AES-GCM first: asyncssh's own order begins with chacha20, which measured 35 MB/s where AES-GCM gave 113-148. chacha20
stays for hosts without AES instructions; CTR with an encrypt-then-MAC for old clients. No CBC, no arcfour.
"""

from __future__ import annotations

ENCRYPTION = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes128-ctr",
    "aes256-ctr",
)

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

PACKET = 32 << 10
"""Bytes in one channel packet: what RFC 4253 section 6.1 obliges every implementation to take."""
