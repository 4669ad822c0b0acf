"""Snapshots of tasks: one blob each, ordered by the input position they stand at, never by their age."""

import json
import struct
from collections.abc import Iterator
from typing import Any, Final, TypeAlias, final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from headrace.core.position import Position
from headrace.store.blobs import Blobs

__all__ = ["Arrays", "Meta", "Snapshots", "packed", "unpacked"]

Arrays: TypeAlias = dict[str, NDArray[Any]]
Meta: TypeAlias = dict[str, Any]
_KEPT: Final = 3
_ORDER: Final = struct.Struct(">QQ")
_SIGN: Final = 1 << 63


def packed(arrays: Arrays, meta: Meta) -> bytes:
    """Return arrays and a JSON object as one safetensors blob; the same values give the same bytes.

    >>> arrays, meta = unpacked(packed({"w": np.ones(2)}, {"rows": 3}))
    >>> arrays["w"].tolist(), meta
    ([1.0, 1.0], {'rows': 3})
    """
    whole = {name: np.ascontiguousarray(array) for name, array in sorted(arrays.items())}
    return bytes(save(whole, metadata={"meta": json.dumps(meta, sort_keys=True)}))


def unpacked(blob: bytes) -> tuple[Arrays, Meta]:
    """Return what `packed` was given. Raises SafetensorError or ValueError if the blob is damaged."""
    meta = _meta(blob)
    return dict(load(blob)), meta


def _meta(blob: bytes) -> Meta:
    (size,) = struct.unpack_from("<Q", blob)
    header = json.loads(blob[8 : 8 + size])
    meta: Meta = json.loads(header.get("__metadata__", {}).get("meta", "{}"))
    return meta


@final
class Snapshots:
    """The snapshots of one task, in a place of its own: blobs named by the input position at which they stand.

    The newest three are kept, by position: a second owner that lags behind saves old ones late.
    """

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def save(self, position: Position, arrays: Arrays, meta: Meta) -> None:
        """Keep one snapshot that stands at `position` of the task's input."""
        self._blobs.put(_ORDER.pack(position.offset + _SIGN, position.sub + _SIGN).hex(), packed(arrays, meta))
        for old in self._newest_names()[_KEPT:]:
            self._blobs.delete(old)

    def newest_first(self) -> Iterator[tuple[Arrays, Meta]]:
        """Yield the snapshots that can be read, the one that stands furthest first."""
        for name in self._newest_names():
            blob = self._blobs.get(name)
            if blob is None:
                continue  # Another owner of the task has just collected it.
            try:
                yield unpacked(blob)
            except (SafetensorError, ValueError, struct.error):
                continue  # Damaged on the disk: an older one serves.

    def metas(self) -> list[Meta]:
        """Return what the kept snapshots say of themselves, the one that stands furthest first."""
        found = []
        for name in self._newest_names():
            blob = self._blobs.get(name)
            try:
                found += [_meta(blob)] if blob is not None else []
            except (ValueError, struct.error):
                continue  # Damaged on the disk: nobody will start from it.
        return found

    def _newest_names(self) -> list[str]:
        return sorted(self._blobs.names(), reverse=True)
