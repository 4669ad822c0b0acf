"""A small pipeline with everything in it, over a few dozen drawn flights: what the real stages are simulated with."""

import atexit
import json
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final, Literal, final

import headrace as hr
from headrace.core.source_settings import SourceSettings
from headrace.edge.files import SourceFiles

__all__ = ["DATASETS", "files", "pipeline"]

DATASETS: Final = 3
_START: Final = datetime(2026, 1, 5, tzinfo=UTC)
_DAYS: Final = 4
_LARGE: Final = 400_000
"""Bytes of a record that nobody may take: more than a record may have, and than the simulated log has room for."""


@final
class _Departure(hr.Event):
    flight: str
    carrier: str
    origin: Literal["A", "B", "C"]
    distance: float
    at: datetime


@final
class _Arrival(hr.Event):
    flight: str
    carrier: str
    delay: float
    at: datetime


_departures = hr.source("departures", _Departure, time=_Departure.at, id=_Departure.flight, disorder="1h")
_arrivals = hr.source("arrivals", _Arrival, time=_Arrival.at, disorder="1h")
_delayed = _departures.label(_arrivals, _Arrival.delay > 15, on="flight", within="12h", otherwise=hr.DROP)
_carrier = _arrivals.by(_Arrival.carrier)

pipeline: Final = hr.Pipeline(
    "simulated",
    features=_departures.vector(
        "known",
        _Departure.distance,
        hr.category(_Departure.carrier, bits=3),
        _carrier.mean(_Arrival.delay, "1d", default=0.0),
        _delayed.by(_Departure.origin).mean(_delayed.value, "2d", default=0.2, prior=5),
        recent=_departures.by(_Departure.origin).count("6h"),
    ),
    label=_delayed,
    model=hr.models.Logistic(),
    serve=hr.Serve(deadline="1h", fallback=[hr.Constant(0.2)]),
    learn=hr.Learn(every="12h"),
    watch=[hr.PSI("score", reference="1d", over="1d"), hr.ADWIN("error")],
    act=[hr.sink("all"), hr.sink("likely", when=hr.Prediction.score > 0.25)],
)


@cache
def files(dataset: int) -> tuple[tuple[SourceSettings, SourceFiles], ...]:
    """Return the files of one of the datasets: ties in time, late and doubled records, a few that cannot be used."""
    draw = Random(dataset)
    departures, arrivals = [], []
    for number in range(36):
        at = _START + timedelta(minutes=draw.randrange(_DAYS * 24 * 6) * 10)
        carrier, delay = draw.choice("XYZ"), draw.choice([-5.0, 0.0, 12.0, 20.0, 45.0])
        flight = {"flight": f"f{number}", "carrier": carrier, "origin": draw.choice("ABC"), "at": at.isoformat()}
        departures.append({**flight, "distance": draw.choice([100.0, 300.0, "far"] if number % 12 == 0 else [200.0])})
        landed = at + timedelta(minutes=draw.randrange(6, 60) * 10)
        arrivals.append({"flight": f"f{number}", "carrier": carrier, "delay": delay, "at": landed.isoformat()})
    departures.append(draw.choice(departures))
    departures.append({**draw.choice(departures), "flight": "".join(draw.choices("0123456789abcdef", k=_LARGE))})
    folder = TemporaryDirectory(prefix="headrace-simulation-")
    atexit.register(folder.cleanup)
    made = []
    for settings, records in zip(pipeline.source_settings(), (departures, arrivals), strict=True):
        path = Path(folder.name) / f"{settings.name}.jsonl"
        in_order = sorted(records, key=lambda record: str(record["at"]))
        place = draw.randrange(len(in_order) - 1)
        in_order[place], in_order[place + 1] = in_order[place + 1], in_order[place]
        path.write_text("".join(f"{json.dumps(record)}\n" for record in in_order), encoding="utf-8")
        made.append((settings, SourceFiles(paths=(path,), format="jsonl")))
    return tuple(made)
