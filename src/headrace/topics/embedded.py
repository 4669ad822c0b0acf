"""The embedded log: all topics in one SQLite file, so that a power cut loses a suffix of everything at once.

One writing connection, owned by the worker's thread; one transaction a turn. Several processes may work on one
file: SQLite lets one write at a time, and the order of commits is the order of offsets.
"""

import fcntl
import os
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, final

import apsw

from headrace.core.errors import StateError, SurroundingsError, nearest
from headrace.topics.contract import Log, Receipt, Topic
from headrace.topics.cut import Cut
from headrace.topics.frame import Frame, decode, encode
from headrace.topics.manifest import Manifest

__all__ = ["EmbeddedLog"]

_PAGE_BYTES: Final = 8_192
_CHECKPOINT_PAGES: Final = 64_000
"""Pages of write-ahead log beyond which a commit itself moves them; `tidy` does it earlier, off the worker's turn."""
_BUSY_MS: Final = 60_000
_RECENT_BYTES: Final = 96 * 1024 * 1024
_UNKNOWN: Final = 2**63 - 1


@final
class _Recent:
    """Frames that this process has just written, decoded, so that its own readers need not decode them again.

    A cache of the log and nothing else: it is bounded by bytes, and whatever it lacks is read from the file.
    """

    def __init__(self) -> None:
        self._frames: OrderedDict[tuple[str, int], tuple[Frame, int]] = OrderedDict()
        self._bytes = 0

    def put(self, table: str, offset: int, frame: Frame, size: int) -> None:
        self._frames[table, offset] = (frame, size)
        self._bytes += size
        while self._bytes > _RECENT_BYTES:
            _, (_, dropped) = self._frames.popitem(last=False)
            self._bytes -= dropped

    def drop(self, prefix: str) -> None:
        for known in [key for key in self._frames if key[0].startswith(prefix)]:
            self._bytes -= self._frames.pop(known)[1]

    def drop_below(self, table: str, offset: int) -> None:
        for known in [key for key in self._frames if key[0] == table and key[1] < offset]:
            self._bytes -= self._frames.pop(known)[1]

    def get(self, table: str, offset: int) -> Frame | None:
        found = self._frames.get((table, offset))
        return found[0] if found else None


@final
class _EmbeddedTopic(Topic):
    def __init__(self, log: "EmbeddedLog", text: bytes, number: int) -> None:
        self._log = log
        self._text = text
        self._manifest = Manifest.from_json(text)
        self._number = number
        self._known_end: dict[int, tuple[int, int]] = {}
        self._known_cut: dict[int, tuple[int, Cut]] = {}

    @property
    def manifest(self) -> Manifest:
        return self._manifest

    def _table(self, partition: int) -> str:
        """Return the partition's table, whose column `place` is the offset + 1 (SQLite counts from 1)."""
        return f"frames_{self._number}_{partition}"

    def append(self, partition: int, frame: Frame) -> Receipt:
        raw = encode(frame, self._manifest)
        table = self._table(partition)
        self._log.begin_writing()
        self._log.execute(f"INSERT INTO {table}(frame) VALUES (?)", (raw,))
        offset = self._log.last_row() - 1
        if not self._manifest.earlier or self._manifest.revision_of(frame.batch) == self._manifest.newest:
            self._log.recent.put(table, offset, frame, len(raw))
        self._known_end[partition] = (self._log.epoch, offset + 1)
        return Receipt(offset)

    def read(self, partition: int, offset: int, limit: int) -> Sequence[tuple[int, Frame]]:
        table = self._table(partition)
        # Places are dense above the beginning: what this process wrote just now needs no query.
        found: list[tuple[int, Frame]] = []
        while len(found) < limit and (frame := self._log.recent.get(table, offset + len(found))) is not None:
            found.append((offset + len(found), frame))
        if found or offset >= self._end_if_known(partition):
            return found
        query = f"SELECT place, frame FROM {table} WHERE place > ? ORDER BY place LIMIT ?"
        rows = list(self._log.execute(query, (offset, limit)))
        if rows and rows[0][0] != offset + 1:
            self._known_cut.pop(partition, None)  # Somebody else has trimmed since this process looked.
        if rows:
            self.follow()  # After the frames, so that whoever may have written them is known.
        return [(place - 1, decode(raw, self._manifest)) for place, raw in rows]

    def follow(self) -> None:
        """Learn of a revision that another connection has made."""
        if not self._manifest.generation:
            ((text,),) = self._log.execute("SELECT manifest FROM topics WHERE number = ?", (self._number,))
            if text != self._text:
                self.amend(Manifest.from_json(text), text)

    def amend(self, manifest: Manifest, text: bytes) -> None:
        """Go on under a newer revision. Frames that were kept decoded may lack columns: they are read again."""
        self._manifest, self._text = manifest, text
        self._log.recent.drop(f"frames_{self._number}_")

    def _end_if_known(self, partition: int) -> int:
        """Return the end, if nobody else can have written since it was seen; else more than any offset."""
        epoch, end = self._known_end.get(partition, (-1, 0))
        return end if epoch == self._log.epoch else _UNKNOWN

    def begin(self, partition: int) -> int:
        return self.cut(partition).offset

    def end(self, partition: int) -> int:
        known = self._end_if_known(partition)
        if known != _UNKNOWN:
            return known
        ((highest,),) = self._log.execute(
            "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?), 0)", (self._table(partition),)
        )
        self._known_end[partition] = (self._log.epoch, int(highest))
        return int(highest)

    def trim(self, partition: int, cut: Cut) -> None:
        self._log.begin_writing()  # First, so that nobody else trims between the look and the deed.
        if cut.offset <= self._kept_cut(partition).offset:
            return
        self._log.recent.drop_below(self._table(partition), cut.offset)
        self._log.execute(f"DELETE FROM {self._table(partition)} WHERE place <= ?", (cut.offset,))
        self._log.execute(
            "INSERT OR REPLACE INTO cuts(number, partition, cut) VALUES (?, ?, ?)",
            (self._number, partition, cut.to_json()),
        )
        self._known_cut[partition] = (self._log.epoch, cut)

    def cut(self, partition: int) -> Cut:
        epoch, known = self._known_cut.get(partition, (-1, Cut()))
        if epoch != self._log.epoch:
            known = self._kept_cut(partition)
            self._known_cut[partition] = (self._log.epoch, known)
        return known

    def _kept_cut(self, partition: int) -> Cut:
        query = "SELECT cut FROM cuts WHERE number = ? AND partition = ?"
        kept = list(self._log.execute(query, (self._number, partition)))
        return Cut.from_json(kept[0][0]) if kept else Cut()


@final
class EmbeddedLog(Log):
    """All topics in one file.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     log = EmbeddedLog(Path(folder) / "log.sqlite")
    ...     log.names()
    ...     log.close()
    []

    Raises SurroundingsError if the file cannot be opened or written, StateError if it is damaged. Never fork after
    opening. Frames are safe from a crash of the process after `commit`, from a power cut after `sync`.
    """

    def __init__(self, path: Path, *, vfs: str | None = None) -> None:
        """Open or make the file; `vfs` names another of SQLite's views of a disk, for tests: one process alone."""
        self._path = path
        self._vfs = vfs
        self.recent: Final = _Recent()
        self.epoch = 0
        """A number that changes when another connection has written; looked at between turns."""
        self._writing = False
        self._topics: dict[str, _EmbeddedTopic] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Making the file and turning on its write-ahead log knows no waiting: two who open it at once take turns.
            with path.with_name(f"{path.name}-opening").open("w") as turn:
                fcntl.flock(turn, fcntl.LOCK_EX)
                self._connection = self._opened()
                # SQLite does not force the removal of the journal under which it turned on its write-ahead log. Found
                # again after a power cut, it would undo that, and with it all that the write-ahead log holds.
                _force(path.parent)
        except (apsw.Error, OSError) as error:
            raise _mapped(error, path) from error

    def _opened(self) -> apsw.Connection:
        connection = apsw.Connection(str(self._path), vfs=self._vfs)
        connection.set_busy_timeout(_BUSY_MS)
        if self._vfs is not None:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # A disk in Python shares no memory.
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS topics"
            "(number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, partitions INTEGER, manifest BLOB)"
        )
        connection.execute(
            "CREATE TABLE IF NOT EXISTS cuts"
            "(number INTEGER, partition INTEGER, cut TEXT, PRIMARY KEY (number, partition))"
        )
        return connection

    def create(self, manifest: Manifest, partitions: int = 1) -> Topic:
        """Make a topic, or open the one of that name; see `Log.create`."""
        self.begin_writing()
        found = list(self.execute("SELECT number, manifest FROM topics WHERE name = ?", (manifest.topic,)))
        if found:
            self._amend(found[0][0], Manifest.from_json(found[0][1]), manifest)
        else:
            made = replace(manifest, incarnation=secrets.randbits(63))
            self.execute(
                "INSERT INTO topics(name, partitions, manifest) VALUES (?, ?, ?)",
                (manifest.topic, partitions, made.to_json()),
            )
            number = self.last_row()
            for partition in range(partitions):
                self.execute(
                    f"CREATE TABLE frames_{number}_{partition}(place INTEGER PRIMARY KEY AUTOINCREMENT, frame BLOB)", ()
                )
        self.commit()
        return self.open(manifest.topic)

    def _amend(self, number: int, known: Manifest, wanted: Manifest) -> None:
        """Write a further revision of a topic's manifest, if more is wanted than it has."""
        try:
            grown = known.amended(wanted, self._ends(number))
        except StateError:
            self.commit()
            raise
        if grown is not known:
            text = grown.to_json()
            self.execute("UPDATE topics SET manifest = ? WHERE number = ?", (text, number))
            opened = self._topics.get(wanted.topic)
            if opened is not None:
                opened.amend(grown, text)

    def _ends(self, number: int) -> list[int]:
        """Return the ends of a topic's partitions."""
        ((partitions,),) = self.execute("SELECT partitions FROM topics WHERE number = ?", (number,))
        query = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?), 0)"
        tables = [f"frames_{number}_{partition}" for partition in range(partitions)]
        return [int(end) for table in tables for (end,) in self.execute(query, (table,))]

    def open(self, topic: str) -> Topic:
        """Open a topic; see `Log.open`."""
        known = self._topics.get(topic)
        if known is not None:
            known.follow()
        else:
            found = list(self.execute("SELECT number, manifest FROM topics WHERE name = ?", (topic,)))
            if not found:
                names = self.names()
                raise StateError(
                    f"log {self._path.name}", wanted=f"one of the topics {names}", got=topic + nearest(topic, names)
                )
            number, text = found[0]
            known = self._topics[topic] = _EmbeddedTopic(self, text, number)
        return known

    def names(self) -> Sequence[str]:
        """Return the names of all topics, sorted."""
        return [name for (name,) in self.execute("SELECT name FROM topics ORDER BY name", ())]

    def commit(self) -> None:
        """Let everybody read what was appended: the end of the turn's transaction."""
        if self._writing:
            self._writing = False
            self.execute("COMMIT", ())
        ((version,),) = self.execute("PRAGMA data_version", ())
        self.epoch = version

    def force(self) -> None:
        """Force the write-ahead log to disk."""
        try:
            _force(Path(f"{self._path}-wal"))
        except FileNotFoundError:
            return  # Everything has been moved into the file itself, which SQLite did with a sync.
        except OSError as error:
            raise _mapped(error, self._path) from error

    def tidy(self) -> None:
        """Move the write-ahead log into the file, over a connection of its own, before a commit has to do it.

        What moves is never less safe on the way: SQLite forces the file before it lets the log be overwritten.
        """
        try:
            other = apsw.Connection(str(self._path))
            other.set_busy_timeout(_BUSY_MS)
            other.execute("PRAGMA wal_checkpoint(PASSIVE)")
            other.close()
        except apsw.Error as error:
            raise _mapped(error, self._path) from error

    def close(self) -> None:
        """Commit and let go of the file."""
        self.commit()
        self._connection.close()

    def begin_writing(self) -> None:
        """Open the turn's transaction, unless it is open."""
        if not self._writing:
            self.execute("BEGIN IMMEDIATE", ())
            self._writing = True

    def last_row(self) -> int:
        """Return the row id of the last insert."""
        return self._connection.last_insert_rowid()

    def execute(self, statement: str, values: tuple[Any, ...]) -> Any:
        """Run one statement, with errors of SQLite mapped to ours."""
        try:
            return self._connection.execute(statement, values)
        except apsw.Error as error:
            raise _mapped(error, self._path) from error


def _force(path: Path) -> None:
    """Return when a file's content, or a folder's names, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _mapped(error: Exception, path: Path) -> StateError | SurroundingsError:
    """Return our error for one of SQLite's or of the system: damage is state, everything else the surroundings."""
    if isinstance(error, apsw.CorruptError | apsw.NotADBError):
        return StateError(f"log {path.name}", wanted="an undamaged log (restore a copy)", got=str(error))
    return SurroundingsError(f"log {path.name}", wanted="a file that can be read and written", got=str(error))
