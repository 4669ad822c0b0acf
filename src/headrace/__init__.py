"""headrace: events in, point-in-time features, predictions out; labels back, models learnt, drift watched."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from headrace.core.errors import ConfigError, HeadraceError, RecordError, StateError, SurroundingsError

if TYPE_CHECKING:
    from headrace import models
    from headrace.core.arrow import Arrow
    from headrace.core.events import Event, Length, Prediction, Unit
    from headrace.core.functions import between, category, cross, fill, is_missing, isin, when
    from headrace.core.functions_of_numbers import (
        abs,  # noqa: A004 - reached as hr.abs
        ceil,
        clip,
        exp,
        floor,
        log,
        log1p,
        maximum,
        minimum,
        power,
        round,  # noqa: A004 - reached as hr.round
        sqrt,
    )
    from headrace.core.functions_of_texts import contains, length, lower, starts_with
    from headrace.core.functions_of_times import cyclical, day, hour, minute, month, seconds, weekday
    from headrace.core.settings import Constant, Learn, Serve, sink
    from headrace.core.user_functions import F8, function
    from headrace.core.words import words
    from headrace.drift import ADWIN, PSI
    from headrace.evaluate import prequential
    from headrace.features.labels import DROP
    from headrace.features.streams import source
    from headrace.features.user_aggregate import Aggregate, State
    from headrace.features.windows import FOREVER, Decay, Hopping, LastN, Session, Sliding, Tumbling
    from headrace.models.contract import Arrays, Columns, Meta, Snapshot
    from headrace.run.pipeline import Pipeline

__all__ = [
    "ADWIN",
    "DROP",
    "F8",
    "FOREVER",
    "PSI",
    "Aggregate",
    "Arrays",
    "Arrow",
    "Columns",
    "ConfigError",
    "Constant",
    "Decay",
    "Event",
    "HeadraceError",
    "Hopping",
    "LastN",
    "Learn",
    "Length",
    "Meta",
    "Pipeline",
    "Prediction",
    "RecordError",
    "Serve",
    "Session",
    "Sliding",
    "Snapshot",
    "State",
    "StateError",
    "SurroundingsError",
    "Tumbling",
    "Unit",
    "abs",
    "between",
    "category",
    "ceil",
    "clip",
    "contains",
    "cross",
    "cyclical",
    "day",
    "exp",
    "fill",
    "floor",
    "function",
    "hour",
    "is_missing",
    "isin",
    "length",
    "log",
    "log1p",
    "lower",
    "maximum",
    "minimum",
    "minute",
    "models",
    "month",
    "power",
    "prequential",
    "round",
    "seconds",
    "sink",
    "source",
    "sqrt",
    "starts_with",
    "weekday",
    "when",
    "words",
]

_HOMES: Final = {
    "core.arrow": ("Arrow",),
    "core.events": ("Event", "Length", "Prediction", "Unit"),
    "core.functions": ("between", "category", "cross", "fill", "is_missing", "isin", "when"),
    "core.functions_of_numbers": (
        *("abs", "ceil", "clip", "exp", "floor", "log"),
        *("log1p", "maximum", "minimum", "power", "round", "sqrt"),
    ),
    "core.functions_of_texts": ("contains", "length", "lower", "starts_with"),
    "core.functions_of_times": ("cyclical", "day", "hour", "minute", "month", "seconds", "weekday"),
    "core.settings": ("Constant", "Learn", "Serve", "sink"),
    "core.user_functions": ("F8", "function"),
    "core.words": ("words",),
    "drift": ("ADWIN", "PSI"),
    "evaluate": ("prequential",),
    "features.labels": ("DROP",),
    "features.streams": ("source",),
    "features.user_aggregate": ("Aggregate", "State"),
    "features.windows": ("FOREVER", "Decay", "Hopping", "LastN", "Session", "Sliding", "Tumbling"),
    "models.contract": ("Arrays", "Columns", "Meta", "Snapshot"),
    "run.pipeline": ("Pipeline",),
}
_LAZY: Final = {name: f"headrace.{home}" for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import what needs Arrow, NumPy or Numba when it is first used, so that the command line answers at once."""
    if name == "models":
        return import_module("headrace.models")
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'headrace' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, those not yet imported too, so that notebooks complete them."""
    return list(__all__)
