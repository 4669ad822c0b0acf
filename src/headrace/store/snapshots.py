"""Snapshots of tasks: one file each, ordered by the input position they stand at, never by the file's age."""

import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias, final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from headrace.core.errors import SurroundingsError
from headrace.core.position import Position

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
    (size,) = struct.unpack_from("<Q", blob)
    header = json.loads(blob[8 : 8 + size])
    meta: Meta = json.loads(header.get("__metadata__", {}).get("meta", "{}"))
    return dict(load(blob)), meta


@final
class Snapshots:
    """The snapshots of one task, in a folder of its own. The newest three are kept.

    A file is written under another name, forced to disk, and then renamed, so that it is whole or not there.
    Raises SurroundingsError if the disk refuses.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def save(self, position: Position, arrays: Arrays, meta: Meta) -> None:
        """Keep one snapshot that stands at `position` of the task's input."""
        name = _ORDER.pack(position.offset + _SIGN, position.sub + _SIGN).hex()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            made = self._folder / f"{name}.{os.getpid()}.part"
            with made.open("wb") as file:
                file.write(packed(arrays, meta))
                file.flush()
                os.fsync(file.fileno())
            made.replace(self._folder / f"{name}.snapshot")
            for old in self._files()[_KEPT:]:
                old.unlink(missing_ok=True)
        except OSError as error:
            raise SurroundingsError(
                f"snapshots {self._folder.name}", wanted="a disk to write to", got=str(error)
            ) from error

    def newest_first(self) -> Iterator[tuple[Arrays, Meta]]:
        """Yield the snapshots that can be read, the one that stands furthest first."""
        for file in self._files():
            try:
                yield unpacked(file.read_bytes())
            except (SafetensorError, ValueError, struct.error, FileNotFoundError):
                continue  # Cut short by a power cut, or just collected by another owner: an older one serves.

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.snapshot"), reverse=True) if self._folder.exists() else []
