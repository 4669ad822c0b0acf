"""headrace features --lateness: how late records come, what each disorder keeps, and what waiting for it costs."""

from collections.abc import Sequence

import click

from headrace.cli.show import as_json, table
from headrace.core.errors import ConfigError
from headrace.core.time import duration_us
from headrace.edge.lateness import Offset, SourceLateness
from headrace.run.deployment import Deployment
from headrace.run.lateness import lateness

__all__ = ["show_lateness"]


def show_lateness(deployment: Deployment, *, keep: float, disorders: Sequence[str], json_: bool) -> None:
    """Print, for each source, the delays of its records, what disorders keep, and whose clocks are off.

    keep: the percentage of records that a recommended disorder keeps. disorders: further ones to be told of.
    Raises ConfigError for a percentage or a duration that is none.
    """
    if not 0 < keep <= 100:
        raise ConfigError("features --keep", wanted="a percentage above 0, at most 100", got=keep)
    more_us = [duration_us("features --disorder", disorder) for disorder in disorders]
    found = lateness(deployment, keep=keep / 100, disorders_us=more_us)
    if json_:
        as_json({"keep": keep, "sources": [source.as_dict() for source in found]})
        return
    for number, source in enumerate(found):
        click.echo("\n" if number else "", nl=False)
        _show(source, keep)


def _show(source: SourceLateness, keep: float) -> None:
    if not source.records:
        click.echo(f"{source.source}: no records")
        return
    click.echo(
        f"{source.source}: {source.records:,} records, {source.behind:,} behind a newer one, "
        f"{source.ahead:,} ahead of their arrival ({source.future:,} too far)"
    )
    delay = source.delay
    told = "arrival less event time" if source.stamped else "arrival is declared, not stamped: event time plus delay"
    click.echo(f"\n{told}, in seconds, within 3 %")
    table(
        ("p1", "p50", "p90", "p99", "p99.9", "longest"),
        [(delay.p1, delay.p50, delay.p90, delay.p99, delay.p999, delay.longest)],
    )
    click.echo("\nwhat waits for this disorder (a closing window, a vector with wait=) comes later by as much")
    last = next((n for n, one in enumerate(source.disorders) if not one.late), len(source.disorders) - 1)
    shown = [one for n, one in enumerate(source.disorders) if n <= last or one == source.declared]
    table(
        ("disorder", "keeps", "late", "adds seconds", ""),
        [
            (one.disorder, _percent(one.kept), one.late, one.adds_seconds, "declared" if one == source.declared else "")
            for one in shown
        ],
    )
    click.echo(f"\n{_advice(source, keep)}")
    for word, offsets in (("ahead", source.producers_ahead), ("behind", source.producers_behind)):
        if offsets:
            click.echo(f"\nfurthest {word} of the middle one of {source.producers:,} producers")
            table(
                ("producer", "seconds", "records", "ahead of arrival", "future", "late"),
                [_row(offset) for offset in offsets],
            )


def _row(one: Offset) -> tuple[object, ...]:
    return one.producer, one.offset_seconds, one.records, one.ahead, one.future, one.late


def _advice(source: SourceLateness, keep: float) -> str:
    """Return what should be declared, in one sentence."""
    declared, best = source.declared, source.recommended
    keeps = f"disorder={declared.disorder!r}, as declared, keeps {_percent(declared.kept)}"
    if best is None:
        return f"{keeps}; none that was counted keeps {keep:g} %"
    if best.adds_seconds == declared.adds_seconds:
        return f"{keeps}: nothing shorter keeps {keep:g} %"
    cost = best.adds_seconds - declared.adds_seconds
    change = f"{abs(cost):g} s {'later' if cost > 0 else 'sooner'}"
    return f"{keeps}; disorder={best.disorder!r} keeps {_percent(best.kept)}, {change}"


def _percent(share: float) -> str:
    """Return a share as a percentage that says 100 % only of all."""
    text = f"{100 * share:.2f} %"
    return f"{100 * share:.6f} %" if share < 1 and text == "100.00 %" else text
