"""A vector: the named features of one stream of requests, computed once and the same everywhere."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, final

from headrace.core.checks import check_name
from headrace.core.errors import ConfigError, nearest
from headrace.core.events import Event, columns_of
from headrace.core.expressions import Category, Cross, Expression, FieldColumn, Fill, Hour, Several, Weekday
from headrace.features.aggregates import OF_ROWS, AggregateRead

if TYPE_CHECKING:
    import pyarrow as pa

    from headrace.features.streams import Stream
    from headrace.features.tables import Truth

__all__ = ["Blocks", "Vector", "aggregates_of"]

E = TypeVar("E", bound=Event)
_NOT_IN_A_NAME: Final = re.compile(r"[^A-Za-z0-9]+")


@final
@dataclass(frozen=True, slots=True)
class Blocks:
    """How a vector is laid out: its dense features, then its categories with the number of ids of each."""

    dense: tuple[str, ...]
    categories: tuple[str, ...]
    sizes: tuple[int, ...]


@final
class Vector(Generic[E]):
    """Named features of one stream of requests.

    `features` has them in the order in which they were written. There, every aggregate says which columns of the
    request its keys must equal (`equals`), also where the user left that out.

    A feature without a keyword is named by rule:

    - a field by its name, also below `hr.category` and `hr.fill`; `hour_at` and `weekday_at` for `hr.hour` and
      `hr.weekday` of `at`;
    - `hr.cross` by its columns, joined with `_x_`;
    - an aggregate key_aggregate_column_unit_window: `carrier_mean_delay_min_3h`, `origin_count_1h`,
      `tail_seconds_since_2d`; over a label the column is `label`: `origin_dest_mean_label_28d`;
    - several columns (an embedding, sine and cosine) by the name of what they are made of, each with its suffix:
      `embedding_0`, `hour_at_sin`; under a keyword `when` they are `when_sin` and `when_cos`;
    - anything else needs a keyword.

    Raises ConfigError for two features of one name, one that may be missing without a default, a text or a time, one
    that needs a name and has none, or one that the request does not know.
    """

    def __init__(self, of: "Stream[E]", name: str, features: tuple[object, ...], named: Mapping[str, object]) -> None:
        where = f"vector {name!r}"
        check_name("vector", name)
        if of.condition is not None:
            raise ConfigError(where, wanted="a source that asks", got=repr(of))
        self.of = of
        self.name = name
        self.features: dict[str, Expression] = {}
        for number, feature in enumerate(features):
            self._add(f"{where}, feature {number}", feature, None)
        for given, feature in named.items():
            self._add(f"{where}, feature {given!r}", feature, given)
        if not self.features:
            raise ConfigError(where, wanted="at least one feature", got="none")

    def __repr__(self) -> str:
        """Return the code that makes the vector."""
        features = ", ".join(f"{name}={feature.canonical}" for name, feature in self.features.items())
        return f"{self.of.name}.vector({self.name!r}, {features})"

    def blocks(self) -> Blocks:
        """Return which features are numbers and which are categories, each in the order of the vector."""
        categories = {
            name: 1 << feature.bits for name, feature in self.features.items() if isinstance(feature, Category | Cross)
        }
        dense = tuple(name for name in self.features if name not in categories)
        return Blocks(dense, tuple(categories), tuple(categories.values()))

    def compute(self, *, truth: "Truth" = "served", **tables: object) -> "pa.Table":
        """Return the features of a finite history in memory, one row a request, with a reason beside each value.

        `tables` are the sources by name: pandas, polars, DuckDB or Arrow. "served" sees what had come before the
        request, "complete" everything with an earlier event time, however late it came.

        Raises ConfigError for a table that is missing, and for a record that ingest would reject.
        """
        from headrace.features.tables import compute  # noqa: PLC0415 - a definition alone must stay light

        return compute(self, None, tables, truth)

    def aggregates(self) -> tuple[AggregateRead, ...]:
        """Return every aggregate once, in the order of the features."""
        found = [read for feature in self.features.values() for read in aggregates_of(feature)]
        return tuple({read.canonical: read for read in found}.values())

    def streams(self) -> tuple["Stream[Any]", ...]:
        """Return the sources whose records are read, in the order of use: the one that asks, then the features'."""
        read = [stream for read in self.aggregates() for stream in read.records.sources]
        return tuple(dict.fromkeys([self.of, *read]))

    def _add(self, where: str, feature: object, given: str | None) -> None:
        """Add a feature under its given or its automatic name; several columns add one each, with their suffixes."""
        column = feature if isinstance(feature, Expression) else self.of.column(feature, where)
        self._check(where, column)
        whole = f"vector {self.name!r}"
        if not isinstance(column, Several):
            bound = _bound(column, self.of, where)
            self._put(given or _automatic_name(whole, bound), bound)
            return
        stem = given or (_automatic_name(whole, column.named) if column.named is not None else "")
        for suffix, part in column.parts:
            bound = _bound(part, self.of, where)
            self._put(f"{stem}_{suffix}" if stem else _automatic_name(whole, bound), bound)

    def _check(self, where: str, feature: Expression) -> None:
        """Raise ConfigError if a feature reads what the request does not know."""
        for node in feature.walk():
            if not node.of_record and not isinstance(node, AggregateRead):
                wanted = "what is known before the answer (label.by(...).mean(label.value, ...) is)"
                raise ConfigError(where, wanted=wanted, got=repr(node))
            if isinstance(node, FieldColumn):
                self.of.column(node, where)

    def _put(self, name: str, feature: Expression) -> None:
        where = f"vector {self.name!r}, feature {name!r}"
        check_name(where, name)
        if name in self.features:
            raise ConfigError(where, wanted="a name of its own (another_name=...)", got="a second feature of that name")
        if feature.kind not in {"number", "bool", "category"}:
            wanted = "a number or a category (hr.category, hr.cross)"
            raise ConfigError(where, wanted=wanted, got=f"{feature!r}, which is a {feature.kind}")
        if feature.missing:
            wanted = "a default (default=..., or hr.fill(x, value); None hands NaN to the model)"
            raise ConfigError(where, wanted=wanted, got=f"{feature!r}, which may be missing")
        self.features[name] = feature


def aggregates_of(feature: Expression) -> tuple[AggregateRead, ...]:
    """Return the aggregates that a feature reads."""
    return tuple(node for node in feature.walk() if isinstance(node, AggregateRead))


def _bound(expression: Expression, of: "Stream[Any]", where: str) -> Expression:
    """Return the same expression, in which every aggregate says which columns of the request its keys must equal."""
    if isinstance(expression, AggregateRead):
        return replace(expression, equals=_request_keys(of, expression, where))
    if not aggregates_of(expression):
        return expression
    parts: dict[str, Any] = {}
    for part in fields(expression):  # type: ignore[arg-type] # every node with children is a dataclass
        value = getattr(expression, part.name)
        if isinstance(value, Expression):
            value = _bound(value, of, where)
        elif isinstance(value, tuple):
            value = tuple(_bound(item, of, where) if isinstance(item, Expression) else item for item in value)
        parts[part.name] = value
    return type(expression)(**parts)


def _request_keys(of: "Stream[Any]", read: AggregateRead, where: str) -> tuple[Expression, ...]:
    """Return the request's columns for an aggregate's keys: `equals`, or its fields of the same names.

    Raises ConfigError, with the nearest name, if the request has no such field, or it is of another kind.
    """
    if read.equals:
        asked = tuple(of.column(other, f"{where}, equals of {read!r}") for other in read.equals)
    else:
        columns = columns_of(of.event)
        for key in read.keys:
            name = key.name if isinstance(key, FieldColumn) else ""
            if name not in columns:
                wanted = f"equals=... (which column of {of.event.__name__} is {key!r}?)"
                raise ConfigError(f"{where}, {read!r}", wanted=wanted, got="none" + nearest(name, columns))
        asked = tuple(columns[key.name] for key in read.keys if isinstance(key, FieldColumn))
    for key, other in zip(read.keys, asked, strict=True):
        if key.kind != other.kind:
            wanted = f"a key of the request that is a {key.kind}, as {key!r}"
            raise ConfigError(f"{where}, {read!r}", wanted=wanted, got=f"{other!r}, a {other.kind}")
    return asked


def _automatic_name(where: str, feature: Expression) -> str:
    match feature:
        case FieldColumn():
            return feature.name
        case Category() | Fill():
            return _automatic_name(where, feature.operand)
        case Cross():
            return "_x_".join(_automatic_name(where, operand) for operand in feature.operands)
        case Hour() | Weekday():
            return f"{type(feature).__name__.lower()}_{_automatic_name(where, feature.operand)}"
        case AggregateRead():
            parts = [*(_automatic_name(where, key) for key in feature.keys), feature.operation_text]
            if feature.column is not None and feature.operation not in OF_ROWS:
                parts += ["label" if feature.of_label else _automatic_name(where, feature.column), feature.unit]
            parts.append(feature.window_text)
            return _NOT_IN_A_NAME.sub("_", "_".join(part for part in parts if part)).strip("_")
        case _:
            raise ConfigError(where, wanted="a keyword that names it (surge=...)", got=repr(feature))
