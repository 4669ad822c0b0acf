"""The first record of every topic: which streams it carries, who writes it, and under which numbers."""

import base64
import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final, final

import pyarrow as pa

from headrace.core.errors import StateError
from headrace.core.records import Kind, StreamSchema

__all__ = ["ENGINE", "Manifest"]

ENGINE: Final = 1
"""The engine number: raised whenever any output byte of any stage may change."""


@final
@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a topic is: fixed when it is created, and the same for all of its partitions.

    `producers` are the names of the tasks whose frames are taken; a frame names one by its number in this list.
    `digested` says that every producer is a deterministic function of its input, so that frames carry a running
    digest that readers check. `generation` is "" for [events], which belongs to none.
    """

    topic: str
    streams: tuple[StreamSchema, ...]
    producers: tuple[str, ...]
    generation: str = ""
    incarnation: int = 0
    digested: bool = False
    engine: int = field(default=ENGINE)

    @cached_property
    def fingerprint(self) -> int:
        """Return 64 bits that change when the streams or their columns do."""
        text = json.dumps(self._streams_json(), sort_keys=True)
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")

    def number_of(self, stream: str) -> int:
        """Return a stream's number; StateError if the topic does not carry it."""
        names = [known.name for known in self.streams]
        if stream not in names:
            raise StateError(f"topic {self.topic!r}", wanted=f"one of its streams ({', '.join(names)})", got=stream)
        return names.index(stream)

    def check_same(self, other: "Manifest") -> None:
        """Raise StateError unless two manifests agree in all but the incarnation, which is the log's to choose."""
        if replace(self, incarnation=0) != replace(other, incarnation=0):
            raise StateError(
                f"topic {self.topic!r}",
                wanted="the manifest with which it was made (another definition is another generation)",
                got=other.to_json().decode()[:400],
            )

    def to_json(self) -> bytes:
        """Return the manifest as it stands in the topic."""
        return json.dumps(
            {
                "topic": self.topic,
                "streams": self._streams_json(),
                "producers": self.producers,
                "generation": self.generation,
                "incarnation": self.incarnation,
                "digested": self.digested,
                "engine": self.engine,
            },
            sort_keys=True,
        ).encode()

    @classmethod
    def from_json(cls, text: bytes) -> "Manifest":
        """Return the manifest that `to_json` wrote."""
        raw = json.loads(text)
        streams = tuple(
            StreamSchema(
                entry["name"],
                Kind(entry["kind"]),
                pa.ipc.read_schema(pa.py_buffer(base64.b64decode(entry["schema"]))),
            )
            for entry in raw["streams"]
        )
        return cls(
            topic=raw["topic"],
            streams=streams,
            producers=tuple(raw["producers"]),
            generation=raw["generation"],
            incarnation=raw["incarnation"],
            digested=raw["digested"],
            engine=raw["engine"],
        )

    def _streams_json(self) -> list[dict[str, object]]:
        return [
            {
                "name": stream.name,
                "kind": int(stream.kind),
                "schema": base64.b64encode(stream.schema.serialize().to_pybytes()).decode(),
            }
            for stream in self.streams
        ]
