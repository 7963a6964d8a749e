"""Webhook signatures by the rules of Standard Webhooks (standardwebhooks.com, version 1, symmetric). Pure.

    webhook-id         the same for each attempt to deliver one message: receivers drop what they had
    webhook-timestamp  seconds since the epoch, of this attempt: receivers refuse what is older than minutes
    webhook-signature  `v1,` and base64 of HMAC-SHA256 over `ID.TIMESTAMP.BODY`; several, with spaces between

The secret is `whsec_` and base64 of 24 to 64 random bytes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

PREFIX = "whsec_"
LEAST, MOST = 24, 64
"""Bytes of a secret."""


class SecretError(ValueError):
    """The text is no secret of this form."""


def parse_secret(text: str) -> bytes:
    """The key. Raises SecretError."""
    text = text.strip()
    if not text.startswith(PREFIX):
        raise SecretError(f"a webhook's secret begins with {PREFIX}")
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise SecretError(f"behind {PREFIX} stands base64") from None
    if not LEAST <= len(key) <= MOST:
        raise SecretError(f"a webhook's secret has {LEAST} to {MOST} bytes, this one {len(key)}")
    return key


def sign(key: bytes, message: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers. `timestamp` in seconds since the epoch."""
    signed = f"{message}.{timestamp}.".encode() + body
    mac = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {"webhook-id": message, "webhook-timestamp": str(timestamp), "webhook-signature": f"v1,{mac}"}
