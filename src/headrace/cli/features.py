"""headrace features: the vector's definitions and their versions, or their values by key."""

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, final

import click

from headrace.cli.lateness import show_lateness
from headrace.cli.options import project_options
from headrace.cli.show import as_json, table
from headrace.core.errors import ConfigError
from headrace.core.schema import FieldSchema
from headrace.features.vector import aggregates_of
from headrace.run.field_values import field_values
from headrace.run.online import Found, OnlineFeatures, features_at
from headrace.run.project import Project

__all__ = ["command"]

_GET: Final = "get"


@final
class _WithGet(click.Command):
    """A verb before whose FILE the word `get` may stand."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the word as what it stands for."""
        return super().parse_args(ctx, [f"--{_GET}", *args[1:]] if args[:1] == [_GET] else args)


@click.command("features", cls=_WithGet, options_metavar="[get] [OPTIONS]")
@project_options
@click.option(f"--{_GET}", "get", is_flag=True, hidden=True)
@click.option("--vector", help="Which vector, if FILE declares several.")
@click.option("--key", "keys", multiple=True, help="With get: FIELD=VALUE[,FIELD=VALUE...] of one request.")
@click.option("--at", help="With get: as of this past time (ISO, with its zone), by replay of the log.")
@click.option("--truth", type=click.Choice(["served", "complete"]), default="served", show_default=True)
@click.option("--lateness", "late", is_flag=True, help="How late records come, and what each disorder keeps.")
@click.option("--keep", default=99.9, show_default=True, help="With --lateness: per cent that disorder should keep.")
@click.option("--disorder", "disorders", multiple=True, help="With --lateness: one more disorder, such as 45s.")
def command(
    *,
    get: bool,
    file: Path,
    config: Path | None,
    name: str | None,
    json_: bool,
    vector: str | None,
    keys: tuple[str, ...],
    at: str | None,
    truth: Any,
    late: bool,
    keep: float,
    disorders: tuple[str, ...],
) -> None:
    """List the features of the pipeline in FILE, each with the version of its definition.

    `headrace features get FILE --key card=c7 --key card=c8` shows their values for these keys, as the log stands, or
    as of the past time --at. Nothing is written. --truth complete sees at that time also what came later.

    `headrace features FILE --lateness` tells, of each source in the log, how long its records take to come, how many
    would be in time under which disorder, what waiting for that costs, and whose clocks are ahead or behind.
    """
    project = Project.load(file, config, name=name, vector=vector)
    if late:
        if get or keys or at is not None:
            raise ConfigError("features --lateness", wanted="neither get nor what belongs to it", got="both")
        deployment = project.deployment()
        try:
            show_lateness(deployment, keep=keep, disorders=disorders, json_=json_)
        finally:
            deployment.log.close()
        return
    if not get:
        _list(project, json_=json_)
        return
    if truth == "complete" and at is None:
        raise ConfigError("features get --truth complete", wanted="--at TIME, a past one", got="none")
    settings = project.pipeline.features.of.settings
    requests = _requests(settings.schema.fields, keys)
    moment = None if at is None else _moment(at)
    deployment = project.deployment()
    try:
        if moment is None:
            found = OnlineFeatures(deployment).get(requests)
        else:
            found = features_at(deployment, requests, moment, truth=truth)
    finally:
        deployment.log.close()
    _show(found, keys, json_=json_)


def _list(project: Project, *, json_: bool) -> None:
    vector = project.pipeline.features
    rows = [
        {
            "feature": name,
            "is": feature.canonical,
            "versions": " ".join(read.fingerprint for read in aggregates_of(feature)),
        }
        for name, feature in vector.features.items()
    ]
    if json_:
        as_json({"vector": vector.name, "fingerprint": vector.fingerprint, "features": rows})
        return
    click.echo(f"{vector.name} {vector.fingerprint}: {len(rows)} features of {vector.of.name}\n")
    table(list(rows[0]), [list(row.values()) for row in rows])


def _requests(fields: Sequence[FieldSchema], keys: tuple[str, ...]) -> dict[str, list[object]]:
    """Return the fields that any request gives, with a value a request; a comma within a value stands for itself."""
    if not keys:
        raise ConfigError("features get", wanted="--key FIELD=VALUE for each request", got="none")
    names = "|".join(re.escape(field.name) for field in fields)
    records = [field_values("features get --key", fields, re.split(rf",(?=(?:{names})=)", key)) for key in keys]
    given = dict.fromkeys(name for record in records for name in record)
    return {name: [record.get(name) for record in records] for name in given}


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError("features get --at", wanted="a time such as 2026-01-31T12:00Z", got=text) from error


def _show(found: Found, keys: tuple[str, ...], *, json_: bool) -> None:
    answer = found.as_dict()
    if json_:
        rows = [{"key": key, **row} for key, row in zip(keys, answer["rows"], strict=True)]
        as_json({**answer, "rows": rows})
        return
    click.echo(f"{found.vector} {found.fingerprint}, events read through {found.place} ({found.truth})")
    for key, row in zip(keys, answer["rows"], strict=True):
        click.echo(f"\n{key} at {row['at']}")
        table(
            ("feature", "value", "reason"),
            [(name, value, row["reasons"][name]) for name, value in row["features"].items()],
        )
