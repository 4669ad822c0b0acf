"""The scorecard of an engine: every law, on how many streams it was tried, on how many it held, and where not."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import final

from headrace.testing.conformance.catalogue import FEATURES, definition
from headrace.testing.conformance.engines import Engine
from headrace.testing.conformance.laws import LAWS, Law
from headrace.testing.conformance.shortening import Counterexample, failure, shortened
from headrace.testing.conformance.streams import STREAMS, Generator

__all__ = ["Line", "Scorecard", "scorecard"]


@final
@dataclass(frozen=True, slots=True)
class Line:
    """One law: on how many streams it was tried and held, and the first on which it did not, made short."""

    law: str
    tried: int
    held: int
    counterexample: Counterexample | None


@final
@dataclass(frozen=True, slots=True)
class Scorecard:
    """What an engine was found to be. features: how many pairs of aggregate and kind of window were asked of it."""

    engine: str
    features: int
    lines: tuple[Line, ...]

    @property
    def holds(self) -> bool:
        """Return whether every law held on every stream."""
        return all(line.tried == line.held for line in self.lines)

    def __str__(self) -> str:
        """Return it as a table, with the first counterexamples below."""
        width = max(len(line.law) for line in self.lines)
        rows = [f"{self.engine}: {self.features} pairs of aggregate and window"]
        rows += [
            f"{line.law:<{width}}  {line.held:>5} of {line.tried:>5}  {'held' if line.held == line.tried else 'BROKEN'}"
            for line in self.lines
        ]
        for line in self.lines:
            if line.counterexample is not None:
                rows += ["", f"{line.law}: {line.counterexample}"]
        return "\n".join(rows)


def scorecard(
    engine: Engine,
    *,
    seeds: Iterable[int] = range(3),
    events: int = 120,
    streams: Mapping[str, Generator] = STREAMS,
    laws: Sequence[Law] = LAWS,
    shorten: bool = True,
) -> Scorecard:
    """Return what an engine is: every law on every stream, a definition drawn for each seed.

    seeds: of streams and definitions; a seed gives the same everywhere. events: how long a stream is.

    >>> from headrace.testing.conformance.headrace_engine import Headrace
    >>> from headrace.testing.conformance.streams import ties
    >>> scorecard(Headrace(), seeds=[1], events=30, streams={"ties": ties}).holds
    True
    """
    tried = dict.fromkeys((law.name for law in laws), 0)
    held = dict.fromkeys((law.name for law in laws), 0)
    first: dict[str, Counterexample] = {}
    pairs: dict[tuple[str, str], None] = {}
    features = [feature for feature in FEATURES if engine.can(feature)]
    for seed in seeds:
        for place, (name, generator) in enumerate(streams.items()):
            drawn, made = seed * len(streams) + place, generator(seed, events)
            for truth in engine.truths:
                asked = definition(features, engine.policies, drawn, truth)
                pairs |= dict.fromkeys((one.aggregate, type(one.window).__name__) for one in asked.features)
                for law in laws:
                    if truth not in law.truths:
                        continue
                    tried[law.name] += 1
                    difference = failure(law.check, engine, asked, made, drawn)
                    if difference is None:
                        held[law.name] += 1
                    elif law.name not in first:
                        first[law.name] = Counterexample(name, drawn, asked, tuple(made), difference)
    checks = {law.name: law.check for law in laws}
    if shorten:
        first = {name: shortened(checks[name], engine, found) for name, found in first.items()}
    asked_of = [law for law in laws if set(law.truths) & set(engine.truths)]
    lines = tuple(Line(law.name, tried[law.name], held[law.name], first.get(law.name)) for law in asked_of)
    return Scorecard(engine.name, len(pairs), lines)
