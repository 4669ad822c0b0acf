"""Expressions over one batch of records: NumPy over whole columns, a reason beside each missing value.

Numbers, bools and ids are float64 with NaN for missing; texts are Arrow strings with null for missing; times are
int64 microseconds. Nothing here calls libm, so that the same record gives the same bits on every machine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from headrace.core import expressions as ex
from headrace.core import reasons
from headrace.core.errors import ConfigError
from headrace.core.records import F8, I8, U1
from headrace.features.keys import hash_columns
from headrace.features.local_time import hour_of_day, weekday

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

    A time is missing where its reason says so. `whole` are the whole numbers behind `numbers`, i8[n], where some lie
    beyond 2**53: arithmetic rounds them, keys must not.
    """

    reason: U1
    numbers: F8 | None = None
    texts: Text | None = None
    times: I8 | None = None
    whole: I8 | None = None

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
class Evaluator:
    """Evaluate expressions over the records of one batch; each sub-expression once.

    `fields` are the records' columns. `known` holds what cannot be computed from the record alone (aggregates, the
    value of a label), by the text of its expression.
    """

    def __init__(self, fields: pa.RecordBatch, known: Mapping[str, Column] | None = None) -> None:
        self._fields = fields
        self._count = fields.num_rows
        self._known: dict[str, Column] = dict(known or {})

    def column(self, expression: ex.Expression) -> Column:
        """Return the expression's values, one a record."""
        text = expression.canonical
        found = self._known.get(text)
        if found is None:
            found = self._known[text] = self._compute(expression)
        return found

    def mask(self, condition: ex.Expression) -> NDArray[np.bool_]:
        """Return where a condition holds; where it is missing it does not hold."""
        values = self.column(condition).as_numbers()
        holds: NDArray[np.bool_] = ~np.isnan(values) & (values != 0.0)
        return holds

    def _compute(self, expression: ex.Expression) -> Column:
        match expression:
            case ex.FieldColumn():
                return self._field(expression)
            case ex.Literal():
                return self._literal(expression.value)
            case ex.Fill():
                return self._fill(expression)
            case ex.IsMissing():
                return Column(self._ok(), self.column(expression.operand).missing.astype(np.float64))
            case ex.When():
                return self._when(expression)
            case ex.Hour() | ex.Weekday():
                function = hour_of_day if isinstance(expression, ex.Hour) else weekday
                times = self.column(expression.operand)
                local = function(times.times if times.times is not None else np.zeros(0, np.int64), expression.tz)
                return Column(times.reason, np.where(times.missing, np.nan, local))
            case ex.Category():
                return self._category((expression.operand,), expression.bits)
            case ex.Cross():
                return self._category(expression.operands, expression.bits)
            case ex.IsIn():
                return self._is_in(expression)
            case ex.Negate():
                inner = self.column(expression.operand)
                return Column(inner.reason, -inner.as_numbers())
            case ex.Not():
                inner = self.column(expression.operand)
                return Column(inner.reason, 1.0 - inner.as_numbers())
            case ex.Arithmetic():
                return self._arithmetic(expression)
            case ex.Comparison():
                return self._comparison(expression)
            case ex.Logical():
                return self._logical(expression)
            case _:
                raise ConfigError("expression", wanted="one that can be computed from a record", got=repr(expression))

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

    def _literal(self, value: object) -> Column:
        if isinstance(value, str):
            return Column(
                self._ok(), texts=pa.array([value], pa.string()).take(pa.array(np.zeros(self._count, np.int64)))
            )
        if value is None:
            return Column(np.full(self._count, reasons.MISSING_INPUT, np.uint8), np.full(self._count, np.nan))
        if isinstance(value, bool | int | float):
            return Column(self._ok(), np.full(self._count, float(value)))
        raise ConfigError("expression", wanted="a number, a bool or a text", got=value)

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

    def _category(self, operands: tuple[ex.Expression, ...], bits: int) -> Column:
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

    def _arithmetic(self, expression: ex.Arithmetic) -> Column:
        one, two = self.column(expression.left), self.column(expression.right)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            numbers = _ARITHMETIC[expression.operator](one.as_numbers(), two.as_numbers())
        reason = _first_reason([one, two])
        undefined = ~np.isfinite(numbers)
        reason[undefined & (reason == reasons.OK)] = reasons.MISSING_INPUT
        return Column(reason, np.where(undefined, np.nan, numbers))

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


def _ordered(column: Column) -> Any:
    return column.times if column.times is not None else column.as_numbers()


def _first_reason(columns: list[Column]) -> U1:
    """Return, for each row, the first reason that is not OK."""
    reason = columns[0].reason.copy()
    for column in columns[1:]:
        reason = np.where(reason == reasons.OK, column.reason, reason)
    return reason
