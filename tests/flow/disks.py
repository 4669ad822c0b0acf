"""A disk that is written down, operation by operation, and the images that a power cut may leave of it."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import apsw

from headrace.store.blobs import Disk

FATES = ("kept", "lost", "short", "zeroed")


@dataclass
class Operation:
    """One operation: `write`, `truncate`, `force`, `rename`, `remove` or `force names`; paths are names in a folder."""

    kind: str
    name: str
    place: int = 0
    data: bytes = b""
    to: str = ""


@dataclass
class Tape:
    """What was done, in order, and what somebody noted at a place of it."""

    done: list[Operation] = field(default_factory=list)
    notes: list[tuple[int, object]] = field(default_factory=list)

    def note(self, what: object) -> None:
        self.notes.append((len(self.done), what))


def image(tape: Sequence[Operation], fate: Callable[[int, Operation], str]) -> dict[str, bytes]:
    """Return the files of a folder after a power cut behind the last operation.

    What was forced stands; each other operation meets its fate. Names change only if they were forced or are kept.
    """
    forced_names = max((place for place, one in enumerate(tape) if one.kind == "force names"), default=-1)
    files: dict[str, bytes] = {}
    for place, one in enumerate(tape):
        if one.kind in ("rename", "remove"):
            if place > forced_names and fate(place, one) != "kept":
                continue
            content = files.pop(one.name, None)
            if one.kind == "rename" and content is not None:
                files[one.to] = content
            continue
        if one.kind.startswith("force"):
            continue
        safe = any(later.kind == "force" and later.name == one.name for later in tape[place:])
        data, end = _left(one, "kept" if safe else fate(place, one))
        if data is None:
            continue
        before = files.get(one.name, b"")
        if one.kind == "truncate":
            files[one.name] = before[: one.place].ljust(one.place, b"\0")
        else:
            files[one.name] = before[: one.place].ljust(one.place, b"\0") + data + before[end:]
    return files


def _left(one: Operation, fate: str) -> tuple[bytes | None, int]:
    end = one.place + len(one.data)
    match fate:
        case "kept":
            return one.data, end
        case "lost":
            return None, end
        case "short":
            return one.data[: len(one.data) // 2], one.place + len(one.data) // 2
        case _:
            return bytes(len(one.data)), end


def fates(draw: Random) -> Iterator[Callable[[int, Operation], str]]:
    """Yield one fate for all, then some in which each operation draws its own."""
    for fate in FATES:
        yield lambda place, one, fate=fate: fate  # type: ignore[misc]
    for _ in range(3):
        seed = draw.getrandbits(32)
        yield lambda place, one, seed=seed: Random(seed * 1_000 + place).choice(FATES)  # type: ignore[misc]


def put_back(files: dict[str, bytes], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


class RecordedDisk(Disk):
    """A disk for blobs that really writes, and writes down what it did; `fails` may raise before an operation."""

    def __init__(self, tape: Tape, fails: Callable[[str], None] = lambda kind: None) -> None:
        self.tape = tape
        self.fails = fails

    def write(self, path: Path, content: bytes) -> None:
        self.fails("write")
        self.tape.done.append(Operation("truncate", path.name))
        self.tape.done.append(Operation("write", path.name, 0, content))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def force(self, path: Path) -> None:
        self.fails("force")
        self.tape.done.append(Operation("force names" if path.is_dir() else "force", path.name))

    def rename(self, path: Path, to: Path) -> None:
        self.fails("rename")
        self.tape.done.append(Operation("rename", path.name, to=to.name))
        path.replace(to)

    def remove(self, path: Path) -> None:
        self.fails("remove")
        self.tape.done.append(Operation("remove", path.name))
        path.unlink(missing_ok=True)


class RecordedVFS(apsw.VFS):
    """SQLite's view of a disk, written down; `fails` may raise before an operation."""

    def __init__(self, tape: Tape, name: str, fails: Callable[[str], None] = lambda kind: None) -> None:
        super().__init__(name, "")
        self.tape = tape
        self.fails = fails

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> "RecordedFile":
        return RecordedFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.tape.done.append(Operation("remove", Path(filename).name))
        if syncdir:
            self.tape.done.append(Operation("force names", ""))
        super().xDelete(filename, syncdir)


class RecordedFile(apsw.VFSFile):
    def __init__(self, vfs: RecordedVFS, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self.vfs = vfs
        self.name = Path(name.filename() if isinstance(name, apsw.URIFilename) else str(name)).name
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:
        self.vfs.fails("write")
        self.vfs.tape.done.append(Operation("write", self.name, offset, bytes(data)))
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self.vfs.fails("force")
        self.vfs.tape.done.append(Operation("force", self.name))
        super().xSync(flags)

    def xTruncate(self, newsize: int) -> None:
        self.vfs.tape.done.append(Operation("truncate", self.name, newsize))
        super().xTruncate(newsize)


def recorded_fsync(tape: Tape, real: Callable[[int], None] = os.fsync) -> Callable[[int], None]:
    """Return an fsync that writes down which file was forced."""

    def fsync(handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").readlink()
        tape.done.append(Operation("force names" if path.is_dir() else "force", path.name))
        real(handle)

    return fsync
