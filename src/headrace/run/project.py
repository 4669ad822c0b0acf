"""A project: one Python file that declares a pipeline, and the headrace.toml that says where its records are."""

import sys
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

from headrace.core.config import Config, load_config
from headrace.core.errors import ConfigError, nearest
from headrace.run.clock import Clock, SystemClock
from headrace.run.deployment import Deployment
from headrace.store.blobs import FolderBlobs
from headrace.topics.contract import Log
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
    def load(
        cls, file: Path, config: Path | None = None, *, name: str | None = None, vector: str | None = None
    ) -> "Project":
        """Read the file that declares the pipeline, and its headrace.toml (beside it, unless named).

        `name` is that of the pipeline, `vector` that of its features; several pipelines of one vector answer alike for
        it, and the first is taken.

        Raises ConfigError if there is no such pipeline, several and no name, or no headrace.toml.
        """
        projects = cls.load_all(file, config)
        if name is not None:
            projects = [project for project in projects if project.pipeline.name == name]
        if vector is not None:
            known = list(dict.fromkeys(project.pipeline.features.name for project in projects))
            projects = [project for project in projects if project.pipeline.features.name == vector]
            if not projects:
                raise ConfigError("vector", wanted=f"one of {', '.join(known)}", got=vector + nearest(vector, known))
            alike = {project.pipeline.features.fingerprint for project in projects}
            projects = projects[:1] if len(alike) == 1 else projects
        if len(projects) != 1:
            wanted = f"one pipeline{f' named {name!r}' if name else ''} in {file.name} (choose with --pipeline)"
            raise ConfigError("pipeline file", wanted=wanted, got=f"{len(projects)}")
        return projects[0]

    @classmethod
    def load_all(cls, file: Path, config: Path | None = None) -> "list[Project]":
        """Read every pipeline that a file declares, in its order, all with one headrace.toml.

        Raises ConfigError if there is no file, or no headrace.toml.
        """
        pipelines = _pipelines(file)
        place = config or file.parent / CONFIG
        if pipelines and not place.exists():
            raise ConfigError("config", wanted=f"a file {CONFIG} beside {file.name}, or --config FILE", got="none")
        read = load_config(place) if pipelines else Config()
        return [cls(pipeline, read) for pipeline in pipelines]

    @property
    def folder(self) -> Path:
        """Return the folder that holds the log, the snapshots and the results."""
        return self.config.folder

    def deployment(self, *, clock: Clock | None = None, live: bool = False, log: Log | None = None) -> Deployment:
        """Open the log, unless it is given, and return the deployment. Close its log when done."""
        return Deployment(
            pipeline=self.pipeline,
            log=log or EmbeddedLog(self.config.log_path),
            blobs=lambda name: FolderBlobs(self.folder / name),
            clock=clock or SystemClock(),
            live=live,
            verify_share=self.config.verify.share,
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
