"""A pipeline knows its sources, and its fingerprint changes with everything that may change a result."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

import headrace as hr
from headrace.core.records import Kind
from tests.unit.definitions import Arrival, Departure, Detector, Recipe, arrivals, carrier, delayed, departures, risk

ROOT: Final = Path(__file__).parents[3]


def pipeline(**changed: Any) -> Any:
    return hr.Pipeline(**{"name": "flights", "features": risk, "label": delayed, "model": Recipe(), **changed})


def test_the_source_that_asks_comes_first_and_its_records_are_requests() -> None:
    made = pipeline()
    assert [stream.name for stream in made.sources()] == ["departures", "arrivals"]
    assert [settings.kind for settings in made.source_settings()] == [Kind.REQUEST, Kind.EVENT]
    assert made.source_settings()[1].disorder_us == 300_000_000


def test_a_source_that_only_a_feature_reads_is_a_source() -> None:
    others = hr.source("others", Arrival, time=Arrival.at)
    features = departures.vector("v", n=others.where(Arrival.delay > 0).by("dest").count("1h"))
    assert [stream.name for stream in pipeline(features=features).sources()] == ["departures", "arrivals", "others"]


def _label(**changed: Any) -> Any:
    settings: dict[str, Any] = {"on": "flight_id", "within": "24h", "otherwise": hr.DROP, **changed}
    return departures.label(arrivals, Arrival.delay > 15, **settings)


plain = departures.vector("plain", Departure.distance)
CHANGES: Final[dict[str, dict[str, Any]]] = {
    "name": {"name": "others"},
    "another vector": {"features": plain},
    "a renamed feature": {"features": departures.vector("plain", far=Departure.distance)},
    "label": {"features": plain, "label": _label(within="23h")},
    "how": {"features": plain, "label": _label(how="last")},
    "model": {"model": Recipe(rate=0.2)},
    "deadline": {"serve": hr.Serve(deadline="20ms")},
    "fallback": {"serve": hr.Serve(fallback=[hr.Constant(0.2)])},
    "pace": {"learn": hr.Learn(every="6h")},
    "detector": {"watch": [Detector("score")]},
    "other detector": {"watch": [Detector("error")]},
    "seed": {"seed": 1},
}


def test_whatever_changes_a_result_changes_the_fingerprint() -> None:
    prints = {name: pipeline(**changed).fingerprint for name, changed in CHANGES.items()}
    prints["unchanged"] = pipeline().fingerprint
    assert len(set(prints.values())) == len(CHANGES) + 1


def test_what_says_the_same_in_other_words_leaves_the_fingerprint() -> None:
    one = pipeline(serve=hr.Serve(deadline="60s"), learn=hr.Learn(every="24h"))
    two = pipeline(serve=hr.Serve(deadline="1min"), learn=hr.Learn(every=timedelta(days=1)))
    assert one.fingerprint == two.fingerprint


def test_a_sink_may_come_and_go() -> None:
    assert pipeline(act=[hr.sink("holds", when=hr.Prediction.score > 0.8)]).fingerprint == pipeline().fingerprint


def test_the_fingerprint_is_the_same_in_every_process() -> None:
    code = "import tests.unit.run.test_pipeline as t; print(t.pipeline().fingerprint)"
    paths = f"{ROOT / 'src'}:{ROOT}"
    found = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONPATH": paths, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    ]
    assert found == [pipeline().fingerprint] * 2


def test_the_table_shows_every_feature_with_its_default() -> None:
    rows = {row["feature"]: row for row in pipeline().describe()}
    assert list(rows) == list(risk.features)
    assert rows["late"]["default"] == "0.2 (default=)"
    assert rows["carrier"]["default"] == "id 0 (missing)"
    counted = departures.vector("v", n=carrier.count("1h"), r=hr.fill(carrier.last("delay", "1h"), None))
    shown = [row["default"] for row in pipeline(features=counted).describe()]
    assert shown == ["0.0 (empty window)", "None (hr.fill)"]


def test_the_notebook_shows_the_table_and_escapes_it() -> None:
    features = departures.vector("v", far=Departure.distance > 5)
    page = pipeline(features=features)._repr_html_()
    assert "(Departure.distance &gt; 5)" in page


def test_a_class_with_learn_and_a_function_are_recipes_known_by_name() -> None:
    class Mine:
        accepts = "block"

        def __init__(self, columns: object, seed: int) -> None: ...

        def learn(self) -> None: ...

    def recipe(columns: object, seed: int) -> None: ...

    assert pipeline(model=Mine).fingerprint != pipeline(model=recipe).fingerprint


@pytest.mark.parametrize("name", hr.__all__)
def test_what_is_public_is_imported_when_it_is_used(name: str) -> None:
    assert getattr(hr, name) is not None
    assert name in dir(hr)


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Pipelin"):
        _ = hr.Pipelin


def test_importing_headrace_imports_no_compiler() -> None:
    code = "import headrace, sys; print([name for name in ('numba', 'llvmlite') if name in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT / "src")}, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
