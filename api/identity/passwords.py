"""Passwords: which ones are taken, and Argon2id off the event loop.

Parameters are the first of OWASP's Password Storage Cheat Sheet (19 MiB, 2 passes, 1 lane):
the least memory of those it recommends, since every sign-in takes that much. At most
`THREADS` are computed at a time; others wait, so memory stays bounded under a flood.
What makes a password bad follows NIST SP 800-63B-4, 3.1.1.2: length and a list of those
that were found in breaches, no rules about characters.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

T = TypeVar("T")

MIN_LENGTH: Final = 12
MAX_LENGTH: Final = 256
#: Fewer different characters than this are a pattern, not a password.
MIN_DISTINCT: Final = 5
#: As many characters around a common word do not make it another.
AROUND: Final = 6
THREADS: Final = 2
MEMORY_KIB: Final = 19_456
_HASHER = PasswordHasher(time_cost=2, memory_cost=MEMORY_KIB, parallelism=1)
_THREADS = ThreadPoolExecutor(THREADS, "sentinel-argon2")
#: What people put around a word so that it counts as a password.
_AROUND = re.compile(r"^[\W\d_]+|[\W\d_]+$")
_LEET = str.maketrans("013457@$!", "oleastasi")


def fault(password: str, name: str) -> str:
    """Return why `password` may not be that of the user `name`; empty where it may.

    >>> fault("Tr0ub4dor&3", "ada")
    'expected 12 to 256 characters, found 11'
    >>> fault("Password!2026", "ada")
    'expected a password that is not among those found in breaches, found one'
    >>> fault("correct horse battery staple", "ada")
    ''
    """
    text = unicodedata.normalize("NFC", password)
    if not MIN_LENGTH <= len(text) <= MAX_LENGTH:
        return f"expected {MIN_LENGTH} to {MAX_LENGTH} characters, found {len(text)}"
    if len(set(text)) < MIN_DISTINCT:
        return f"expected at least {MIN_DISTINCT} different characters, found fewer"
    lowered = text.casefold()
    local = name.partition("@")[0].casefold()
    if len(local) > 2 and local in lowered:  # shorter names are in many words
        return "expected a password without the name of the user, found it in there"
    if any(each in breached() for each in _cores(lowered)):
        return "expected a password that is not among those found in breaches, found one"
    return ""


def _cores(text: str) -> set[str]:
    """Return what is left of a password without what is commonly put around or for it."""
    plain = {text, text.translate(_LEET)}
    bare = {_AROUND.sub("", each) for each in plain} | {_AROUND.sub("", text).translate(_LEET)}
    found = plain | {each for each in bare if len(each) >= len(text) - AROUND}
    for each in list(found):
        for size in range(1, len(each) // 2 + 1):
            if each[:size] * (len(each) // size) == each:
                found.add(each[:size])
    return found


@cache
def breached() -> frozenset[str]:
    """Return the most common passwords of public breaches (the list that zxcvbn has)."""
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    return frozenset(FREQUENCY_LISTS["passwords"])


def one_time() -> str:
    """Return a secret to sign in with once: 120 random bits."""
    return secrets.token_urlsafe(15)


async def hashed(password: str) -> str:
    """Return the Argon2id hash of a password, with its parameters and salt."""
    return await _elsewhere(partial(_HASHER.hash, unicodedata.normalize("NFC", password)))


async def matches(password: str, known: str | None) -> bool:
    """Say whether `password` has the hash `known`; takes as long where there is none."""
    return await _elsewhere(partial(_matches, password, known))


def _matches(password: str, known: str | None) -> bool:
    text = unicodedata.normalize("NFC", password[: 4 * MAX_LENGTH])
    try:
        return _HASHER.verify(known or _nobodys(), text) and known is not None
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobodys() -> str:
    return _HASHER.hash(secrets.token_urlsafe(32))


def outdated(known: str) -> bool:
    """Say whether a hash was made with other parameters than today's."""
    return _HASHER.check_needs_rehash(known)


async def _elsewhere(function: partial[T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(_THREADS, function)
