"""Named blobs in one place, each whole or not there: where snapshots and large versions are kept."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final

from headrace.core.errors import SurroundingsError

__all__ = ["Blobs", "Disk", "FolderBlobs", "MemoryBlobs", "SystemDisk"]

_PART: Final = ".part"


class Blobs(ABC):
    """A place for blobs. Names are plain file names; a blob that has been put never changes."""

    @abstractmethod
    def put(self, name: str, content: bytes) -> None:
        """Keep a blob; a power cut after the return takes nothing away, one before it leaves no half of it.

        Raises SurroundingsError if the place refuses.
        """

    @abstractmethod
    def get(self, name: str) -> bytes | None:
        """Return a blob, or None if there is none of that name."""

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of all blobs, sorted."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Forget a blob; one that is not there is no error."""


class Disk(ABC):
    """What a folder of blobs asks of a disk: five operations, each of which may raise OSError."""

    @abstractmethod
    def write(self, path: Path, content: bytes) -> None:
        """Write a whole file. Until `force` a power cut may leave any part of it."""

    @abstractmethod
    def force(self, path: Path) -> None:
        """Return when the content of a file, or the names in a folder, are safe."""

    @abstractmethod
    def rename(self, path: Path, to: Path) -> None:
        """Give a file another name, in place of whatever has it. Safe after the folder is forced."""

    @abstractmethod
    def remove(self, path: Path) -> None:
        """Remove a file; one that is not there is no error."""


@final
class SystemDisk(Disk):
    """The machine's own."""

    def write(self, path: Path, content: bytes) -> None:
        """Write a whole file, in a folder that is made if need be."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def force(self, path: Path) -> None:
        """Return when a file or a folder is safe."""
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def rename(self, path: Path, to: Path) -> None:
        """Give a file another name."""
        path.replace(to)

    def remove(self, path: Path) -> None:
        """Remove a file."""
        path.unlink(missing_ok=True)


@final
class FolderBlobs(Blobs):
    """Blobs as files of a folder, which is made when the first is put.

    A file is written under another name, forced to disk and then renamed, and the folder is forced too.
    """

    def __init__(self, folder: Path, *, disk: Disk | None = None) -> None:
        self._folder = folder
        self._disk = disk or SystemDisk()

    def put(self, name: str, content: bytes) -> None:
        """Keep a blob; see `Blobs.put`."""
        made = self._folder / f"{name}.{os.getpid()}{_PART}"
        with self._mapped("a disk to write to"):
            self._disk.write(made, content)
            self._disk.force(made)
            self._disk.rename(made, self._folder / name)
            self._disk.force(self._folder)

    def get(self, name: str) -> bytes | None:
        """Return a blob; see `Blobs.get`."""
        with self._mapped(f"to read {name}"):
            try:
                return (self._folder / name).read_bytes()
            except FileNotFoundError:
                return None

    def names(self) -> list[str]:
        """Return the names of all blobs, sorted."""
        if not self._folder.exists():
            return []
        with self._mapped("a folder that can be read"):
            return sorted(file.name for file in self._folder.iterdir() if not file.name.endswith(_PART))

    def delete(self, name: str) -> None:
        """Forget a blob."""
        with self._mapped("a disk to write to"):
            self._disk.remove(self._folder / name)

    @contextmanager
    def _mapped(self, wanted: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise SurroundingsError(f"blobs {self._folder.name}", wanted=wanted, got=str(error)) from error


@final
class MemoryBlobs(Blobs):
    """Blobs in memory: for tests, notebooks and simulation.

    >>> blobs = MemoryBlobs()
    >>> blobs.put("a", b"1")
    >>> blobs.names(), blobs.get("a"), blobs.get("b")
    (['a'], b'1', None)
    """

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    def put(self, name: str, content: bytes) -> None:
        """Keep a blob."""
        self._blobs[name] = content

    def get(self, name: str) -> bytes | None:
        """Return a blob, or None if there is none of that name."""
        return self._blobs.get(name)

    def names(self) -> list[str]:
        """Return the names of all blobs, sorted."""
        return sorted(self._blobs)

    def delete(self, name: str) -> None:
        """Forget a blob."""
        self._blobs.pop(name, None)
