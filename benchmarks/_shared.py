"""Published data for measuring: it lies beside the repository, in `shared/data`, and is never a part of it."""

import sys
from pathlib import Path
from typing import Final

__all__ = ["ABSENT", "shared_data"]

ABSENT: Final = 3
"""The exit code of a benchmark whose data is not there: the surroundings are to be mended, not the code."""
_SHARED: Final = Path(__file__).parent.parent.parent / "shared" / "data"


def shared_data(*names: str) -> tuple[Path, ...]:
    """Return the paths of some files below `../shared/data`; end with a clear line if one is missing."""
    paths = tuple(_SHARED / name for name in names)
    for name, path in zip(names, paths, strict=True):
        if not path.is_file():
            print(f"this benchmark measures on ../shared/data/{name}, which is not there", file=sys.stderr)
            raise SystemExit(ABSENT)
    return paths
