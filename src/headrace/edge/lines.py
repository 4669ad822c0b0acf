"""The lines of a file of text: where each begins and ends, and which ones can be read at all."""

from dataclasses import dataclass
from typing import Final, final

import numpy as np

from headrace.core.records import I8

__all__ = ["Lines"]

_NEWLINE: Final = 10
_RETURN: Final = 13
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


@final
@dataclass(frozen=True, slots=True)
class Lines:
    r"""The m lines of a file that hold at least one byte.

    start, stop: i8[m], the bytes of a line without its end (`\n` or `\r\n`). `closed` is False if the file ends
    inside of the last line.
    """

    data: bytes
    start: I8
    stop: I8
    closed: bool

    @classmethod
    def of(cls, data: bytes) -> "Lines":
        r"""Find the lines of a file. A byte order mark is skipped.

        >>> Lines.of(b"a\n\nbc\r\nd").texts(np.arange(3))
        [b'a', b'bc', b'd']
        """
        first = len(_BYTE_ORDER_MARK) if data.startswith(_BYTE_ORDER_MARK) else 0
        view = np.frombuffer(data, np.uint8)
        newlines = np.flatnonzero(view == _NEWLINE)
        closed = len(data) == first or bool(view[-1] == _NEWLINE)
        stop = newlines if closed else np.append(newlines, len(data))
        start = np.concatenate([[first], stop[:-1] + 1]) if len(stop) else stop
        returned = (stop > start) & (view[np.maximum(stop - 1, 0)] == _RETURN) if len(data) else stop > start
        stop = stop - returned
        filled = stop > start
        return cls(data, start[filled].astype(np.int64), stop[filled].astype(np.int64), closed)

    def __len__(self) -> int:
        """Return the number of lines that are not empty."""
        return len(self.start)

    def text(self, line: int) -> bytes:
        """Return the bytes of one line."""
        return self.data[self.start[line] : self.stop[line]]

    def texts(self, lines: I8) -> list[bytes]:
        """Return the bytes of some lines."""
        pairs = zip(self.start[lines].tolist(), self.stop[lines].tolist(), strict=True)
        return [self.data[start:stop] for start, stop in pairs]

    def joined(self, lines: I8) -> bytes:
        """Return some lines, each with an end, as one text; without copying each if they follow one another."""
        if len(lines) == 0:
            return b""
        begin, end = int(self.start[lines[0]]), int(self.stop[lines[-1]])
        if np.array_equal(self.stop[lines[:-1]] + 1, self.start[lines[1:]]):
            return self.data[begin:end] + b"\n"
        return b"\n".join(self.texts(lines)) + b"\n"
