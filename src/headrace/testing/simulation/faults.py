"""What may go wrong in a simulated run, and how often: shares of the scheduler's steps, or yes and no."""

from dataclasses import dataclass, replace
from typing import Final, final

__all__ = ["ALL_FAULTS", "HONEST_FAULTS", "NO_FAULTS", "Faults"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """The faults of one run. The first group needs no excuse: a run must come out right under any of them.

    crash: a process dies. owners: how many processes may run one task at a time. lose, double, late: what happens to a
    frame on its way (late: it lands after its sender died). reorder: a frame overtakes the one before it. power: the
    machine loses what was not forced to disk, in all topics at once. compact: a source drops a record that nobody may
    need. choose: what a stage sees on the side changes. stall: a source answers an empty poll though it has more.
    disk: a snapshot cannot be written, and its process dies. trim: a topic is trimmed up to a safe cut.

    stranger: somebody who is not listed writes to a topic. build: some processes run code of another engine number.

    The second group must be refused, loudly. lose_suffix: a log loses what it had acknowledged and forced.
    recreate: a topic is deleted and made anew. empty: the snapshots of a task are lost, maybe after a trim.
    """

    crash: float = 0.03
    owners: int = 3
    lose: float = 0.04
    double: float = 0.04
    late: float = 0.5
    reorder: float = 0.05
    power: float = 0.004
    compact: float = 0.02
    choose: float = 0.05
    stall: float = 0.1
    disk: float = 0.02
    trim: float = 0.02
    stranger: float = 0.01
    build: float = 0.0
    lose_suffix: float = 0.0
    recreate: float = 0.0
    empty: float = 0.0


ALL_FAULTS: Final = Faults()
NO_FAULTS: Final = Faults(
    crash=0, lose=0, double=0, late=0, reorder=0, power=0, compact=0, choose=0, stall=0, disk=0, trim=0, stranger=0
)
HONEST_FAULTS: Final = {
    "a source compacted between attempts": replace(NO_FAULTS, crash=0.05, compact=0.2),
    "a version that changes between attempts": replace(NO_FAULTS, crash=0.05, choose=0.3),
}
"""Two that are nobody's mistake, and must do nothing."""
