"""A folder of JSON lines: each write is one segment, whole or not there, and its name says which positions it holds."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, final

import pyarrow as pa

from headrace.core.errors import StateError, SurroundingsError
from headrace.core.position import Position
from headrace.edge.json_rows import json_rows
from headrace.edge.sink import Sink

__all__ = ["FileSink"]

_SIGN: Final = 1 << 63
_SEGMENT: Final = ".jsonl"
_UNFINISHED: Final = ".part"
_LOCK: Final = ".lock"
_DIGITS: Final = 16


@final
class FileSink(Sink):
    """Exactly once into a folder: its segments are the only truth about what it has taken.

    A segment is called `<after>-<through>.jsonl`, each position as 32 hex digits that sort as positions do. With a
    `writer`, it is `<after>-<through>-<writer>.jsonl`: several share a folder (the generations of a pipeline, one
    after the other), each with positions of its own, and none looks at how far another has come. It is
    written under another name, forced to disk, and then linked to its own name, which fails if that is taken. Check
    and link happen under a lock on the folder, so of two owners of one task one is told that it is the second. The
    folder must be on a disk of this machine: over a network such locks may not hold.

    Raises SurroundingsError if the disk refuses.
    """

    def __init__(self, folder: Path, *, writer: str = "") -> None:
        self._folder = folder
        self._writer = writer
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with self._locked():
                # The lock is held by nobody who still writes, since a writer keeps it until its segment stands.
                for unfinished in folder.glob(f"*{_UNFINISHED}"):
                    unfinished.unlink()
        except OSError as error:
            raise self._refused(error) from error

    def reached(self) -> Position | None:
        """Return the highest position of any segment, or None in an empty folder."""
        segments = [_parts(segment) for segment in self._folder.glob(f"*{_SEGMENT}")]
        return max((through for _, through, writer in segments if writer == self._writer), default=None)

    def write(self, rows: pa.Table, after: Position, through: Position) -> None:
        """Write one segment. Does nothing if the folder already holds all of these positions.

        Raises StateError if it holds a part of them: another owner of the task wrote meanwhile.
        """
        lines = "".join(f"{line}\n" for line in json_rows(rows)).encode()
        try:
            with self._locked():
                reached = self.reached()
                if reached is not None and reached >= through:
                    return
                if reached is not None and reached > after:
                    raise StateError(
                        f"sink {self._folder.name!r}",
                        wanted=f"to stand at {tuple(after)} (start the task again, from what the sink has taken)",
                        got=f"{tuple(reached)}",
                    )
                own = f"-{self._writer}" if self._writer else ""
                self._write(f"{_digits(after)}-{_digits(through)}{own}", lines)
        except OSError as error:
            raise self._refused(error) from error

    def _write(self, name: str, lines: bytes) -> None:
        unfinished = self._folder / f"{name}{_UNFINISHED}"
        with unfinished.open("wb") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
        os.link(unfinished, self._folder / f"{name}{_SEGMENT}")
        unfinished.unlink()
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)  # A name is on disk only when its folder is.
        finally:
            os.close(folder)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the folder's lock; the kernel gives it back if this process dies."""
        with (self._folder / _LOCK).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _refused(self, error: OSError) -> SurroundingsError:
        return SurroundingsError(f"sink {self._folder.name!r}", wanted="a disk to write to", got=str(error))


def _digits(position: Position) -> str:
    """Return a position as hex digits that sort as positions do, negative ones too."""
    return f"{position.offset + _SIGN:0{_DIGITS}x}{position.sub + _SIGN:0{_DIGITS}x}"


def _parts(segment: Path) -> tuple[Position, Position, str]:
    """Return what a segment's name says: after, through, writer.

    Raises StateError if the name is no segment's.
    """
    try:
        first, second, *writer = segment.stem.split("-", maxsplit=2)
        after, through = (
            Position(int(part[:_DIGITS], 16) - _SIGN, int(part[_DIGITS:], 16) - _SIGN) for part in (first, second)
        )
    except ValueError as error:
        wanted = "only segments in the folder of a sink (move the file away)"
        raise StateError(f"sink {segment.parent.name!r}", wanted=wanted, got=segment.name) from error
    return after, through, "".join(writer)
