"""Which rows a window holds, by definition, over lists. Imports nothing of ours."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Window:
    """A window as the user means it; times in microseconds. `since` and `until` of a given one come with the read."""

    kind: Literal["sliding", "last_n", "session", "given"]
    size: float = math.inf
    offset: int = 0
    current: bool = False
    n: int = 0
    gap: int = 0


def inside(window: Window, times: Sequence[int], at: int, given: tuple[int, int] = (0, 0)) -> list[int]:
    """Return which of a key's rows, oldest first, the window holds at the moment `at`. times: sorted, ties in order."""
    end = at - window.offset
    if window.kind == "given":
        return [place for place, time in enumerate(times) if given[0] <= time < given[1]]
    found = [
        place
        for place, time in enumerate(times)
        if end - window.size <= time and (time < end or (window.current and time == end))
    ]
    if window.kind == "last_n":
        return found[max(len(found) - window.n, 0) :]
    if window.kind == "sliding" or not found:
        return found
    if end - times[found[-1]] > window.gap:
        return []
    session = [found[-1]]
    for place in reversed(found[:-1]):
        if times[session[0]] - times[place] > window.gap:
            break
        session.insert(0, place)
    return session
