"""Examples: what a model may learn from, as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
import pyarrow as pa

from headrace.core.records import F8, I8, U1, Batch, strings
from headrace.core.tokens import Tokens
from headrace.features.engine import Vectors

if TYPE_CHECKING:
    from headrace.features.vector import Vector

__all__ = ["Examples"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """n requests whose label is known, in the order of the log.

    X: f8[n, d], C order, one column a feature in the order of the vector; NaN where a value is missing, and the id of
    a category as a number. y, weight: f8[n]. at, known: i8[n], microseconds UTC: when it was asked, and when the label
    became known. names: the d features. ids: n texts. reasons: u1[n, d], of `core.reasons`, beside each value.
    tokens: the ids of the words of each request; None of a vector without `hr.words`, which are no part of X.
    """

    X: F8
    y: F8
    weight: F8
    at: I8
    known: I8
    names: tuple[str, ...]
    ids: "pa.StringArray"
    reasons: U1
    tokens: "Tokens | None" = None

    def __len__(self) -> int:
        """Return n."""
        return len(self.y)

    @classmethod
    def of(cls, vector: "Vector[Any]", found: Sequence[tuple[Batch, int, Vectors]]) -> "Examples":
        """Gather the vectors of some runs of an engine, and the labels that they decided.

        found: all rows, the row with which a run began, and what it gave; its ids were the numbers of the rows.
        """
        laid = vector.blocks().single
        names = tuple(name for name in vector.features if name in laid)
        place = [laid.index(name) for name in names]
        tokens = [vectors.tokens for _, _, vectors in found if vectors.tokens is not None]
        row, values, reasons = _nothing(len(laid))
        asked, answer, known = np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64)
        back = np.zeros(0, np.int64)
        if found:
            row = np.concatenate([start + vectors.asked.origin for _, start, vectors in found])
            values = np.concatenate([np.hstack([vectors.dense, vectors.ids]) for _, _, vectors in found])
            reasons = np.concatenate([vectors.reasons for _, _, vectors in found])
            back = np.argsort(row, kind="stable")  # Those that waited were computed in another order.
            row, values, reasons = row[back], values[back], reasons[back]
            labels = [vectors.labels for _, _, vectors in found]
            asked = np.concatenate([_numbers(label.id) for label in labels])
            answer = np.concatenate([label.value for label in labels])
            known = np.concatenate([label.known for label in labels])
        has = ~np.isnan(answer)
        asked, answer, known = asked[has], answer[has], known[has]
        order = np.argsort(asked, kind="stable")
        mine = np.searchsorted(row, asked[order])
        batch = found[0][0] if found else None
        requests = row[mine]
        return cls(
            X=np.ascontiguousarray(values[mine][:, place]),
            y=answer[order],
            weight=np.ones(len(order)),
            at=batch.event_time[requests] if batch is not None else np.zeros(0, np.int64),
            known=known[order],
            names=names,
            ids=batch.id.take(pa.array(requests)) if batch is not None else strings([]),
            reasons=np.ascontiguousarray(reasons[mine][:, place]),
            tokens=Tokens.joined(tokens).take(back[mine]) if tokens else None,
        )


def _nothing(width: int) -> tuple[I8, F8, U1]:
    return np.zeros(0, np.int64), np.zeros((0, width)), np.zeros((0, width), np.uint8)


def _numbers(ids: "pa.StringArray") -> I8:
    numbers: I8 = ids.cast(pa.int64()).to_numpy(zero_copy_only=False)
    return numbers
