"""`hr.words`: the words of a text, each hashed to an id."""

from dataclasses import dataclass
from typing import Final, final

from headrace.core.checks import is_whole
from headrace.core.errors import ConfigError
from headrace.core.expressions import Expression, Kind, Unary, check_bits, check_kind, column_of

__all__ = ["TOKENS_MAX", "Words", "words"]

TOKENS_MAX: Final = 4096
"""Ids of one text; of a longer one the first words count. A row of a topic must stay well below a frame."""
_NGRAMS_MAX: Final = 5


@final
@dataclass(frozen=True, eq=False, repr=False)
class Words(Unary):
    """The words of a text and their n-grams, each hashed to an id in [0, 2**bits): a feature of many ids a row."""

    bits: int
    ngrams: int

    def __post_init__(self) -> None:
        """Raise ConfigError unless the operand is a text and the sizes fit."""
        check_kind(self.canonical, self.operand, ("text",))
        check_bits(self.canonical, self.bits)
        if not is_whole(self.ngrams) or not 1 <= self.ngrams <= _NGRAMS_MAX:
            wanted = f"a whole number from 1 to {_NGRAMS_MAX}"
            raise ConfigError(f"{self.canonical} ngrams", wanted=wanted, got=self.ngrams)

    @property
    def kind(self) -> Kind:
        """Return tokens."""
        return "tokens"

    @property
    def missing(self) -> bool:
        """Return False: a missing text has no words; the reason stays beside it."""
        return False

    @property
    def canonical(self) -> str:
        """Return the call."""
        return f"hr.words({self.operand.canonical}, bits={self.bits}, ngrams={self.ngrams})"


def words(x: object, *, bits: int, ngrams: int = 1) -> Expression:
    """Return the words of a text, hashed to 2**bits ids: a feature of as many ids as the text has words.

    The text is put into lower case and cut at whatever is no letter, mark, digit or _ of Unicode; a word counts as
    often as it occurs. With `ngrams`, two to so many words in a row count as well. A missing text has none. Of a
    long text the first words count, until there are 4096 ids.

    Only a model that accepts tokens takes it, as `hr.models.Logistic` does.

    >>> import headrace as hr
    >>> hr.words(hr.Prediction.fallback, bits=16, ngrams=2).kind
    'tokens'

    Raises ConfigError if x is no column of texts, bits is not from 1 to 28, or ngrams not from 1 to 5.
    """
    return Words(column_of("hr.words", x, "a column of texts, such as Txn.memo"), bits, ngrams)
