"""drive: a pipeline in the hand of a test.

    d = drive(pipeline, start="2026-01-01T00:00Z")
    d.send(payments, Payment(...))
    d.advance("1min")
    d.crash()
    d.verify()
    assert d.features()["surge"] == 0.0

Nothing is imitated: the stages, tasks, frames and snapshots are those of a running system. Only the clock, the log,
the place for snapshots and the source of records are in memory.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar, final

import numpy as np
import pyarrow as pa

from headrace.core.errors import ConfigError, nearest
from headrace.core.events import Event, Prediction
from headrace.core.reasons import NAMES
from headrace.core.records import Batch, Verdict
from headrace.core.time import Duration, duration_us, instant_text, instant_us
from headrace.edge.ledger import Ledger
from headrace.features.streams import Stream
from headrace.run.deployment import EVENTS, Deployment
from headrace.run.pipeline import Pipeline
from headrace.run.taken import taken
from headrace.run.verification import verify
from headrace.stages.act import predictions_table
from headrace.store.control import ControlView, Version
from headrace.testing.comparison import first_difference
from headrace.testing.rig import Rig
from headrace.testing.sent import read_records

__all__ = ["Drive", "drive"]

E = TypeVar("E", bound=Event)
_REQUEST: Final = 0
_LABEL: Final = 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def drive(pipeline: Pipeline[Any], *, start: str | datetime, seed: int = 0) -> "Drive":
    """Return a running pipeline whose clock stands at `start`, an instant with its zone. See `Drive`.

    `seed` draws at which moment a crash comes, and which snapshots are kept; no result depends on it.

    Raises ConfigError if `start` is no instant or has no zone.
    """
    if not isinstance(pipeline, Pipeline):
        raise ConfigError("drive", wanted="a pipeline: hr.Pipeline(...)", got=repr(pipeline))
    return Drive(pipeline, start_us=_instant(start), seed=seed)


@final
class Drive:
    """A pipeline that is running live, on a clock that only `advance` moves. Made by `drive(...)`.

    What is sent arrives at the virtual now. A request is answered at once, with the newest version; what comes
    together in one `send` is answered together. No deadline passes, since no time does.

    The watermark of a source is moved by its records alone, as everywhere: a label's request that waits for its time
    to be over closes when a record of the answering source passes that time, or at `end()`, never because the clock
    was advanced. A version is published when a record arrives behind a multiple of `hr.Learn(every=...)`.

    >>> from datetime import timedelta
    >>> import headrace as hr
    >>> class Visit(hr.Event):
    ...     visit: str
    ...     page: str
    ...     at: datetime
    >>> visits = hr.source("visits", Visit, time=Visit.at, id=Visit.visit)
    >>> again = visits.label(visits, on="page", within="1h", otherwise=False)
    >>> vector = visits.vector("v", seen=visits.by(Visit.page).count("1h"))
    >>> pipeline = hr.Pipeline("again", features=vector, label=again, model=hr.models.Logistic())
    >>> d = drive(pipeline, start="2026-01-01T00:00Z")
    >>> d.send(visits, Visit(visit="1", page="/", at=d.now))
    >>> d.advance("1min")
    >>> d.send(visits, Visit(visit="2", page="/", at=d.now))
    >>> d.features(), d.reasons("1")
    ({'seen': 1.0}, {'seen': 'no_key'})
    """

    def __init__(self, pipeline: Pipeline[Any], *, start_us: int, seed: int) -> None:
        self._pipeline = pipeline
        self._start_us = start_us
        self._rig = Rig(pipeline, start_us=start_us, drawn=np.random.default_rng(seed))
        self._undisturbed: Rig | None = None

    def __repr__(self) -> str:
        """Return which pipeline it is, and the virtual now."""
        return f"<drive of {self._pipeline.name!r} at {instant_text(self._rig.clock.now_us())}>"

    @property
    def now(self) -> datetime:
        """Return the virtual now."""
        return _EPOCH + timedelta(microseconds=self._rig.clock.now_us())

    @property
    def deployment(self) -> Deployment:
        """Return the deployment, all of whose topics may be read (`headrace.run.taken`), with everything at rest."""
        self._rig.settle()
        return self._rig.deployment

    def send(self, stream: Stream[E], *records: E) -> None:
        """Let records of one source arrive now, in this order.

        They are judged as the lines of a file would be: a value that is missing, mistyped or out of range makes a
        record `rejected`; a second one of the same id is a `duplicate`; one behind the watermark is `late`; one too
        far ahead of now is `future`. See `ledger()`. The field that a source names as `arrived` is not looked at.

        Raises ConfigError if the pipeline does not read the source, if the source has ended, or if a record is of
        another class.
        """
        number = self._number_of(stream)
        for record in records:
            if not isinstance(record, stream.event):
                wanted = f"records of {stream.event.__name__}"
                raise ConfigError(f"send to {stream.name!r}", wanted=wanted, got=repr(record))
        self._rig.settle()
        if records:
            rows = read_records(self._rig.sent.sources[number], records)
            self._rig.sent.put(number, self._rig.clock.now_us(), rows)

    def end(self, *streams: Stream[Any]) -> None:
        """Let some sources say, now, that nothing more will come; all of them if none is named.

        Requests that wait for an ended source to answer are closed.
        """
        numbers = [self._number_of(stream) for stream in streams]
        if not streams:
            ended = self._rig.sent.ended
            numbers = [place for place, source in enumerate(self._rig.sent.sources) if source.name not in ended]
        for number in numbers:
            self._rig.settle()
            self._rig.sent.put(number, self._rig.clock.now_us(), None)

    def advance(self, duration: Duration) -> None:
        """Let everything come to rest, then move the clock on, by "1min" or a timedelta.

        Raises ConfigError if it is no duration.
        """
        size_us = duration_us("advance", duration)
        self._rig.settle()
        self._rig.clock.sleep_us(size_us)

    def crash(self, *, keep_snapshots: bool = True) -> None:
        """Throw away every task and all that it holds in memory, in the middle of its work, and start again.

        The log, what was sent and the snapshots outlive it, but for some snapshots, which are lost: so tasks start
        from different places. Without `keep_snapshots` all are lost, and every task starts from the beginning.
        """
        self._rig.crash(keep_snapshots=keep_snapshots)

    def verify(self) -> None:
        """Recompute everything from the log, and compare it with a run of the same records that nothing disturbed.

        Raises AssertionError, with the first differences, if a logged vector or score does not come out again; if the
        ledger does not balance, or differs from what [events] holds; or if crashes changed a record. Which version
        answered a request, and what is told of that (drift, alarms), is a recorded choice and may differ.
        """
        self._rig.settle()
        found = verify(self._rig.deployment)
        if found.differ:
            rows = [
                f"\n  [{one.topic}] {one.id!r} of {one.time}, {one.column}: "
                f"logged {one.logged}, recomputed {one.recomputed}"
                for one in found.first
            ]
            raise AssertionError(f"{found.differ} of {found.compared} rows do not come out again:{''.join(rows)}")
        self._verify_ledger()
        difference = first_difference(self._rig.deployment, self._again().deployment)
        if difference is not None:
            raise AssertionError(f"the same records give others where nothing is disturbed: {difference}")

    def features(self, id: str | None = None) -> dict[str, Any]:
        """Return the features of the newest request, or of the one with that id, by name, in the vector's order.

        A value that is missing is NaN, a category its hashed number, words a list of theirs. Raises ConfigError if
        there is no such request.
        """
        batch, row = self._vector(id)
        payload = batch.payloads[_REQUEST]
        place = int(np.count_nonzero(batch.stream[:row] == _REQUEST))
        found = self._pipeline.features.blocks().values(payload.slice(place, 1).to_pylist()[0])
        return {name: found[name] for name in self._pipeline.features.features}

    def reasons(self, id: str | None = None) -> dict[str, str]:
        """Return why each feature has its value, as `features` returns the values: "ok", "no_key", "expired", ..."""
        batch, row = self._vector(id)
        place = int(np.count_nonzero(batch.stream[:row] == _REQUEST))
        codes = batch.payloads[_REQUEST]["reasons"][place].as_py()
        found = dict(zip(self._names(), codes, strict=True))
        return {name: NAMES[found[name]] for name in self._pipeline.features.features}

    def predictions(self) -> list[Prediction]:
        """Return all answers as a sink would get them, the newest last."""
        rows = [
            predictions_table(batch, batch.rows_of(_REQUEST)).drop_columns(["at"]).to_pylist()
            for batch in self._taken("predictions")
        ]
        return [Prediction(**row) for part in rows for row in part]

    def labels(self) -> dict[str, float]:
        """Return the answers that came back, by the id of the request, in the order in which they became known.

        NaN stands for a request that closed without one (`otherwise=hr.DROP`).
        """
        found: dict[str, float] = {}
        for batch in self._taken("features"):
            ids = batch.id.take(pa.array(batch.rows_of(_LABEL))).to_pylist()
            found |= dict(zip(ids, batch.payloads[_LABEL]["value"].to_pylist(), strict=True))
        return found

    def versions(self) -> list[Version]:
        """Return the versions that were published, the newest last."""
        return self._control().versions

    def alarms(self) -> list[dict[str, Any]]:
        """Return the alarms of the pipeline's detectors, the newest last: detector, column, value, threshold, text."""
        return self._control().alarms

    def ledger(self) -> dict[str, dict[str, Any]]:
        """Return, by source, how many records were received, what became of them, and why some were rejected."""
        self._rig.settle()
        return self._rig.ingest.ledger.as_dict()

    def _number_of(self, stream: object) -> int:
        sources = self._pipeline.sources()
        names = [source.name for source in sources]
        wanted = f"a source of {self._pipeline.name!r} ({', '.join(names)})"
        if not isinstance(stream, Stream):
            raise ConfigError("send", wanted=wanted, got=repr(stream))
        if stream not in sources:
            raise ConfigError("send", wanted=wanted, got=f"{stream!r}{nearest(stream.name, names)}")
        if stream.name in self._rig.sent.ended:
            raise ConfigError("send", wanted="a source that has not ended", got=repr(stream))
        return sources.index(stream)

    def _names(self) -> tuple[str, ...]:
        columns = self._rig.deployment.columns()
        return columns.names

    def _taken(self, topic: str) -> Iterator[Batch]:
        self._rig.settle()
        return (piece.batch for piece in taken(self._rig.deployment.topic(topic)))

    def _control(self) -> ControlView:
        self._rig.settle()
        control = self._rig.deployment.control()
        control.follow()
        return control

    def _vector(self, id: str | None) -> tuple[Batch, int]:
        """Return the newest request, or the one of that id, as the batch and the row where it stands."""
        known: list[str] = []
        found: tuple[Batch, int] | None = None
        for batch in self._taken("features"):
            for row in batch.rows_of(_REQUEST).tolist():
                known.append(batch.id[row].as_py())
                if id is None or known[-1] == id:
                    found = batch, row
        if found is None:
            asking = self._pipeline.features.of.name
            counts = {name: count for name, count in self.ledger()[asking].items() if count}
            if not known:
                wanted = f"a request that can be used: send a record to {asking!r} first"
                raise ConfigError("drive", wanted=wanted, got=f"none ({counts or 'nothing was sent'})")
            fate = self._fate(str(id))
            got = f"{id}, which is {fate}" if fate else f"{id}{nearest(str(id), known)}"
            raise ConfigError("drive", wanted="the id of a request that was answered", got=got)
        return found

    def _fate(self, id: str) -> str:
        """Return what ingest said of the newest record of that id, nothing if none was sent."""
        found = ""
        for batch in self._taken(EVENTS):
            for row in np.flatnonzero(np.array(batch.id.to_pylist()) == id).tolist():
                found = Verdict(int(batch.verdict[row])).name.lower()
                if found == "rejected":
                    place = int(np.count_nonzero(batch.stream[:row] == batch.stream[row]))
                    found += f" ({batch.payloads[int(batch.stream[row])]['error'][place].as_py()})"
        return found

    def _verify_ledger(self) -> None:
        ledger, again = self._rig.ingest.ledger, Ledger(self._rig.sent.sources)
        for batch in self._taken(EVENTS):
            again.add(batch)
        if not ledger.balances():
            raise AssertionError(f"the ledger does not balance: {ledger.as_dict()}")
        if ledger.as_dict() != again.as_dict():
            raise AssertionError(f"the ledger of ingest is {ledger.as_dict()}, but [events] holds {again.as_dict()}")

    def _again(self) -> Rig:
        """Return a run of the same records at the same times without a crash or a snapshot, brought up to now."""
        if self._undisturbed is None:
            self._undisturbed = Rig(self._pipeline, start_us=self._start_us)
        rig, sent = self._undisturbed, self._rig.sent
        for shipment in sent.shipments[len(rig.sent.shipments) :]:
            rig.clock.sleep_us(shipment.arrival_us - rig.clock.now_us())
            rig.sent.put(shipment.number, shipment.arrival_us, shipment.rows)
            rig.settle()
        return rig


def _instant(start: str | datetime) -> int:
    wanted = "an instant with its zone, such as '2026-01-01T00:00Z'"
    try:
        moment = start if isinstance(start, datetime) else datetime.fromisoformat(start)
    except (TypeError, ValueError) as error:
        raise ConfigError("drive start", wanted=wanted, got=start) from error
    if moment.tzinfo is None:
        raise ConfigError("drive start", wanted=wanted, got=str(start))
    return instant_us(moment)
