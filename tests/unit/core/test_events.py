"""On the class a field is a column; on a record it is a value; and annotations are found where they are written."""

from __future__ import annotations

from datetime import UTC, datetime
from types import new_class
from typing import Annotated, Any, Literal

import msgspec
import pytest

import headrace as hr
from headrace.core.events import columns_of, event_schema
from headrace.core.schema import NO_DEFAULT
from tests.unit.definitions import Arrival, Departure

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Reading(hr.Event):
    sensor: str
    level: Annotated[float | None, hr.Unit("m", ge=0.0, le=9.0)]
    steps: int = 3
    note: str | None = None
    state: Literal["on", "off"] = "on"
    flag: bool = False
    at: datetime


def declared_in_a_function() -> Any:
    Volts = Annotated[float, hr.Unit("V")]  # noqa: N806 - an alias is a type

    class Local(hr.Event):
        volts: Volts
        at: datetime

    return Local


def odd(hints: dict[str, Any]) -> Any:
    fields = {"__annotations__": hints, "__module__": __name__}
    return new_class("Odd", (hr.Event,), {}, lambda namespace: namespace.update(fields))


def test_on_the_class_a_field_is_a_column_and_on_a_record_a_value() -> None:
    column: Any = Reading.level
    assert (column.canonical, column.kind, column.unit, column.missing) == ("Reading.level", "number", "m", True)
    record = Reading(sensor="a", level=2.0, at=NOON)
    assert (record.level, record.steps, record.note, record.at) == (2.0, 3, None, NOON)


def test_the_schema_says_kind_range_choices_and_default() -> None:
    schema = event_schema(Reading)
    assert [(field.name, field.kind) for field in schema.fields] == [
        ("sensor", "text"),
        ("level", "number"),
        ("steps", "integer"),
        ("note", "text"),
        ("state", "category"),
        ("flag", "bool"),
        ("at", "time"),
    ]
    level = schema.field("level")
    assert (level.ge, level.le, level.nullable, level.default) == (0.0, 9.0, True, NO_DEFAULT)
    assert schema.field("state").choices == ("on", "off")
    assert [schema.field(name).default for name in ("sensor", "steps", "note")] == [NO_DEFAULT, 3, None]


def test_annotations_that_name_something_local_are_resolved() -> None:
    local = declared_in_a_function()
    assert local.volts.unit == "V"
    assert event_schema(local).names == ("volts", "at")


def test_a_class_inherits_fields_with_their_defaults_and_scopes() -> None:
    class Wider(declared_in_a_function()):  # type: ignore[misc]
        amps: float
        phase: int = 1

    assert event_schema(Wider).names == ("volts", "at", "amps", "phase")
    assert event_schema(Wider).field("phase").default == 1
    assert event_schema(Wider).field("amps").default is NO_DEFAULT
    columns = columns_of(Wider)
    assert columns["volts"].canonical == "Wider.volts"


def test_a_class_declared_again_replaces_the_first() -> None:
    def cell(unit: str) -> Any:
        class Cell(hr.Event):
            x: Annotated[float, hr.Unit(unit)]
            at: datetime

        return Cell

    one, same, other = cell("m"), cell("m"), cell("km")
    stream = hr.source("cells", one, time=one.at)
    stream.by(same.x)
    with pytest.raises(hr.ConfigError, match="columns of Cell"):
        stream.by(other.x)


def test_a_misspelt_field_names_the_nearest() -> None:
    with pytest.raises(hr.ConfigError, match="did you mean 'sensor'"):
        _ = Reading.senser  # type: ignore[attr-defined]


def test_what_python_asks_of_a_class_is_answered_as_python_expects() -> None:
    assert not hasattr(Reading, "__wrapped__")
    assert not hasattr(Reading, "_repr_html_")
    assert not hasattr(Reading.level, "_repr_html_")


def test_records_are_decoded_from_json_as_plain_structs_are() -> None:
    line = b'{"flight_id":"1","carrier":"AA","tail":null,"origin":"JFK","dest":"LAX","seats":9,"distance":5.0,'
    record = msgspec.json.decode(line + b'"at":"2026-01-01T12:00:00Z"}', type=Departure)
    assert (record.distance, record.tail, record.at) == (5.0, None, NOON)


def test_a_record_cannot_be_changed() -> None:
    record = Reading(sensor="a", level=None, at=NOON)
    with pytest.raises(AttributeError):
        record.sensor = "b"  # type: ignore[misc]


@pytest.mark.parametrize("hint", [list[str], dict[str, int], int | str, Literal[1, 2], bytes])
def test_a_field_that_no_column_can_hold_is_refused_by_name(hint: Any) -> None:
    made = odd({"x": hint})
    with pytest.raises(hr.ConfigError, match=r"Odd\.x"):
        event_schema(made)


def test_an_annotation_that_cannot_be_resolved_is_refused() -> None:
    made = odd({"x": "Nowhere"})
    with pytest.raises(hr.ConfigError, match="can be resolved"):
        event_schema(made)


def test_a_prediction_is_an_event_with_columns() -> None:
    score: Any = hr.Prediction.score
    assert (score > 0.8).kind == "bool"
    assert set(columns_of(Arrival)) == set(event_schema(Arrival).names)
