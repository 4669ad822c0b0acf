"""Bundles of versions: small ones stand in [control] itself, large ones beside the log, named by what they hold."""

import hashlib
import re
from collections.abc import Collection
from typing import Final, final

from headrace.core.errors import StateError
from headrace.store.blobs import Blobs

__all__ = ["INLINE_BYTES", "Bundles", "version_name"]

INLINE_BYTES: Final = 256 * 1024
"""A bundle up to this size stands in [control]."""
_DIGITS: Final = 12
_NAME: Final = re.compile(r"v(\d+)-[0-9a-f]{12}")


def version_name(number: int, bundle: bytes) -> str:
    """Return the name of a version: its number, and the first digits of its bundle's SHA-256.

    >>> version_name(3, b"weights")
    'v3-9a129038d9a0'
    """
    return f"v{number}-{hashlib.sha256(bundle).hexdigest()[:_DIGITS]}"


@final
class Bundles:
    """The large bundles of one generation.

    >>> from headrace.store.blobs import MemoryBlobs
    >>> bundles = Bundles(MemoryBlobs())
    >>> large = bytes(INLINE_BYTES + 1)
    >>> name = version_name(0, large)
    >>> bundles.inline(name, large), bundles.load(name, b"") == large
    (b'', True)
    """

    def __init__(self, blobs: Blobs | None) -> None:
        """Keep large bundles in `blobs`; without a place for them, all stand in the log."""
        self._blobs = blobs

    def inline(self, name: str, bundle: bytes) -> bytes:
        """Return what of a bundle stands in the log; a large one is safe in its place before this returns.

        So whoever reads the row finds the blob: "a blob named in a kept log is kept".
        """
        if self._blobs is None or len(bundle) <= INLINE_BYTES:
            return bundle
        self._blobs.put(name, bundle)
        return b""

    def load(self, name: str, inline: bytes) -> bytes:
        """Return the bundle of a version, given what of it stands in the log.

        Raises StateError, with the remedy, if it is gone or damaged.
        """
        if inline:
            return inline
        found = self._blobs.get(name) if self._blobs is not None else None
        wanted = "its bundle among the blobs (restore bundles/ from a copy, or promote another version)"
        if found is None:
            raise StateError(f"version {name}", wanted=wanted, got="none")
        if hashlib.sha256(found).hexdigest()[:_DIGITS] != name.rpartition("-")[2]:
            raise StateError(f"version {name}", wanted=wanted, got="another content")
        return found

    def collect(self, named: Collection[str], newest: int, *, dry_run: bool = False) -> list[str]:
        """Delete the bundles that nobody names any more, and return their names.

        `named` are the versions that [control] names from its cut on, `newest` is the highest number among all
        that it ever took. A bundle with a higher number stays: its session may be about to append the frame that
        names it. One with a number that was taken and another name cannot be named any more, by the readers' rule.
        """
        if self._blobs is None:
            return []
        gone = []
        for name in self._blobs.names():
            found = _NAME.fullmatch(name)
            if found is not None and int(found[1]) <= newest and name not in named:
                gone.append(name)
                if not dry_run:
                    self._blobs.delete(name)
        return gone
