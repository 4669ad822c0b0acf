"""Named blobs in one place, each whole or not there: where snapshots and large versions are kept."""

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Final, final

from headrace.core.errors import SurroundingsError

__all__ = ["Blobs", "FolderBlobs", "MemoryBlobs"]

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


@final
class FolderBlobs(Blobs):
    """Blobs as files of a folder, which is made when the first is put.

    A file is written under another name, forced to disk and then renamed, and the folder is forced too.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, name: str, content: bytes) -> None:
        """Keep a blob; see `Blobs.put`."""
        made = self._folder / f"{name}.{os.getpid()}{_PART}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with made.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            made.replace(self._folder / name)
            self._force_folder()
        except OSError as error:
            raise SurroundingsError(f"blobs {self._folder.name}", wanted="a disk to write to", got=str(error)) from error

    def get(self, name: str) -> bytes | None:
        """Return a blob; see `Blobs.get`."""
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def names(self) -> list[str]:
        """Return the names of all blobs, sorted."""
        if not self._folder.exists():
            return []
        return sorted(file.name for file in self._folder.iterdir() if not file.name.endswith(_PART))

    def delete(self, name: str) -> None:
        """Forget a blob."""
        (self._folder / name).unlink(missing_ok=True)

    def _force_folder(self) -> None:
        handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


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
