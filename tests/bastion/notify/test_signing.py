"""Signatures of webhooks, against the example of the specification."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from bastion.notify.signing import SecretError, parse_secret, sign

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_specifications_example() -> None:
    headers = sign(parse_secret(SECRET), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_the_key_is_what_stands_behind_the_prefix() -> None:
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    mac = hmac.new(key, b"a.1.b", hashlib.sha256).digest()
    assert (
        sign(parse_secret(SECRET + "\n"), "a", 1, b"b")["webhook-signature"] == "v1," + base64.b64encode(mac).decode()
    )


@pytest.mark.parametrize("size", [24, 64])
def test_lengths_that_are_secrets(size: int) -> None:
    assert parse_secret("whsec_" + base64.b64encode(b"x" * size).decode()) == b"x" * size


@pytest.mark.parametrize(
    "text",
    [
        "", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_****", "whsec_YWJj",
        "whsec_" + base64.b64encode(b"x" * 23).decode(), "whsec_" + base64.b64encode(b"x" * 65).decode(),
    ],
)  # fmt: skip
def test_what_is_no_secret(text: str) -> None:
    with pytest.raises(SecretError):
        parse_secret(text)
