"""headrace.toml: where records come from and go to. One file per environment; the definition has no address.

[run]
folder = ".headrace"

[log]
kind = "embedded"
path = ".headrace/log.sqlite"

[sources.departures]
path = "departures.parquet"

[sinks.holds]
kind = "file"
path = "holds"

[sinks.desk]
kind = "webhook"
url = "env:DESK_URL"

[retention]
events = "90d"
predictions = "30d"

[verify]
share = 0.001
"""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, final

import msgspec

from headrace.core.errors import ConfigError, nearest
from headrace.core.time import duration_us

__all__ = ["Config", "Format", "LogConfig", "RunConfig", "SinkConfig", "SourceConfig", "VerifyConfig", "load_config"]

Format: TypeAlias = Literal["parquet", "csv", "jsonl"]
_SUFFIXES: Final[dict[str, Format]] = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_ENVIRONMENT: Final = "env:"


@final
class SourceConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The files of one source, in the order in which they are numbered: `path`, or `paths` for several."""

    path: str | None = None
    paths: tuple[str, ...] = ()
    format: Format | None = None


@final
class SinkConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A folder of JSON lines (`path`), or the address that a webhook posts to (`url`; "env:NAME" refers to it)."""

    kind: Literal["file", "webhook"]
    path: str | None = None
    url: str | None = None


@final
class RunConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The folder that holds the log, the snapshots and the results."""

    folder: str = ".headrace"


@final
class LogConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The log between the stages. `path` is the embedded log's file, left out: log.sqlite in the run's folder."""

    kind: Literal["embedded"] = "embedded"
    path: str | None = None


@final
class VerifyConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which share of the vectors a running worker recomputes from the log, from 0 (none) to 1 (all)."""

    share: float = 0.0


_TABLES: Final[dict[str, type[msgspec.Struct]]] = {"run": RunConfig, "log": LogConfig, "verify": VerifyConfig}
_RETENTION: Final = "retention"
_TOPICS: Final = ("events", "features", "predictions", "examples", "sketches", "control", "inbox")
_NAMED_TABLES: Final[dict[str, type[msgspec.Struct]]] = {"sources": SourceConfig, "sinks": SinkConfig}


@final
class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one headrace.toml says. `base` is the folder of the file, to which its paths are relative.

    `retention` has a duration for each topic that may be trimmed.
    """

    run: RunConfig = RunConfig()
    log: LogConfig = LogConfig()
    verify: VerifyConfig = VerifyConfig()
    sources: dict[str, SourceConfig] = {}
    sinks: dict[str, SinkConfig] = {}
    retention: dict[str, str] = {}
    base: str = "."

    @property
    def folder(self) -> Path:
        """Return the run's folder."""
        return Path(self.base) / self.run.folder

    @property
    def log_path(self) -> Path:
        """Return the file of the embedded log."""
        return self.folder / "log.sqlite" if self.log.path is None else Path(self.base) / self.log.path

    def files(self, source: str) -> list[tuple[Path, Format]]:
        """Return the files of one source with their formats.

        Raises ConfigError if the source is not in the file, or the format of a file cannot be told.
        """
        where = f"[sources.{source}]"
        if source not in self.sources:
            got = f"none (there are: {', '.join(self.sources) or 'no sources'}{nearest(source, self.sources)})"
            raise ConfigError(where, wanted="path = ... in headrace.toml", got=got)
        entry = self.sources[source]
        files = []
        for text in entry.paths if entry.path is None else (entry.path,):
            path = Path(self.base) / text
            kind = entry.format or _SUFFIXES.get(path.suffix)
            if kind is None:
                raise ConfigError(where, wanted="format = 'parquet', 'csv' or 'jsonl'", got=path.name)
            files.append((path, kind))
        return files

    @property
    def retention_us(self) -> dict[str, int]:
        """Return how long the rows of each topic are kept, in microseconds; a topic that is not in it is kept whole."""
        return {topic: duration_us(f"[{_RETENTION}] {topic}", text) for topic, text in self.retention.items()}

    def sink(self, name: str) -> SinkConfig:
        """Return where one sink's predictions go; raise ConfigError if the file does not say it."""
        if name not in self.sinks:
            got = f"none (there are: {', '.join(self.sinks) or 'no sinks'}{nearest(name, self.sinks)})"
            raise ConfigError(f"[sinks.{name}]", wanted="kind = 'file' or 'webhook' in headrace.toml", got=got)
        return self.sinks[name]

    def address(self, sink: str, environment: Mapping[str, str] = os.environ) -> str:
        """Return a webhook's address, read from the environment if the file refers to it.

        Raises ConfigError, which does not show the address, if there is none or it is no http address.
        """
        url = self.sink(sink).url or ""
        origin = url if url.startswith(_ENVIRONMENT) else "another address"
        if url.startswith(_ENVIRONMENT):
            url = environment.get(url.removeprefix(_ENVIRONMENT), "")
        if not url.startswith(("http://", "https://")):
            got = origin if url else f"{origin}, which is not set"
            raise ConfigError(f"[sinks.{sink}] url", wanted="http(s)://... or env:NAME of one", got=got)
        return url


def load_config(path: Path) -> Config:
    """Read a headrace.toml.

    Raises ConfigError, with the table and the nearest name, for what it does not know or what does not fit.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(path.name, wanted="a TOML file", got=str(error)) from error
    _refuse_unknown(path.name, raw, (*_TABLES, *_NAMED_TABLES, _RETENTION))
    _refuse_unknown(f"{path.name} [{_RETENTION}]", raw.get(_RETENTION, {}), _TOPICS)
    for table, kind in _TABLES.items():
        _refuse_unknown(f"{path.name} [{table}]", raw.get(table, {}), kind.__struct_fields__)
    for table, kind in _NAMED_TABLES.items():
        _refuse_other_than_table(f"{path.name} [{table}]", raw.get(table, {}))
        for name, entry in raw.get(table, {}).items():
            _refuse_unknown(f"{path.name} [{table}.{name}]", entry, kind.__struct_fields__)
    try:
        config = msgspec.convert({**raw, "base": str(path.parent)}, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(path.name, wanted="values of the kinds that are documented", got=str(error)) from error
    _check(path.name, config)
    return config


def _check(where: str, config: Config) -> None:
    for topic, size_us in config.retention_us.items():
        if size_us <= 0:
            raise ConfigError(
                f"{where} [{_RETENTION}] {topic}", wanted="more than nothing", got=config.retention[topic]
            )
    for name, source in config.sources.items():
        if (source.path is None) == (not source.paths):
            got = "neither" if source.path is None else "both"
            raise ConfigError(f"{where} [sources.{name}]", wanted="path = ... or paths = [...]", got=got)
    for name, entry in config.sinks.items():
        needed, other = (entry.path, entry.url) if entry.kind == "file" else (entry.url, entry.path)
        if needed is None or other is not None:
            wanted = f"{'path' if entry.kind == 'file' else 'url'} = ... alone, for kind = {entry.kind!r}"
            got = "both" if needed is not None else "the other" if other is not None else "neither"
            raise ConfigError(f"{where} [sinks.{name}]", wanted=wanted, got=got)


def _refuse_unknown(where: str, raw: Any, known: tuple[str, ...]) -> None:
    _refuse_other_than_table(where, raw)
    for name in raw:
        if name not in known:
            raise ConfigError(where, wanted=f"one of {', '.join(known)}", got=name + nearest(name, known))


def _refuse_other_than_table(where: str, raw: Any) -> None:
    if not isinstance(raw, dict):
        raise ConfigError(where, wanted="a table", got=raw)
