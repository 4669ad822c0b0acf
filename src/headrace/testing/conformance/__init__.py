"""The conformance kit tells whether a windowed feature engine is right, whichever it is.

Streams that hurt, an oracle in plain Python with exact fractions, laws, and a scorecard. It knows headrace as one
engine among others: an `Engine` of yours is a way to begin and a way to be fed.

>>> from headrace.testing.conformance import STREAMS, Headrace, Mistake, Reference, scorecard
>>> ties = {"ties": STREAMS["ties"]}
>>> scorecard(Headrace(), seeds=[0], events=20, streams=ties).holds
True
>>> scorecard(Reference(Mistake.ADD_BEFORE_READ), seeds=range(3), events=20, streams=ties).holds
False
"""

from headrace.testing.conformance.definitions import (
    AGGREGATES,
    Decay,
    Definition,
    Feature,
    Forever,
    Hopping,
    LastN,
    Session,
    Sliding,
    Tumbling,
    Window,
)
from headrace.testing.conformance.engines import Engine, Run
from headrace.testing.conformance.events import Answer, Event, Value
from headrace.testing.conformance.headrace_engine import Headrace
from headrace.testing.conformance.laws import LAWS, Law
from headrace.testing.conformance.oracle import Oracle
from headrace.testing.conformance.reference import Mistake, Reference
from headrace.testing.conformance.scorecard import Line, Scorecard, scorecard
from headrace.testing.conformance.shortening import Counterexample
from headrace.testing.conformance.streams import STREAMS, Generator
from headrace.testing.conformance.values import Wanted

__all__ = [
    "AGGREGATES",
    "LAWS",
    "STREAMS",
    "Answer",
    "Counterexample",
    "Decay",
    "Definition",
    "Engine",
    "Event",
    "Feature",
    "Forever",
    "Generator",
    "Headrace",
    "Hopping",
    "LastN",
    "Law",
    "Line",
    "Mistake",
    "Oracle",
    "Reference",
    "Run",
    "Scorecard",
    "Session",
    "Sliding",
    "Tumbling",
    "Value",
    "Wanted",
    "Window",
    "scorecard",
]
