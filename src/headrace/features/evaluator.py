"""Expressions over one batch of records: NumPy over whole columns, a reason beside each missing value.

Numbers, bools and ids are float64 with NaN for missing; texts are Arrow strings with null for missing; times are
int64 microseconds. Nothing here calls libm, so that the same record gives the same bits on every machine.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeAlias, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from headrace.core import expressions as ex
from headrace.core import reasons
from headrace.core.calendar import Cyclic, CyclicTime, Day, Hour, LocalPart, Minute, Month, Weekday
from headrace.core.errors import ConfigError
from headrace.core.records import F8, I8, U1
from headrace.core.scalars import Lower, Numeric, TextLength, TextTest
from headrace.core.time import SECOND_US
from headrace.core.tokens import Tokens
from headrace.core.user_functions import UserFunction, called
from headrace.core.words import Words
from headrace.features.keys import hash_columns
from headrace.features.local_time import by_zone, local_part
from headrace.features.numbers import number_function, on_circle
from headrace.features.words import tokens_of

__all__ = ["Column", "Evaluator"]

_ARITHMETIC: Final = {"+": np.add, "-": np.subtract, "*": np.multiply, "/": np.divide}
_COMPARISON: Final = {
    ">": np.greater,
    ">=": np.greater_equal,
    "<": np.less,
    "<=": np.less_equal,
    "==": np.equal,
    "!=": np.not_equal,
}
Text: TypeAlias = pa.StringArray
_EXACT: Final = 2.0**53
"""Below it every whole number is a float64 of its own."""


@final
@dataclass(frozen=True, slots=True)
class Column:
    """n values: `numbers` f8[n] (NaN missing) or `texts` (null missing) or `times` i8[n]; `reason` is u1[n].

    Words are `tokens`, ragged; a text that is missing has none. A time is missing where its reason says so. `whole`
    are the whole numbers behind `numbers`, i8[n], where some lie beyond 2**53: arithmetic rounds them, keys must not.
    """

    reason: U1
    numbers: F8 | None = None
    texts: Text | None = None
    times: I8 | None = None
    whole: I8 | None = None
    tokens: Tokens | None = None

    def __len__(self) -> int:
        """Return n."""
        return len(self.reason)

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Return bool[n], true where there is no value."""
        if self.numbers is not None:
            return np.isnan(self.numbers)
        if self.times is not None:
            missing: NDArray[np.bool_] = self.reason == reasons.MISSING_INPUT
            return missing
        if self.texts is not None and self.texts.null_count:
            null: NDArray[np.bool_] = self.texts.is_null().to_numpy(zero_copy_only=False)
            return null
        return np.zeros(len(self), bool)

    def as_numbers(self) -> F8:
        """Return the numbers; the definition has checked that it is a column of numbers."""
        if self.numbers is None:
            raise ConfigError("expression", wanted="a column of numbers", got="texts or times")
        return self.numbers

    def as_times(self) -> I8:
        """Return the times, any number where one is missing; the definition has checked that they are times."""
        if self.times is None:
            raise ConfigError("expression", wanted="a column of times", got="numbers or texts")
        return self.times

    def as_texts(self) -> Text:
        """Return the texts; the definition has checked that they are texts."""
        if self.texts is None:
            raise ConfigError("expression", wanted="a column of texts", got="numbers or times")
        return self.texts

    def as_arrow(self) -> pa.Array:
        """Return the values as Arrow has them, for hashing: null where there is none."""
        if self.texts is not None:
            return self.texts
        missing = self.missing
        if self.times is not None:
            return pa.array(self.times, mask=missing)
        words = self.as_numbers()
        if self.whole is None:
            return pa.array(words, mask=missing)
        exact = np.abs(words) < _EXACT
        return pa.array(np.where(exact, (words + 0.0).view(np.int64), self.whole), mask=missing)


@final
@dataclass(frozen=True, slots=True)
class _Numbers:
    """A field of m numbers in each of n records. reason: u1[n]. block: f8[n, m], NaN where the field is missing."""

    reason: U1
    block: F8


@final
class Evaluator:
    """Evaluate expressions over the records of one batch; each sub-expression once.

    `fields` are the records' columns. `known` holds what cannot be computed from the record alone (aggregates, the
    value of a label), by the text of its expression.
    """

    def __init__(self, fields: pa.RecordBatch, known: Mapping[str, Column] | None = None) -> None:
        self._fields = fields
        self._count = fields.num_rows
        self._known: dict[str, Column] = dict(known or {})
        self._several: dict[str, _Numbers] = {}

    def column(self, expression: ex.Expression) -> Column:
        """Return the expression's values, one a record."""
        text = expression.canonical
        found = self._known.get(text)
        if found is None:
            found = self._known[text] = self._compute(expression)
        return found

    def knowing(self, more: Mapping[str, Column]) -> "Evaluator":
        """Return an evaluator of the same records that has what this one computed, and knows more."""
        return Evaluator(self._fields, {**self._known, **more})

    def mask(self, condition: ex.Expression) -> NDArray[np.bool_]:
        """Return where a condition holds; where it is missing it does not hold."""
        values = self.column(condition).as_numbers()
        holds: NDArray[np.bool_] = ~np.isnan(values) & (values != 0.0)
        return holds

    def _compute(self, expression: ex.Expression) -> Column:
        rule = self._RULES.get(type(expression))
        if rule is None:
            raise ConfigError("expression", wanted="one that can be computed from a record", got=repr(expression))
        return rule(self, expression)

    def _ok(self) -> U1:
        return np.zeros(self._count, np.uint8)

    def _field(self, field: ex.FieldColumn) -> Column:
        column = self._fields[field.name]
        reason = self._ok()
        if column.null_count:
            reason[column.is_null().to_numpy(zero_copy_only=False)] = reasons.MISSING_INPUT
        if pa.types.is_string(column.type):
            return Column(reason, texts=column)
        if pa.types.is_timestamp(column.type):
            times: I8 = column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
            return Column(reason, times=times)
        numbers: F8 = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        numbers = np.asarray(numbers, np.float64)
        if pa.types.is_integer(column.type) and bool(np.any(np.abs(numbers) >= _EXACT)):
            return Column(reason, numbers, whole=column.fill_null(0).to_numpy(zero_copy_only=False))
        return Column(reason, numbers)

    def _numbers(self, field: ex.Expression) -> "_Numbers":
        """Return a field of several numbers in each record; read once, however many of its places are asked for."""
        found = self._several.get(field.canonical)
        if found is None and isinstance(field, ex.FieldColumn):
            column = self._fields[field.name]
            reason = self._ok()
            values = np.full((self._count, field.length), np.nan)
            valid = column.is_valid().to_numpy(zero_copy_only=False)
            reason[~valid] = reasons.MISSING_INPUT
            # What is flattened leaves the null rows out.
            values[valid] = column.flatten().to_numpy(zero_copy_only=False).reshape(-1, field.length)
            found = self._several[field.canonical] = _Numbers(reason, values)
        if found is None:
            raise ConfigError("expression", wanted="a field of several numbers", got=repr(field))
        return found

    def _literal(self, literal: ex.Literal) -> Column:
        value = literal.value
        if isinstance(value, str):
            return Column(
                self._ok(), texts=pa.array([value], pa.string()).take(pa.array(np.zeros(self._count, np.int64)))
            )
        if value is None:
            return Column(np.full(self._count, reasons.MISSING_INPUT, np.uint8), np.full(self._count, np.nan))
        return Column(self._ok(), np.full(self._count, float(value)))

    def _fill(self, fill: ex.Fill) -> Column:
        inner = self.column(fill.operand)
        if fill.value is None:
            return inner
        if inner.texts is not None:
            return Column(inner.reason, texts=inner.texts.fill_null(str(fill.value)))
        numbers = inner.as_numbers()
        return Column(inner.reason, np.where(np.isnan(numbers), float(fill.value), numbers))

    def _when(self, when: ex.When) -> Column:
        condition, one, two = (self.column(part) for part in (when.condition, when.then, when.otherwise))
        holds = self.mask(when.condition)
        reason = np.where(condition.missing, condition.reason, np.where(holds, one.reason, two.reason))
        if one.texts is not None and two.texts is not None:
            texts = pc.if_else(pa.array(holds), one.texts, two.texts)
            return Column(reason, texts=pc.if_else(pa.array(condition.missing), pa.scalar(None, pa.string()), texts))
        numbers = np.where(holds, one.as_numbers(), two.as_numbers())
        return Column(reason, np.where(condition.missing, np.nan, numbers))

    def _category(self, category: ex.Category) -> Column:
        return self._hashed((category.operand,), category.bits)

    def _cross(self, cross: ex.Cross) -> Column:
        return self._hashed(cross.operands, cross.bits)

    def _hashed(self, operands: tuple[ex.Expression, ...], bits: int) -> Column:
        """Hash to ids in [1, 2**bits); 0 stands for a missing value, so that a model can learn what that means."""
        columns = [self.column(operand) for operand in operands]
        hashed, valid = hash_columns([column.as_arrow() for column in columns])
        size = np.uint64((1 << bits) - 1)
        ids = np.where(valid, (hashed[:, 0] % size + np.uint64(1)).astype(np.float64), 0.0)
        return Column(_first_reason(columns), ids)

    def _is_in(self, expression: ex.IsIn) -> Column:
        inner = self.column(expression.operand)
        if inner.texts is not None:
            wanted = pa.array([str(value) for value in expression.values], pa.string())
            found = pc.is_in(inner.texts, value_set=wanted).to_numpy(zero_copy_only=False).astype(np.float64)
        else:
            numbers = [float(value) for value in expression.values if isinstance(value, int | float)]
            found = np.isin(inner.as_numbers(), numbers).astype(np.float64)
        return Column(inner.reason, np.where(inner.missing, np.nan, found))

    def _element(self, element: ex.Element) -> Column:
        whole = self._numbers(element.operand)
        return Column(whole.reason, whole.block[:, element.place])

    def _is_missing(self, expression: ex.IsMissing) -> Column:
        if expression.operand.kind == "numbers":
            gone: NDArray[np.bool_] = self._numbers(expression.operand).reason != reasons.OK
        else:
            gone = self.column(expression.operand).missing
        return Column(self._ok(), gone.astype(np.float64))

    def _negate(self, expression: ex.Negate) -> Column:
        inner = self.column(expression.operand)
        return Column(inner.reason, -inner.as_numbers())

    def _not(self, expression: ex.Not) -> Column:
        inner = self.column(expression.operand)
        return Column(inner.reason, 1.0 - inner.as_numbers())

    def _elapsed(self, expression: ex.Elapsed) -> Column:
        one, two = self.column(expression.left), self.column(expression.right)
        seconds = (one.as_times() - two.as_times()) / SECOND_US
        return Column(_first_reason([one, two]), np.where(one.missing | two.missing, np.nan, seconds))

    def _local_part(self, part: LocalPart) -> Column:
        times = self.column(part.operand)
        if isinstance(part.tz, str):
            found = local_part(part, times.as_times(), part.tz)
            return Column(times.reason, np.where(times.missing, np.nan, found))
        zones = self.column(part.tz)
        found = by_zone(part, times.as_times(), zones.as_texts())
        return _defined(found, times.missing, [times, zones])

    def _cyclic(self, cyclic: Cyclic) -> Column:
        inner = self.column(cyclic.operand)
        return Column(inner.reason, on_circle(inner.as_numbers(), cyclic.period, cyclic.side))

    def _numeric(self, numeric: Numeric) -> Column:
        columns = [self.column(operand) for operand in numeric.operands]
        return _defined(number_function(numeric.function, [column.as_numbers() for column in columns]), None, columns)

    def _user_function(self, node: UserFunction) -> Column:
        columns = [self.column(operand) for operand in node.operands]
        arguments = [
            float(operand.bounds[0]) if isinstance(operand, ex.Literal) else column.as_numbers().copy()
            for operand, column in zip(node.operands, columns, strict=True)
        ]
        missing = np.logical_or.reduce([column.missing for column in columns])
        return _defined(called(node, arguments, self._count), missing, columns)

    def _words(self, words: Words) -> Column:
        inner = self.column(words.operand)
        return Column(inner.reason, tokens=tokens_of(inner.as_texts(), words.bits, words.ngrams))

    def _text_function(self, expression: Lower | TextLength | TextTest) -> Column:
        inner = self.column(expression.operand)
        texts = inner.as_texts()
        if isinstance(expression, Lower):
            return Column(inner.reason, texts=pc.utf8_lower(texts))
        if isinstance(expression, TextLength):
            found = pc.utf8_length(texts)
        elif expression.function == "starts_with":
            found = pc.starts_with(texts, pattern=expression.part)
        else:
            found = pc.match_substring(texts, pattern=expression.part)
        numbers = found.cast(pa.float64()).to_numpy(zero_copy_only=False)
        return Column(inner.reason, np.asarray(numbers, np.float64))

    def _arithmetic(self, expression: ex.Arithmetic) -> Column:
        one, two = self.column(expression.left), self.column(expression.right)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            numbers = _ARITHMETIC[expression.operator](one.as_numbers(), two.as_numbers())
        return _defined(numbers, None, [one, two])

    def _comparison(self, expression: ex.Comparison) -> Column:
        one, two = self.column(expression.left), self.column(expression.right)
        missing = one.missing | two.missing
        if one.texts is not None and two.texts is not None:
            equal = pc.equal(one.texts, two.texts).fill_null(fill_value=False).to_numpy(zero_copy_only=False)
            found = equal if expression.operator == "==" else ~equal
        else:
            with np.errstate(invalid="ignore"):
                found = _COMPARISON[expression.operator](_ordered(one), _ordered(two))
        return Column(_first_reason([one, two]), np.where(missing, np.nan, found.astype(np.float64)))

    def _logical(self, expression: ex.Logical) -> Column:
        """Kleene's three values: false and anything is false, true or anything is true, else missing stays missing."""
        one, two = self.column(expression.left), self.column(expression.right)
        a, b = one.as_numbers(), two.as_numbers()
        decided = 0.0 if expression.operator == "&" else 1.0
        settled = (a == decided) | (b == decided)
        unknown = ~settled & (np.isnan(a) | np.isnan(b))
        numbers = np.where(settled, decided, np.where(unknown, np.nan, 1.0 - decided))
        return Column(np.where(unknown, _first_reason([one, two]), np.uint8(reasons.OK)), numbers)

    _RULES: ClassVar[dict[type[ex.Expression], Callable[["Evaluator", Any], Column]]] = {
        ex.FieldColumn: _field,
        ex.Literal: _literal,
        ex.Element: _element,
        ex.Fill: _fill,
        ex.IsMissing: _is_missing,
        ex.When: _when,
        ex.Category: _category,
        ex.Cross: _cross,
        ex.IsIn: _is_in,
        ex.Negate: _negate,
        ex.Not: _not,
        ex.Arithmetic: _arithmetic,
        ex.Elapsed: _elapsed,
        ex.Comparison: _comparison,
        ex.Logical: _logical,
        Minute: _local_part,
        Hour: _local_part,
        Weekday: _local_part,
        Day: _local_part,
        Month: _local_part,
        CyclicTime: _local_part,
        Cyclic: _cyclic,
        Numeric: _numeric,
        UserFunction: _user_function,
        Words: _words,
        Lower: _text_function,
        TextLength: _text_function,
        TextTest: _text_function,
    }
    """How each kind of node is computed."""


def _defined(numbers: F8, missing: NDArray[np.bool_] | None, columns: list[Column]) -> Column:
    """Return numbers with the reasons of what they are made of; where they are not finite, there is no value."""
    undefined = ~np.isfinite(numbers) if missing is None else missing | ~np.isfinite(numbers)
    reason = _first_reason(columns)
    reason[undefined & (reason == reasons.OK)] = reasons.MISSING_INPUT
    return Column(reason, np.where(undefined, np.nan, numbers))


def _ordered(column: Column) -> Any:
    return column.times if column.times is not None else column.as_numbers()


def _first_reason(columns: list[Column]) -> U1:
    """Return, for each row, the first reason that is not OK."""
    reason = columns[0].reason.copy()
    for column in columns[1:]:
        reason = np.where(reason == reasons.OK, column.reason, reason)
    return reason
