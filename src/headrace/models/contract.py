"""What a model is: it predicts and learns over batches, and its state can always be written down.

Laws that every learner keeps: `predict` changes no byte of the snapshot; `learn` over a batch equals the loop, bit
for bit; the same seed and the same rows give the same bytes; memory stays bounded.
"""

from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, final, runtime_checkable

from numpy.typing import NDArray

from headrace.core.errors import ConfigError
from headrace.core.records import F8, I4, I8
from headrace.core.tokens import Tokens

__all__ = ["Arrays", "Block", "Columns", "Learner", "Meta", "Recipe", "Snapshot", "check_accepts", "rows_for"]

Arrays: TypeAlias = dict[str, NDArray[Any]]
"""The arrays of a model's state, by name."""
Meta: TypeAlias = dict[str, Any]
"""What of a model's state is no array: a JSON object."""
Snapshot: TypeAlias = tuple[Arrays, Meta]
"""A model's whole state, written down."""


@final
@dataclass(frozen=True, slots=True)
class Columns:
    """What a model is told of a vector: the names of its numbers, its categories with their numbers of ids, its words.

    The words of all features share one range of ids; `token_sizes` are the parts of it, in order.

    >>> len(Columns(dense=("distance",), categories=("carrier",), sizes=(64,)))
    2
    """

    dense: tuple[str, ...]
    categories: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    tokens: tuple[str, ...] = ()
    token_sizes: tuple[int, ...] = ()

    @property
    def single(self) -> tuple[str, ...]:
        """Return the names of what is one value a row: all but words."""
        return self.dense + self.categories

    @property
    def names(self) -> tuple[str, ...]:
        """Return all names: dense first, then categories, then words."""
        return self.dense + self.categories + self.tokens

    def __len__(self) -> int:
        """Return the number of features."""
        return len(self.dense) + len(self.categories) + len(self.tokens)


@final
@dataclass(frozen=True, slots=True)
class Block:
    """n vectors. dense: f8[n, d], C order, NaN where a value is missing. ids: i4[n, c], each below its size.

    tokens: n rows of the ids of words, each below the sum of the token sizes; None of a vector without words.
    """

    dense: F8
    ids: I4
    tokens: Tokens | None = None

    def __len__(self) -> int:
        """Return n."""
        return len(self.dense)

    def rows(self, start: int, stop: int) -> "Block":
        """Return some of the vectors, without copying."""
        tokens = None if self.tokens is None else self.tokens.rows(start, stop)
        return Block(self.dense[start:stop], self.ids[start:stop], tokens)

    def take(self, rows: I8) -> "Block":
        """Return the given vectors in the given order."""
        tokens = None if self.tokens is None else self.tokens.take(rows)
        return Block(self.dense[rows], self.ids[rows], tokens)


@runtime_checkable
class Learner(Protocol):
    """A model with its state. X is the dense array; of a learner that says so, a `Block`.

    `accepts = "block"` takes categories too, `accepts = "tokens"` also words.
    """

    def predict(self, X: Any, /) -> F8:  # noqa: N803 - the field's name for it
        """Return one score a row: f8[n]."""

    def learn(self, X: Any, y: F8, w: F8, /) -> F8 | None:  # noqa: N803
        """Learn from n rows in order, with weights w.

        Return the score of each row as the model stood before learning from that row, or None if it cannot.
        """

    def snapshot(self) -> Snapshot:
        """Return the state as arrays and a JSON object, without aliasing it."""

    def restore(self, arrays: Arrays, meta: Meta, /) -> None:
        """Stand where a snapshot stood."""

    def warm_up(self) -> None:
        """Compile and touch whatever the first call would otherwise wait for; the state stays as it is."""


class Recipe(Protocol):
    """How a learner is made: the model in a definition."""

    def __call__(self, columns: Columns, seed: int, /) -> Learner:
        """Return a fresh learner."""


def check_accepts(learner: Learner, columns: Columns) -> None:
    """Raise ConfigError if a learner that takes numbers only is given categories, or one without words some."""
    accepts = getattr(learner, "accepts", "dense")
    if columns.categories and accepts == "dense":
        names = ", ".join(columns.categories)
        raise ConfigError(
            "model", wanted="a model that accepts categories (accepts = 'block')", got=f"{learner!r} for {names}"
        )
    if columns.tokens and accepts != "tokens":
        names = ", ".join(columns.tokens)
        raise ConfigError(
            "model", wanted="a model that accepts words (accepts = 'tokens')", got=f"{learner!r} for {names}"
        )


def rows_for(learner: Learner, block: Block) -> Any:
    """Return the rows as the learner takes them."""
    return block.dense if getattr(learner, "accepts", "dense") == "dense" else block
