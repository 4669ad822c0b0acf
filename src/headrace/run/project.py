"""A project: one Python file that declares a pipeline, and the headrace.toml that says where its records are."""

import sys
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from headrace.core.config import Config, load_config
from headrace.core.errors import ConfigError
from headrace.run.clock import Clock, SystemClock
from headrace.run.deployment import Deployment
from headrace.store.blobs import FolderBlobs
from headrace.topics.embedded import EmbeddedLog

if TYPE_CHECKING:
    from headrace.run.pipeline import Pipeline

__all__ = ["Project"]

CONFIG: Final = "headrace.toml"


@final
@dataclass(frozen=True, slots=True)
class Project:
    """A pipeline and its surroundings."""

    pipeline: "Pipeline[Any]"
    config: Config

    @classmethod
    def load(cls, file: Path, config: Path | None = None, *, name: str | None = None) -> "Project":
        """Read the file that declares the pipeline, and its headrace.toml (beside it, unless named).

        Raises ConfigError if there is no pipeline, several and no name, or no headrace.toml.
        """
        pipelines = _pipelines(file)
        if name is not None:
            pipelines = [pipeline for pipeline in pipelines if pipeline.name == name]
        if len(pipelines) != 1:
            wanted = f"one pipeline{f' named {name!r}' if name else ''} in {file.name} (choose with --pipeline)"
            raise ConfigError("pipeline file", wanted=wanted, got=f"{len(pipelines)}")
        place = config or file.parent / CONFIG
        if not place.exists():
            raise ConfigError("config", wanted=f"a file {CONFIG} beside {file.name}, or --config FILE", got="none")
        return cls(pipelines[0], load_config(place))

    @property
    def folder(self) -> Path:
        """Return the folder that holds the log, the snapshots and the results."""
        return self.config.folder

    def deployment(self, *, clock: Clock | None = None, live: bool = False) -> Deployment:
        """Open the log and return the deployment. Close its log when done."""
        log = EmbeddedLog(self.config.log_path)
        return Deployment(
            pipeline=self.pipeline,
            log=log,
            blobs=lambda name: FolderBlobs(self.folder / name),
            clock=clock or SystemClock(),
            live=live,
        )


def _pipelines(file: Path) -> "list[Pipeline[Any]]":
    from headrace.run.pipeline import Pipeline  # noqa: PLC0415 - the user's file is imported first, errors at its lines

    if not file.exists():
        raise ConfigError("pipeline file", wanted="a Python file that declares a hr.Pipeline", got=str(file))
    spec = spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise ConfigError("pipeline file", wanted="a Python file that declares a hr.Pipeline", got=str(file))
    module = module_from_spec(spec)
    sys.modules[file.stem] = module  # Annotations of event classes are resolved through here.
    sys.path.insert(0, str(file.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return [value for value in vars(module).values() if isinstance(value, Pipeline)]
