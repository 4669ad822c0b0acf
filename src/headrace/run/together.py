"""Several pipelines over one log in one worker: what they share is placed once.

They share [events] with all that brings records in, and, where their vectors, labels and paces are the same,
`featurize` and [features]. Each has a model, a [control] and answers of its own, and they are what each alone gives.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, final

from headrace.core.errors import ConfigError
from headrace.core.source_settings import SourceSettings
from headrace.run.deployment import EVENTS, Deployment
from headrace.run.worker import Placed, Upkeep
from headrace.stages.act import Outlet
from headrace.stages.ingest import Ingest

__all__ = ["Upkeeps", "added_by", "place_together"]

_INGEST: Final = "ingest"
_FEATURIZE: Final = "featurize"


def added_by(deployments: Sequence[Deployment]) -> dict[str, SourceSettings]:
    """Return the sources that have an ingest task of their own, by name: [events] grows by those it does not have.

    Raises ConfigError for two pipelines that say different things of one source.
    """
    said: dict[str, SourceSettings] = {}
    for deployment in deployments:
        deployment.topic(EVENTS)
        for source in deployment.pipeline.source_settings():
            if said.setdefault(source.name, source) != source:
                wanted = "one definition in all pipelines that run together"
                got = f"another in {deployment.pipeline.name!r}"
                raise ConfigError(f"source {source.name!r}", wanted=wanted, got=got)
    return {source.name: source for deployment in deployments for source in deployment.added_sources()}


def place_together(
    deployments: Sequence[Deployment],
    stages: Sequence[str],
    *,
    ingest: Ingest | None = None,
    added: Mapping[str, Ingest] | None = None,
    outlets: Callable[[Deployment], Sequence[Outlet]] = lambda _: (),
) -> list[Placed]:
    """Return the tasks of some stages of every pipeline, down each pipeline; of those that are shared the first only.

    `ingest` pulls the records of the first one's `merged_sources()`, each of `added` those of one of `added_by`.

    Raises ConfigError for two pipelines of one name, or for none.
    """
    names = [deployment.pipeline.name for deployment in deployments]
    if not names or len(set(names)) < len(names):
        raise ConfigError("pipelines", wanted="one or more, each of a name of its own", got=", ".join(names) or "none")
    placed: list[Placed] = []
    seen: set[tuple[str, str]] = set()
    for number, deployment in enumerate(deployments):
        vectors = (_FEATURIZE, deployment.generation_of(_FEATURIZE))
        left_out = {_FEATURIZE} if vectors in seen else set()
        mine = deployment.place(
            [stage for stage in stages if stage not in left_out],
            ingest=ingest if number == 0 else None,
            added=added,
            outlets=lambda deployment=deployment: outlets(deployment),  # type: ignore[misc]
        )
        for place in mine:
            task = (place.task.name, deployment.generation_of(place.task.name))
            if task not in seen:
                seen.add(task)
                placed.append(place)
    return placed


@final
class Upkeeps(Upkeep):
    """What a worker does for the log on behalf of several pipelines."""

    def __init__(self, each: Sequence[Upkeep]) -> None:
        self._each = tuple(each)

    def look(self) -> None:
        """Look at the snapshots of each."""
        for one in self._each:
            one.look()

    def trim(self) -> None:
        """Forget what nobody needs."""
        for one in self._each:
            one.trim()
