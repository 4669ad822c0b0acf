"""headrace: events in, point-in-time features, predictions out; labels back, models learnt, drift watched."""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from headrace.core.errors import ConfigError, HeadraceError, RecordError, StateError, SurroundingsError

if TYPE_CHECKING:
    from headrace import models
    from headrace.core.events import Event, Prediction, Unit
    from headrace.core.functions import between, category, cross, fill, hour, is_missing, isin, weekday, when
    from headrace.core.settings import Constant, Learn, Serve, sink
    from headrace.drift import ADWIN, PSI
    from headrace.evaluate import prequential
    from headrace.features.labels import DROP
    from headrace.features.streams import source
    from headrace.features.windows import FOREVER, Decay, Hopping, LastN, Session, Sliding, Tumbling
    from headrace.run.pipeline import Pipeline

__all__ = [
    "ADWIN",
    "DROP",
    "FOREVER",
    "PSI",
    "ConfigError",
    "Constant",
    "Decay",
    "Event",
    "HeadraceError",
    "Hopping",
    "LastN",
    "Learn",
    "Pipeline",
    "Prediction",
    "RecordError",
    "Serve",
    "Session",
    "Sliding",
    "StateError",
    "SurroundingsError",
    "Tumbling",
    "Unit",
    "between",
    "category",
    "cross",
    "fill",
    "hour",
    "is_missing",
    "isin",
    "models",
    "prequential",
    "sink",
    "source",
    "weekday",
    "when",
]

_HOMES: Final = {
    "core.events": ("Event", "Prediction", "Unit"),
    "core.functions": ("between", "category", "cross", "fill", "hour", "is_missing", "isin", "weekday", "when"),
    "core.settings": ("Constant", "Learn", "Serve", "sink"),
    "drift": ("ADWIN", "PSI"),
    "evaluate": ("prequential",),
    "features.labels": ("DROP",),
    "features.streams": ("source",),
    "features.windows": ("FOREVER", "Decay", "Hopping", "LastN", "Session", "Sliding", "Tumbling"),
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
