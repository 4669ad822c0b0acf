"""headrace.toml: where records come from and go to. One file per environment; the definition has no address.

    [run]
    folder = ".headrace"

    [sources.departures]
    path = "departures.parquet"

    [sinks.holds]
    kind = "file"
    path = "holds"
"""

import os
import tomllib
from pathlib import Path
from typing import Any, Literal, final

import msgspec

from headrace.core.errors import ConfigError, nearest

__all__ = ["Config", "RunConfig", "SinkConfig", "SourceConfig", "load_config"]

Format = Literal["parquet", "csv", "jsonl"]
_SUFFIXES: dict[str, Format] = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}


@final
class SourceConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The files of one source, in the order in which they are numbered."""

    path: str | None = None
    paths: tuple[str, ...] = ()
    format: Format | None = None


@final
class SinkConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A folder of JSON lines, or the address that a webhook posts to ("env:NAME" reads it from the environment)."""

    kind: Literal["file", "webhook"]
    path: str | None = None
    url: str | None = None


@final
class RunConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The folder that holds the log, the snapshots and the results."""

    folder: str = ".headrace"


@final
class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one headrace.toml says. Paths are relative to the file."""

    run: RunConfig = RunConfig()
    sources: dict[str, SourceConfig] = {}
    sinks: dict[str, SinkConfig] = {}
    base: str = "."

    @property
    def folder(self) -> Path:
        """Return the run's folder."""
        return Path(self.base) / self.run.folder

    def files(self, source: str) -> list[tuple[Path, Format]]:
        """Return the files of one source with their formats.

        Raises ConfigError if the source is not in the file, names no file, or its format cannot be told.
        """
        where = f"[sources.{source}]"
        if source not in self.sources:
            got = f"none (there are: {', '.join(self.sources) or 'no sources'}{nearest(source, self.sources)})"
            raise ConfigError(where, wanted="path = ... in headrace.toml", got=got)
        entry = self.sources[source]
        paths = [entry.path] if entry.path is not None else list(entry.paths)
        if not paths:
            raise ConfigError(where, wanted="path = ... or paths = [...]", got="neither")
        files = []
        for text in paths:
            path = Path(self.base) / text
            kind = entry.format or _SUFFIXES.get(path.suffix)
            if kind is None:
                raise ConfigError(where, wanted="format = 'parquet', 'csv' or 'jsonl'", got=path.name)
            files.append((path, kind))
        return files

    def address(self, sink: str) -> str:
        """Return a webhook's address, read from the environment if it says so."""
        url = self.sinks[sink].url or ""
        if url.startswith("env:"):
            url = os.environ.get(url[4:], "")
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"[sinks.{sink}] url", wanted="http(s)://... or env:NAME of one", got=url or "nothing")
        return url


def load_config(path: Path) -> Config:
    """Read a headrace.toml.

    Raises ConfigError, with the place and the nearest name, for what it does not know.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(path.name, wanted="a TOML file", got=str(error)) from error
    _refuse_unknown(path.name, raw, Config.__struct_fields__[:-1])
    try:
        return msgspec.convert({**raw, "base": str(path.parent)}, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(path.name, wanted="what the documentation lists", got=str(error)) from error


def _refuse_unknown(where: str, raw: dict[str, Any], known: tuple[str, ...]) -> None:
    for name in raw:
        if name not in known:
            raise ConfigError(where, wanted=f"one of the tables {', '.join(known)}", got=name + nearest(name, known))
