r"""Who a finding is: the same in the next scan, on a moved line, under a new image tag.

The identity is a UUID 5 over names that do not change while the finding is the same one.
The scanner is not among them where an id is common to all (CVE, CWE, GHSA), so that two
scanners that see one vulnerability agree. What goes in is normalised: images without tag
and digest, paths with ``/`` and without ``./``, code without white space and line numbers.

What is *not* told apart: two occurrences of the same code under the same rule in one file,
and two versions of one package at one path. They are one finding, open until both are gone.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final
from uuid import UUID, uuid5

NAMESPACE: Final = UUID("0d1c7f0a-2f83-5a8e-8a33-1d5a4f1f9f1c")
_SPACE: Final = re.compile(r"\s+")
#: A tag: after the last ``/``, from ``:`` on. A port stands before a ``/``.
_TAG: Final = re.compile(r":[\w][\w.-]{0,127}\Z")
_DRIVE: Final = re.compile(r"\A[A-Za-z]:(?=/)")
_VERSION: Final = re.compile(r"@[^@/?#]+(?=[?#]|\Z)")


def uid(*names: str) -> str:
    """Return the id of what has these names, in this order.

    >>> uid("CVE-2026-0001", "shop", "openssl") == uid("CVE-2026-0001", "shop", "openssl")
    True
    >>> uid("a", "bc") == uid("ab", "c")
    False
    """
    joined = "\x1f".join(name.replace("\x1f", " ") for name in names)
    return str(uuid5(NAMESPACE, joined.encode(errors="surrogatepass").hex()))


def artifact(name: str) -> str:
    """Return the name of an image without tag and digest; other names as they are.

    >>> artifact("registry.example.com:5000/shop/web:1.2.3@sha256:00ff")
    'registry.example.com:5000/shop/web'
    >>> artifact("alpine:3.11")
    'alpine'
    """
    return _TAG.sub("", name.partition("@sha256:")[0])


def path(name: str) -> str:
    r"""Return a path as it is spelled everywhere.

    >>> path("./src/app.py"), path("file:///src/app.py"), path("C:\\src\\app.py")
    ('src/app.py', 'src/app.py', 'src/app.py')
    """
    spelled = _DRIVE.sub("", name.removeprefix("file://").replace("\\", "/"))
    while spelled.startswith(("./", "/")):
        spelled = spelled.lstrip("/").removeprefix("./")
    return spelled


def package(purl: str) -> str:
    """Return a package URL without version, qualifiers and subpath.

    >>> package("pkg:npm/%40acme/web@1.2.3?arch=x86")
    'pkg:npm/%40acme/web'
    """
    return _VERSION.sub("", purl).partition("?")[0].partition("#")[0]


def code(*lines: str) -> str:
    """Return a fingerprint of code that moving or indenting it does not change.

    >>> code("if a:", "    b()") == code("  if a:", "  b()")
    True
    """
    plain = "\n".join(_SPACE.sub(" ", line).strip() for line in lines).strip()
    if not plain:
        return ""
    return blake2b(plain.encode(errors="surrogatepass"), digest_size=16).hexdigest()
