"""A counterexample made short: fewer features, then fewer events, as long as the law still fails."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, final

from headrace.testing.conformance.definitions import Definition
from headrace.testing.conformance.engines import Engine
from headrace.testing.conformance.events import Event
from headrace.testing.conformance.laws import Check

__all__ = ["Counterexample", "failure", "shortened"]

_TRIES: Final = 400


@final
@dataclass(frozen=True, slots=True)
class Counterexample:
    """A stream on which a law fails: by which seed, under which definition, and what differs."""

    stream: str
    seed: int
    definition: Definition
    events: tuple[Event, ...]
    difference: str

    def __str__(self) -> str:
        """Return it as a person reads it."""
        lines = [f"{self.difference}", f"  stream {self.stream!r}, seed {self.seed}, {len(self.events)} events"]
        settings = self.definition
        lines.append(f"  disorder {settings.disorder_us} us, late={settings.late!r}, truth={settings.truth!r}")
        start_us = min((event.at_us for event in self.events), default=0)
        for event in self.events:
            key = event.key if len(event.key) < 20 else f"{event.key[:8]}... ({len(event.key)} characters)"
            lines.append(
                f"  {event.id}: key {key!r} at {event.at_us - start_us} us, arrived {event.arrived_us - start_us} us, "
                f"value {event.value!r}, other {event.other!r}, category {event.category!r}"
                f"{'' if event.counts else ', only asks'}"
            )
        return "\n".join(lines)


def failure(check: Check, engine: Engine, definition: Definition, events: Sequence[Event], seed: int) -> str | None:
    """Return where a law fails, None where it holds; an engine that raises fails it."""
    try:
        return check(engine, definition, events, seed)
    except Exception as error:  # noqa: BLE001 - whatever an engine raises is its answer
        return f"{type(error).__name__}: {error}"


def shortened(check: Check, engine: Engine, found: Counterexample) -> Counterexample:
    """Return a counterexample of one feature and few events, if the law fails on that too."""
    tries = _TRIES
    for feature in found.definition.features:
        alone = replace(found.definition, features=(feature,))
        difference = failure(check, engine, alone, found.events, found.seed)
        tries -= 1
        if difference is not None:
            found = replace(found, definition=alone, difference=difference)
            break
    size = max(len(found.events) // 2, 1)
    while tries > 0:
        start, less = 0, False
        while start < len(found.events) and tries > 0:
            fewer = found.events[:start] + found.events[start + size :]
            difference = failure(check, engine, found.definition, fewer, found.seed)
            tries -= 1
            if difference is None:
                start += size
            else:
                found, less = replace(found, events=fewer, difference=difference), True
        if size == 1 and not less:
            break
        size = max(size // 2, 1)
    return found
