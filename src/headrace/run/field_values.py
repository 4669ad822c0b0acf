"""Values of fields as a person gives them on the command line: FIELD=VALUE, read by the field's own kind."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from headrace.core.errors import ConfigError, nearest
from headrace.core.schema import FieldSchema
from headrace.core.time import instant_us

__all__ = ["field_values"]

_TRUTHS: Final = {"true": True, "false": False}


def field_values(where: str, fields: Sequence[FieldSchema], given: Sequence[str]) -> dict[str, object]:
    """Return the values of some fields, as JSON can hold them; times are microseconds UTC.

    Raises ConfigError for what is not FIELD=VALUE, a field that there is not or that is given twice, or a value of
    another kind.
    """
    by_name = {field.name: field for field in fields}
    values: dict[str, object] = {}
    for part in given:
        name, equals, text = part.partition("=")
        if not equals or name not in by_name or name in values:
            wanted = f"FIELD=VALUE, each of {', '.join(by_name)} at most once"
            raise ConfigError(where, wanted=wanted, got=part + nearest(name, by_name))
        values[name] = _value(f"{where} {name}", by_name[name], text)
    return values


def _value(where: str, field: FieldSchema, text: str) -> object:
    try:
        match field.kind:
            case "number":
                return float(text)
            case "integer":
                return int(text)
            case "bool":
                return _TRUTHS[text.lower()]
            case "time":
                return instant_us(datetime.fromisoformat(text))
            case _:
                return text
    except (ValueError, KeyError) as error:
        raise ConfigError(where, wanted=f"a {field.kind}", got=text) from error
