"""The conformance kit: headrace on every law, planted mistakes that must be caught, and Bytewax beside it.

`--seeds` is how many definitions and streams of each kind are drawn for headrace.
"""

from importlib.util import find_spec
from typing import Any, Final

from headrace.testing.conformance import Engine, Headrace, Mistake, Reference, Scorecard, scorecard

__all__ = ["NOTES", "run"]

NOTES: Final = """\
Laws and streams are those of `headrace.testing.conformance` (`docs/conformance.md`). A figure of an engine is on how
many streams a law held, of how many. `mutants` are small engines with one mistake each: how many of their streams break
a law. `missed` are those that break none. Bytewax is asked only for what its windows can do (aligned windows, in UTC,
read when they have closed, what is late let go), with its clock held still; where it is not installed, that is said."""


def run(*, quick: bool, seeds: int = 5, events: int = 100) -> dict[str, Any]:
    """Judge headrace, the mutants and the peer."""
    if quick:
        seeds, events = 1, 40
    ours = scorecard(Headrace(), seeds=range(seeds), events=events)
    mutants = {mistake.name.lower(): _broken(Reference(mistake), 30 if quick else 50) for mistake in Mistake}
    return {
        "pairs_of_aggregate_and_window": ours.features,
        "holds": ours.holds,
        "headrace": _held(ours),
        "mutants": mutants,
        "missed": [name for name, broken in mutants.items() if broken.startswith("0 ")],
        "bytewax": _bytewax(),
    }


def _held(card: Scorecard) -> dict[str, str]:
    return {line.law: f"{line.held} of {line.tried}" for line in card.lines}


def _broken(engine: Engine, events: int) -> str:
    card = scorecard(engine, seeds=[0], events=events, shorten=False)
    return f"{sum(line.tried - line.held for line in card.lines)} of {sum(line.tried for line in card.lines)}"


def _bytewax() -> dict[str, str] | str:
    if find_spec("bytewax") is None:
        return "not installed (pip install bytewax)"
    from benchmarks._peer_bytewax import Bytewax  # noqa: PLC0415 - the package is optional

    return _held(scorecard(Bytewax(), seeds=[0], events=40, shorten=False))
