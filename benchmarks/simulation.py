"""The proof of the protocol: seeds of the simulation a minute, and how many seeds see each planted mistake.

`--seeds` runs that many (20,000 for a night's doubt); every twentieth runs the whole pipeline, the others the relay.
`bad` counts the runs that end wrong, or refuse to go on without a reason; `honest` are two faults that must do
nothing. `mutants` has, for each mistake, the share of its seeds that find it, and `missed` those that no seed finds.
"""

import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, Final

from headrace.testing.simulation.campaign import explain, run_seeds
from headrace.testing.simulation.faults import HONEST_FAULTS
from headrace.testing.simulation.mutants import MUTANTS
from headrace.testing.simulation.pipelines import Pipelines

NOTES: Final = """
Every frame is encoded, decoded and checked, every snapshot packed and unpacked: what is simulated is the code that
runs in a worker, less the disk and the network. A relay's seed takes about 40 ms, a whole pipeline's 200 ms. A share
says how likely one drawn run is to find a mistake; the rare ones (an acknowledgement without order, a shadow's rows)
need two faults in a row at one place.
"""

_CHUNK: Final = 50


def run(*, quick: bool, seeds: int = 2_000, mutant_seeds: int = 200) -> dict[str, Any]:
    """Return the figures. `mutant_seeds` is how many seeds try each mistake (a fifth for the whole pipeline)."""
    if quick:
        seeds, mutant_seeds = 200, 40
    with ProcessPoolExecutor(len(os.sched_getaffinity(0)), mp_context=get_context("spawn")) as pool:
        list(
            pool.map(run_seeds, [0] * 2 * (os.cpu_count() or 1), [1] * 2 * (os.cpu_count() or 1))
        )  # Processes are up, kernels warm.
        started = time.monotonic()
        tallies = list(pool.map(run_seeds, range(0, seeds, _CHUNK), _counts(seeds)))
        minutes = (time.monotonic() - started) / 60
        honest = {
            name: sum(len(tally.bad) + len(tally.refused) for tally in pool.map(run_seeds, *_all_of(seeds, faults)))
            for name, faults in HONEST_FAULTS.items()
        }
        shares = dict(pool.map(_share, range(len(MUTANTS)), [mutant_seeds] * len(MUTANTS)))
    wrong = sorted(seed for tally in tallies for seed in {*tally.bad, *tally.refused})
    figures = {
        "seeds": sum(tally.seeds for tally in tallies),
        "seeds_per_minute": round(seeds / minutes),
        "crashes": sum(tally.crashes for tally in tallies),
        "bad": len(wrong),
        "honest": honest,
        "mutants": shares,
        "missed": [name for name, share in shares.items() if share == 0],
    }
    return {**figures, "shortest": explain(wrong[0])} if wrong else figures


def _counts(seeds: int) -> list[int]:
    return [min(_CHUNK, seeds - first) for first in range(0, seeds, _CHUNK)]


def _all_of(seeds: int, faults: Any) -> tuple[list[int], list[int], list[Any]]:
    """Return the arguments of `run_seeds` for a quarter of the seeds, with these faults."""
    firsts = list(range(0, max(seeds // 4, _CHUNK), _CHUNK))
    return firsts, [_CHUNK] * len(firsts), [faults] * len(firsts)


def _share(number: int, seeds: int) -> tuple[str, float]:
    mutant = MUTANTS[number]
    count = max(seeds // 5, 10) if mutant.world is Pipelines else seeds
    found = sum(mutant.found(mutant.run(seed)) for seed in range(count))
    return f"{mutant.number} {mutant.name}", round(found / count, 4)
