"""The one place where a label is resolved: what was asked, what happened, and when that became known.

It runs once, in `featurize`, and its rows flow down the log: a label as a feature and `join` both read them.
"""

from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headrace.core.records import F8, I8, U1, strings
from headrace.core.settings import How
from headrace.core.time import UNSPOKEN_US
from headrace.features.keys import KeyTable
from headrace.kernels import labels as kernel

__all__ = ["LabelPlan", "Resolved", "Resolver"]

_LEAST: Final = 1024
_SLOT_COLUMNS: Final = ("key", "time", "close", "sequence", "known", "following")
_EVENT_COLUMNS: Final = ("key", "time", "following")
_HOW: Final = {"first": kernel.FIRST, "last": kernel.LAST}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LabelPlan:
    """What is needed of a label: the window after the request, which event decides, and what no event means.

    Times are microseconds. `otherwise` is the label of a request that closes without an event; NaN for none.
    `carried` is how many 128-bit keys the label features need of each request.
    """

    after_us: int
    within_us: int
    how: How
    otherwise: float
    event_disorder_us: int
    request_disorder_us: int
    carried: int = 0


@final
@dataclass(frozen=True, slots=True)
class Resolved:
    """m labels, in the order of the rows that decided them.

    row: i8[m], the batch's row that decided. id: m request ids. value: f8[m], NaN if the request closed without an
    answer. known: i8[m], when it became known. request_time: i8[m]. carried: u8[m, carried, 2].
    """

    row: I8
    id: pa.StringArray
    value: F8
    known: I8
    request_time: I8
    carried: NDArray[np.uint64]

    @staticmethod
    def nothing() -> "Resolved":
        """Return no labels."""
        no_row = np.zeros(0, np.int64)
        return Resolved(no_row, strings([]), np.zeros(0), no_row, no_row, np.zeros((0, 0, 2), np.uint64))


@final
class Resolver:
    """Resolve one label over rows in log order. Results do not depend on how the rows are cut into batches."""

    def __init__(self, plan: LabelPlan) -> None:
        self._plan = plan
        self._keys = KeyTable()
        self._scalars = np.zeros(kernel.SCALARS, np.int64)
        self._scalars[kernel.EVENT_WATERMARK] = UNSPOKEN_US
        self._scalars[kernel.REQUEST_WATERMARK] = UNSPOKEN_US
        self._counters = np.zeros(kernel.COUNTERS, np.int64)
        self._slots = {name: np.zeros(0, np.int64) for name in _SLOT_COLUMNS}
        self._slot_answered = np.zeros(0, np.uint8)
        self._slot_value = np.zeros(0)
        self._slot_id = np.zeros(0, object)
        self._slot_carried = np.zeros((0, plan.carried, 2), np.uint64)
        self._events = {name: np.zeros(0, np.int64) for name in _EVENT_COLUMNS}
        self._event_value = np.zeros(0)
        self._event_used = np.zeros(0, np.uint8)
        self._queue = np.zeros(_LEAST, np.int64)
        self._heap = np.zeros(0, np.int64)
        self._heads = {name: np.zeros(0, np.int64) for name in ("first_slot", "last_slot", "first_event", "last_event")}
        self._free_slots = np.zeros(0, np.int64)
        self._free_events = np.zeros(0, np.int64)

    @property
    def ledger(self) -> dict[str, int]:
        """Return how many labels were answered, repeated, unmatched (no request known), and closed unanswered."""
        return {
            "answered": int(self._counters[kernel.ANSWERED]),
            "repeated": int(self._counters[kernel.REPEATED]),
            "unmatched": int(self._counters[kernel.UNMATCHED]),
            "closed": int(self._counters[kernel.CLOSED]),
        }

    @property
    def waiting(self) -> int:
        """Return how many requests may still be answered."""
        return int(self._scalars[kernel.HEAP_SIZE])

    def resolve(
        self,
        *,
        role: U1,
        key: NDArray[np.uint64],
        time: I8,
        value: F8,
        id: pa.StringArray,
        carried: NDArray[np.uint64],
        told: I8 | None = None,
    ) -> Resolved:
        """Walk n rows in log order.

        role: u1[n], of `kernels.labels`. key: u8[n, 2], 128-bit hashes of what requests and events share.
        time: i8[n]. value: f8[n], of events. id: n strings, of requests. carried: u8[n, carried, 2], of requests.
        told: i8[n], how far the row's source has come with it, where that is not its own time.
        """
        requests = np.flatnonzero(role == kernel.REQUEST)
        events = np.flatnonzero(role == kernel.EVENT)
        asked = (role == kernel.REQUEST) | (role == kernel.EVENT)
        dense = np.full(len(role), kernel.NONE, np.int64)
        dense[asked] = self._keys.add(np.ascontiguousarray(key[asked]))
        self._grow_keys(int(dense.max(initial=-1)) + 1)
        item = np.full(len(role), kernel.NONE, np.int64)
        item[requests] = slots = self._take_slots(len(requests))
        item[events] = self._take_events(len(events))
        self._slot_id[slots] = id.take(pa.array(requests)).to_numpy(zero_copy_only=False)
        self._slot_carried[slots] = carried[requests]
        most = self.waiting + len(requests)
        row, slot, known = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
        answer = np.empty(most)
        freed_slots, freed = np.empty(most, np.int64), np.zeros(2, np.int64)
        freed_events = np.empty(len(self._events["key"]) + 1, np.int64)
        plan = self._plan
        made = kernel.resolve(
            role,
            dense,
            time,
            time if told is None else told,
            value,
            item,
            _HOW[plan.how],
            plan.after_us,
            plan.within_us,
            plan.event_disorder_us,
            plan.request_disorder_us,
            plan.otherwise,
            self._scalars,
            self._slots["key"],
            self._slots["time"],
            self._slots["close"],
            self._slots["sequence"],
            self._slot_answered,
            self._slot_value,
            self._slots["known"],
            self._slots["following"],
            self._heads["first_slot"],
            self._heads["last_slot"],
            self._heap,
            self._events["key"],
            self._events["time"],
            self._event_value,
            self._event_used,
            self._events["following"],
            self._heads["first_event"],
            self._heads["last_event"],
            self._queue,
            self._counters,
            row,
            slot,
            answer,
            known,
            freed_slots,
            freed_events,
            freed,
        )
        decided = slot[:made]
        resolved = Resolved(
            row[:made],
            strings(self._slot_id[decided].tolist()),
            answer[:made],
            known[:made],
            self._slots["time"][decided],
            self._slot_carried[decided],
        )
        self._give_back(freed_slots[: freed[0]], freed_events[: freed[1]], dense)
        return resolved

    def forget(self, group: int, key: NDArray[np.uint64]) -> None:
        """Let the requests that wait carry `key` (u8[2]) no more in one group: their labels will be nobody's there."""
        self._slot_carried[(self._slot_carried[:, group] == key).all(axis=1), group] = 0

    def snapshot(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the state as arrays, and a JSON object with the ids that wait."""
        arrays: dict[str, NDArray[Any]] = {f"keys_{name}": array for name, array in self._keys.snapshot().items()}
        arrays |= {f"slot_{name}": array.copy() for name, array in self._slots.items()}
        arrays |= {f"event_{name}": array.copy() for name, array in self._events.items()}
        arrays |= {name: array.copy() for name, array in self._heads.items()}
        for name in _PLAIN:
            arrays[name] = getattr(self, f"_{name}").copy()
        return arrays, {"ids": [str(text) for text in self._slot_id.tolist()]}

    def restore(self, arrays: dict[str, NDArray[Any]], meta: dict[str, Any]) -> None:
        """Stand where a snapshot stood."""
        self._keys.restore({name[5:]: array for name, array in arrays.items() if name.startswith("keys_")})
        self._slots = {name: arrays[f"slot_{name}"].copy() for name in _SLOT_COLUMNS}
        self._events = {name: arrays[f"event_{name}"].copy() for name in _EVENT_COLUMNS}
        self._heads = {name: arrays[name].copy() for name in self._heads}
        for name in _PLAIN:
            setattr(self, f"_{name}", arrays[name].copy())
        self._slot_id = np.array(meta["ids"], dtype=object)

    def _take_slots(self, count: int) -> I8:
        free = self._free_slots
        if len(free) < count:
            size = len(self._slot_value)
            more = max(count - len(free), size, _LEAST)
            self._slots = {name: _longer(array, more) for name, array in self._slots.items()}
            self._slot_answered = _longer(self._slot_answered, more)
            self._slot_value = _longer(self._slot_value, more)
            self._slot_id = np.concatenate([self._slot_id, np.full(more, "", object)])
            self._slot_carried = _longer(self._slot_carried, more)
            self._heap = _longer(self._heap, more)
            free = np.concatenate([free, np.arange(size, size + more)])
        self._free_slots = free[count:]
        return free[:count]

    def _take_events(self, count: int) -> I8:
        free = self._free_events
        if len(free) < count:
            size = len(self._event_value)
            more = max(count - len(free), size, _LEAST)
            self._events = {name: _longer(array, more) for name, array in self._events.items()}
            self._event_value = _longer(self._event_value, more)
            self._event_used = _longer(self._event_used, more)
            free = np.concatenate([free, np.arange(size, size + more)])
        self._free_events = free[count:]
        waiting = int(self._scalars[kernel.QUEUE_COUNT])
        if waiting + count > len(self._queue):
            start = int(self._scalars[kernel.QUEUE_FIRST])
            order = (start + np.arange(waiting)) & (len(self._queue) - 1)
            size = 1 << int(waiting + count).bit_length()
            queue = np.zeros(size, np.int64)
            queue[:waiting] = self._queue[order]
            self._queue = queue
            self._scalars[kernel.QUEUE_FIRST] = 0
        return free[:count]

    def _grow_keys(self, count: int) -> None:
        size = len(self._heads["first_slot"])
        if count > size:
            more = max(count - size, size, _LEAST)
            self._heads = {
                name: np.concatenate([array, np.full(more, kernel.NONE, np.int64)])
                for name, array in self._heads.items()
            }

    def _give_back(self, slots: I8, events: I8, touched: I8) -> None:
        """Let freed places be used again, and forget the keys for which nothing waits."""
        keys = np.unique(
            np.concatenate([self._slots["key"][slots], self._events["key"][events], touched[touched >= 0]])
        )
        empty = (self._heads["first_slot"][keys] == kernel.NONE) & (self._heads["first_event"][keys] == kernel.NONE)
        self._keys.remove(keys[empty])
        self._slot_id[slots] = ""
        self._free_slots = np.concatenate([self._free_slots, slots])
        self._free_events = np.concatenate([self._free_events, events])


_PLAIN: Final = (
    "scalars",
    "counters",
    "slot_answered",
    "slot_value",
    "slot_carried",
    "event_value",
    "event_used",
    "queue",
    "heap",
    "free_slots",
    "free_events",
)


def _longer(array: NDArray[Any], more: int) -> NDArray[Any]:
    return np.concatenate([array, np.zeros((more, *array.shape[1:]), array.dtype)])
