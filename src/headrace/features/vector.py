"""A vector: the named features of one stream of requests, computed once and the same everywhere."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, final

from headrace.core.arrow import Arrow
from headrace.core.calendar import Cyclic, CyclicTime, LocalPart
from headrace.core.checks import check_name
from headrace.core.errors import ConfigError, nearest
from headrace.core.events import Event, columns_of
from headrace.core.expressions import Category, Cross, Element, Expression, FieldColumn, Fill, IsMissing, Several
from headrace.core.time import Duration, duration_text, duration_us
from headrace.core.words import Words
from headrace.features.aggregates import OF_ROWS, AggregateRead

if TYPE_CHECKING:
    import pyarrow as pa

    from headrace.core.records import F8, I4
    from headrace.core.tokens import Tokens
    from headrace.features.streams import Stream
    from headrace.features.tables import Truth

__all__ = ["Blocks", "Vector", "aggregates_of"]

E = TypeVar("E", bound=Event)
_IDS_MAX: Final = 1 << 30
_KEYS: Final = ("text", "number", "bool", "time")
_NOT_IN_A_NAME: Final = re.compile(r"[^A-Za-z0-9]+")


@final
@dataclass(frozen=True, slots=True)
class Blocks:
    """How a vector is laid out: its dense features, its categories with the number of ids of each, its words likewise.

    The words of all features are one list a row, in which those of a feature begin where those before it end.
    """

    dense: tuple[str, ...]
    categories: tuple[str, ...]
    sizes: tuple[int, ...]
    tokens: tuple[str, ...] = ()
    token_sizes: tuple[int, ...] = ()

    @property
    def single(self) -> tuple[str, ...]:
        """Return the features that are one value a vector: all but words."""
        return self.dense + self.categories

    @property
    def names(self) -> tuple[str, ...]:
        """Return all features in the order of their reasons: dense, categories, words."""
        return self.dense + self.categories + self.tokens

    def arrow(self, name: str) -> "pa.DataType":
        """Return the type of a feature in a table: a number, an id, or a list of ids."""
        import pyarrow as pa  # noqa: PLC0415 - a definition alone must stay light

        if name in self.tokens:
            return pa.list_(pa.int32())
        return pa.int32() if name in self.categories else pa.float64()

    def values(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return one vector's features by name, as Python has them. row: what a topic's payload says of it, by column.

        >>> Blocks(("x",), ("c",), (4,), ("w",), (8,)).values({"dense": [0.5], "ids": [3], "tokens": [7, 7]})
        {'x': 0.5, 'c': 3, 'w': [7, 7]}
        """
        found = dict(zip(self.single, [*row["dense"], *row["ids"]], strict=True))
        for name, start, size in zip(self.tokens, self.token_starts, self.token_sizes, strict=True):
            found[name] = [token - start for token in row["tokens"] if start <= token < start + size]
        return found

    def columns(self, dense: "F8", ids: "I4", tokens: "Tokens | None") -> "dict[str, pa.Array]":
        """Return the features of n vectors by name, each as a column of a table: null where a number is missing.

        The ids of words are those of their feature alone.
        """
        import pyarrow as pa  # noqa: PLC0415 - a definition alone must stay light

        found = {name: pa.array(dense[:, place].copy(), from_pandas=True) for place, name in enumerate(self.dense)}
        found |= {name: pa.array(ids[:, place].copy()) for place, name in enumerate(self.categories)}
        if tokens is not None:
            parts = zip(self.tokens, self.token_starts, self.token_sizes, strict=True)
            found |= {name: tokens.part(start, start + size).arrow for name, start, size in parts}
        return found

    @property
    def token_starts(self) -> tuple[int, ...]:
        """Return the first id of each feature of words."""
        return tuple(sum(self.token_sizes[:place]) for place in range(len(self.token_sizes)))


@final
class Vector(Generic[E]):
    """Named features of one stream of requests.

    `features` has them in the order in which they were written. There, every aggregate says which columns of the
    request its keys must equal (`equals`), also where the user left that out.

    A feature without a keyword is named by rule:

    - a field by its name, also below `hr.category`, `hr.words` and `hr.fill`; `tail_missing` for `hr.is_missing` of
      `tail`; `hour_at` and `weekday_at` for `hr.hour` and `hr.weekday` of `at`;
    - `hr.cross` by its columns, joined with `_x_`;
    - an aggregate key_aggregate_column_unit_window: `carrier_mean_delay_min_3h`, `origin_count_1h`,
      `tail_seconds_since_2d`; over a label the column is `label`: `origin_dest_mean_label_28d`;
    - several columns (an embedding, sine and cosine) by the name of what they are made of, each with its suffix:
      `embedding_0`, `hour_at_sin`; under a keyword `when` they are `when_sin` and `when_cos`;
    - anything else needs a keyword.

    With `wait` (of `wait_us` microseconds) a request is computed once the watermark has passed its time by as much.

    Raises ConfigError for two features of one name, one that may be missing without a default, a text or a time, one
    that needs a name and has none, or one that the request does not know.
    """

    def __init__(
        self,
        of: "Stream[E]",
        name: str,
        features: tuple[object, ...],
        named: Mapping[str, object],
        wait: Duration | None = None,
    ) -> None:
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
        if sum(self.blocks().token_sizes) > _IDS_MAX:
            wanted = f"at most {_IDS_MAX} ids of words in all"
            raise ConfigError(where, wanted=wanted, got=sum(self.blocks().token_sizes))
        if not self.features:
            raise ConfigError(where, wanted="at least one feature", got="none")
        self.wait_us = None if wait is None else self._wait(where, wait)

    def __repr__(self) -> str:
        """Return the code that makes the vector."""
        features = ", ".join(f"{name}={feature.canonical}" for name, feature in self.features.items())
        wait = "" if self.wait_us is None else f", wait={duration_text(self.wait_us)!r}"
        return f"{self.of.name}.vector({self.name!r}, {features}{wait})"

    def blocks(self) -> Blocks:
        """Return which features are numbers, which are categories and which are words, each in the vector's order."""
        categories = {
            name: 1 << feature.bits for name, feature in self.features.items() if isinstance(feature, Category | Cross)
        }
        tokens = {name: 1 << feature.bits for name, feature in self.features.items() if isinstance(feature, Words)}
        dense = tuple(name for name in self.features if name not in categories and name not in tokens)
        return Blocks(dense, tuple(categories), tuple(categories.values()), tuple(tokens), tuple(tokens.values()))

    def compute(self, *, truth: "Truth" = "served", **tables: Arrow) -> "pa.Table":
        """Return the features of a finite history in memory, one row a request, with a reason beside each value.

        `tables` are the sources by name: pandas, polars, DuckDB or Arrow. "served" sees what had come before the
        request, "complete" everything with an earlier event time, however late it came.

        Raises ConfigError for a table that is missing, and for a record that ingest would reject.
        """
        from headrace.features.tables import compute  # noqa: PLC0415 - a definition alone must stay light

        return compute(self, None, tables, truth)

    @cached_property
    def fingerprint(self) -> str:
        """Return 16 hex digits, the version of the definition: they change with whatever may change a value.

        That is what the features are, in their order, and of each aggregate what `AggregateRead.fingerprint` covers;
        of the request's own fields those that a feature reads. The vector's name is not among it: the same definition
        under two names is computed once.
        """
        asking = self.of.settings
        nodes = [node for feature in self.features.values() for node in feature.walk()]
        nodes += [node for read in self.aggregates() for key in read.equals for node in key.walk()]
        fields_read = {node.canonical for node in nodes if isinstance(node, FieldColumn)}
        parts = [
            f"asks {asking.name} {asking.time} {asking.id} {asking.disorder_us} {asking.late}",
            f"{asking.arrived} {asking.delay_us} {asking.max_future_skew_us}",
            f"{asking.duplicate_horizon_us} {asking.producer} {asking.silent_us}",
            *(() if self.wait_us is None else (f"waits {self.wait_us}",)),
            *(f"{name} = {feature.canonical}" for name, feature in self.features.items()),
            *(read.fingerprint for read in self.aggregates()),
            *(repr(field) for field in asking.schema.fields if f"{asking.schema.name}.{field.name}" in fields_read),
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def aggregates(self) -> tuple[AggregateRead, ...]:
        """Return every aggregate once, in the order of the features."""
        found = [read for feature in self.features.values() for read in aggregates_of(feature)]
        return tuple({read.canonical: read for read in found}.values())

    def streams(self) -> tuple["Stream[Any]", ...]:
        """Return the sources whose records are read, in the order of use: the one that asks, then the features'."""
        read = [stream for read in self.aggregates() for stream in read.records.sources]
        return tuple(dict.fromkeys([self.of, *read]))

    def _wait(self, where: str, wait: Duration) -> int:
        """Return how long each request waits, in microseconds.

        Records that came while it waited may have its very time, and a tile may reach beyond it: what was asked for at
        once would see neither.
        """
        wait_us = duration_us(f"{where} wait", wait)
        if wait_us == 0:
            raise ConfigError(f"{where} wait", wanted="a duration above 0 (or no wait at all)", got=wait)
        for name, feature in self.features.items():
            for read in aggregates_of(feature):
                if read.include_current or read.resolution_us:
                    wanted = "aggregates without include_current= and resolution=, where the vector has wait="
                    raise ConfigError(f"{where}, feature {name!r}", wanted=wanted, got=repr(read))
        return wait_us

    def _add(self, where: str, feature: object, given: str | None) -> None:
        """Add a feature under its given or its automatic name; several columns add one each, with their suffixes."""
        column = feature if isinstance(feature, Expression) else self.of.column(feature, where)
        self._check(where, column)
        if isinstance(column, FieldColumn) and column.kind == "numbers":
            column = column.spread
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
        if feature.kind not in {"number", "bool", "category", "tokens"}:
            wanted = "a number, a category (hr.category, hr.cross) or words (hr.words)"
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
    for key in read.keys:
        if key.kind not in _KEYS:
            wanted = "keys that are each a text, a number, a bool or a time"
            raise ConfigError(f"{where}, {read!r}", wanted=wanted, got=f"{key!r}, of kind {key.kind}")
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
        case Category() | Fill() | Cyclic() | Words():
            return _automatic_name(where, feature.operand)
        case Cross():
            return "_x_".join(_automatic_name(where, operand) for operand in feature.operands)
        case Element():
            return f"{_automatic_name(where, feature.operand)}_{feature.place}"
        case IsMissing():
            return f"{_automatic_name(where, feature.operand)}_missing"
        case CyclicTime():
            return f"{_automatic_name(where, feature.operand)}_{duration_text(feature.period_us)}"
        case LocalPart():
            return f"{type(feature).__name__.lower()}_{_automatic_name(where, feature.operand)}"
        case AggregateRead():
            parts = [*(_automatic_name(where, key) for key in feature.keys), feature.operation_text]
            if feature.column is not None and feature.operation not in OF_ROWS:
                parts += ["label" if feature.of_label else _automatic_name(where, feature.column), feature.unit]
            parts.append(feature.window_text)
            return _NOT_IN_A_NAME.sub("_", "_".join(part for part in parts if part)).strip("_")
        case _:
            raise ConfigError(where, wanted="a keyword that names it (surge=...)", got=repr(feature))
