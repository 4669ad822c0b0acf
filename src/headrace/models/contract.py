"""What a model is: it predicts and learns over batches, and its state can always be written down.

Laws that every learner keeps: `predict` changes no byte of the snapshot; `learn` over a batch equals the loop, bit
for bit; the same seed and the same rows give the same bytes; memory stays bounded.
"""

from dataclasses import dataclass
from typing import Any, Protocol, final, runtime_checkable

from numpy.typing import NDArray

from headrace.core.errors import ConfigError
from headrace.core.records import F8, I4

__all__ = ["Block", "Columns", "Learner", "Recipe", "check_accepts", "rows_for"]


@final
@dataclass(frozen=True, slots=True)
class Columns:
    """What a model is told of a vector: the names of its numbers, and of its categories with their numbers of ids.

    >>> len(Columns(dense=("distance",), categories=("carrier",), sizes=(64,)))
    2
    """

    dense: tuple[str, ...]
    categories: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Return all names, dense first."""
        return self.dense + self.categories

    def __len__(self) -> int:
        """Return the number of features."""
        return len(self.dense) + len(self.categories)


@final
@dataclass(frozen=True, slots=True)
class Block:
    """n vectors. dense: f8[n, d], C order, NaN where a value is missing. ids: i4[n, c], each below its size."""

    dense: F8
    ids: I4

    def __len__(self) -> int:
        """Return n."""
        return len(self.dense)

    def rows(self, start: int, stop: int) -> "Block":
        """Return some of the vectors, without copying."""
        return Block(self.dense[start:stop], self.ids[start:stop])


@runtime_checkable
class Learner(Protocol):
    """A model with its state. X is a `Block`, or, for a learner without `accepts = "block"`, the dense array."""

    def predict(self, X: Any, /) -> F8:  # noqa: N803 - the field's name for it
        """Return one score a row: f8[n]."""

    def learn(self, X: Any, y: F8, w: F8, /) -> F8 | None:  # noqa: N803
        """Learn from n rows in order, with weights w.

        Return the score of each row as the model stood before learning from that row, or None if it cannot.
        """

    def snapshot(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return the state as arrays and a JSON object, without aliasing it."""

    def restore(self, arrays: dict[str, NDArray[Any]], meta: dict[str, Any], /) -> None:
        """Stand where a snapshot stood."""

    def warm_up(self) -> None:
        """Compile and touch whatever the first call would otherwise wait for; the state stays as it is."""


class Recipe(Protocol):
    """How a learner is made: the model in a definition."""

    def __call__(self, columns: Columns, seed: int, /) -> Learner:
        """Return a fresh learner."""


def check_accepts(learner: Learner, columns: Columns) -> None:
    """Raise ConfigError if a learner that takes numbers only is given categories."""
    if columns.categories and getattr(learner, "accepts", "dense") != "block":
        names = ", ".join(columns.categories)
        raise ConfigError(
            "model", wanted="a model that accepts categories (accepts = 'block')", got=f"{learner!r} for {names}"
        )


def rows_for(learner: Learner, block: Block) -> Any:
    """Return the rows as the learner takes them."""
    return block if getattr(learner, "accepts", "dense") == "block" else block.dense
