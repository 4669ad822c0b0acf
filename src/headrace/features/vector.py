"""A vector: the named features of one stream of requests, computed once and the same everywhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, final

from headrace.core.errors import ConfigError
from headrace.core.events import Event
from headrace.core.expressions import Category, Cross, Expression, FieldColumn, Fill, Hour, Weekday
from headrace.features.aggregates import AggregateRead

if TYPE_CHECKING:
    from headrace.features.streams import Stream

__all__ = ["Blocks", "Vector", "aggregates_of"]

E = TypeVar("E", bound=Event)


@final
@dataclass(frozen=True, slots=True)
class Blocks:
    """How a vector is laid out: its dense features, then its categories with the number of ids of each."""

    dense: tuple[str, ...]
    categories: tuple[str, ...]
    sizes: tuple[int, ...]


@final
class Vector(Generic[E]):
    """Named features of one stream of requests. `features` has them in the order in which they were written.

    Raises ConfigError for two features of one name, one that may be missing without a default, a text, or one that
    needs a name and has none.
    """

    def __init__(self, of: "Stream[E]", name: str, features: tuple[object, ...], named: Mapping[str, object]) -> None:
        self.of = of
        self.name = name
        self.features: dict[str, Expression] = {}
        for feature in features:
            column = of.column(feature, f"vector {name!r}")
            self._put(_automatic_name(name, column), column)
        for given, feature in named.items():
            self._put(given, of.column(feature, f"vector {name!r}, feature {given!r}"))
        if not self.features:
            raise ConfigError(f"vector {name!r}", wanted="at least one feature", got="none")

    def __repr__(self) -> str:
        """Return the code that makes the vector."""
        features = ", ".join(f"{name}={feature.canonical}" for name, feature in self.features.items())
        return f"{self.of.name}.vector({self.name!r}, {features})"

    def blocks(self) -> Blocks:
        """Return which features are numbers and which are categories."""
        categories = {name: feature for name, feature in self.features.items() if feature.kind == "category"}
        return Blocks(
            tuple(name for name in self.features if name not in categories),
            tuple(categories),
            tuple(_size(feature) for feature in categories.values()),
        )

    def aggregates(self) -> tuple[AggregateRead, ...]:
        """Return every aggregate once, in the order of the features."""
        found = [read for feature in self.features.values() for read in aggregates_of(feature)]
        return tuple({read.canonical: read for read in found}.values())

    def streams(self) -> tuple["Stream[Any]", ...]:
        """Return the streams whose records are aggregated, in the order of the features."""
        return tuple(read.source for read in self.aggregates())

    def _put(self, name: str, feature: Expression) -> None:
        where = f"vector {self.name!r}, feature {name!r}"
        if name in self.features:
            raise ConfigError(f"vector {self.name!r}", wanted="one feature of each name (name=... renames)", got=name)
        if name.startswith("_") or not name.isidentifier():
            raise ConfigError(where, wanted="a name of letters, digits and _ that does not start with _", got=name)
        if feature.missing:
            raise ConfigError(
                where,
                wanted="a default (default=..., or hr.fill(x, value); None hands NaN to the model)",
                got=f"{feature!r}, which can be missing",
            )
        if feature.kind not in ("number", "bool", "category") or (
            feature.kind == "category" and not isinstance(feature, Category | Cross)
        ):
            raise ConfigError(
                where, wanted="a number or a category (hr.category, hr.cross)", got=f"{feature!r}, which is a {feature.kind}"
            )
        for read in aggregates_of(feature):
            self._check_keys(where, read)
        self.features[name] = feature

    def _check_keys(self, where: str, read: AggregateRead) -> None:
        for key, asked in zip(read.keys, request_keys(self.of, read), strict=True):
            if (key.kind in ("text", "category")) != (asked.kind in ("text", "category")):
                raise ConfigError(
                    where, wanted=f"a key of the request that is a {key.kind}, as {key!r}", got=f"{asked!r}, a {asked.kind}"
                )


def aggregates_of(feature: Expression) -> tuple[AggregateRead, ...]:
    """Return the aggregates that a feature reads."""
    return tuple(node for node in feature.walk() if isinstance(node, AggregateRead))


def request_keys(of: "Stream[Any]", read: AggregateRead) -> tuple[Expression, ...]:
    """Return the key of a request as expressions over its record: `equals`, or the fields of the same names.

    Raises ConfigError, with the nearest name, if the request has no such field.
    """
    if read.equals:
        return read.equals
    where = f"{read.stream}.by({', '.join(map(repr, read.keys))})"
    names = [key.name if isinstance(key, FieldColumn) else None for key in read.keys]
    if None in names:
        raise ConfigError(where, wanted="equals=..., since a key is not a plain field", got="none")
    return tuple(of.column(name, f"{where}, whose requests are {of.name!r}: equals=") for name in names)


def _size(feature: Expression) -> int:
    return 1 << feature.bits if isinstance(feature, Category | Cross) else 0


def _automatic_name(vector: str, feature: Expression) -> str:
    """Return the name of a feature that was given none: key_aggregate_column_unit_window, or the field's."""
    match feature:
        case FieldColumn():
            return feature.name
        case Category() | Fill():
            return _automatic_name(vector, feature.operand)
        case Cross():
            return "_x_".join(_automatic_name(vector, operand) for operand in feature.operands)
        case Hour() | Weekday():
            return f"{type(feature).__name__.lower()}_{_automatic_name(vector, feature.operand)}"
        case AggregateRead():
            keys = [_automatic_name(vector, key) for key in feature.keys]
            column = []
            if feature.of_label:
                column = ["label"]
            elif feature.column is not None:
                column = [_automatic_name(vector, feature.column)]
            unit = [] if feature.operation == "seconds_since" or not feature.unit else [feature.unit]
            window = [feature.window_text]
            return "_".join([*keys, feature.operation, *column, *unit, *window]).lower()
        case _:
            raise ConfigError(f"vector {vector!r}", wanted="a name for it (surge=...)", got=repr(feature))
