"""Labels by definition: lists and loops over everything seen so far. Imports nothing of ours."""

import math
from dataclasses import dataclass, field


@dataclass
class Row:
    """One row of the log: a request, an event, or the word that one of the two has ended."""

    role: str
    key: int = 0
    time: int = 0
    value: float = 0.0
    name: str = ""


@dataclass
class Open:
    """A request that may still be answered."""

    row: Row
    number: int
    answer: tuple[int, float] | None = None
    closed: bool = False


@dataclass
class Labels:
    """The answer to each request, found by looking at every request for every row."""

    after: int
    within: int
    how: str
    otherwise: float
    event_disorder: int
    request_disorder: int
    requests: list[Open] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)
    event_watermark: float = -math.inf
    request_watermark: float = -math.inf

    def step(self, number: int, row: Row) -> list[tuple[int, str, float, int]]:
        """Take one row; return (row, request, value, known at) of each label that it decides."""
        made = []
        if row.role == "request":
            asked = Open(row, len(self.requests))
            self.requests.append(asked)
            # Events are remembered as long as a request that is not behind its watermark could match them.
            kept = [event for event in self.events if event.time >= self.request_watermark + self.after]
            made += [label for event in kept for label in self.match(number, asked, event)]
            self.request_watermark = max(self.request_watermark, row.time - self.request_disorder)
        elif row.role == "event":
            if not math.isnan(row.value):
                for asked in self.requests:
                    if not asked.closed and asked.row.key == row.key:
                        made += self.match(number, asked, row)
                self.events.append(row)
            self.event_watermark = max(self.event_watermark, row.time - self.event_disorder)
        elif row.role == "events ended":
            self.event_watermark = math.inf
        else:
            self.request_watermark = math.inf
        closing = [
            asked
            for asked in self.requests
            if not asked.closed and asked.row.time + self.within <= self.event_watermark
        ]
        for asked in sorted(closing, key=lambda entry: (entry.row.time, entry.number)):
            asked.closed = True
            if self.how == "last" or asked.answer is None:
                value = self.otherwise if asked.answer is None else asked.answer[1]
                made.append((number, asked.row.name, value, asked.row.time + self.within))
        return made

    def match(self, number: int, asked: Open, event: Row) -> list[tuple[int, str, float, int]]:
        """Let one event answer one request, if it lies in its window."""
        start = asked.row.time
        if event.key != asked.row.key or not start + self.after <= event.time < start + self.within:
            return []
        if self.how == "first":
            if asked.answer is not None:
                return []
            asked.answer = (event.time, event.value)
            return [(number, asked.row.name, event.value, event.time)]
        if asked.answer is None or event.time >= asked.answer[0]:
            asked.answer = (event.time, event.value)
        return []
