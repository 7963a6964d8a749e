"""Why the other end is not to be had, in few words; of the system, in those of strerror(3): `connection refused`.

asyncio writes the call and the address into the message of an OSError, which who reads it knows already, and makes one
error without a number of several addresses that failed.
"""

from __future__ import annotations

import os
import re


def in_words(error: Exception) -> str:
    """On one line; of an OSError in small letters, without numbers and addresses."""
    if not isinstance(error, OSError):
        return str(error) or type(error).__name__
    if (error.errno or 0) < 0:  # getaddrinfo(3) numbers its own below zero
        return (error.strerror or str(error)).lower()
    if isinstance(error, TimeoutError) and error.errno is None:
        return "no answer in time"
    if error.errno is not None:
        return os.strerror(error.errno).lower()
    numbers = dict.fromkeys(re.findall(r"\[Errno (\d+)\]", str(error)))
    return " and ".join(os.strerror(int(number)).lower() for number in numbers) or str(error) or type(error).__name__
