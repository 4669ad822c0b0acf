"""Why a record cannot be used: one word each, as it stands in [events], in the ledger and in every report."""

from typing import Final

__all__ = [
    "EMPTY_FILE",
    "MALFORMED",
    "MISSING",
    "MISTYPED",
    "NOT_A_CHOICE",
    "NOT_FINITE",
    "OUT_OF_RANGE",
    "REASONS",
    "TOO_LARGE",
    "TOO_MANY_PRODUCERS",
    "UNREADABLE_FILE",
    "USABLE",
]

USABLE: Final = ""
MISSING: Final = "missing"
"""A field that may not be null is null or absent, and has no default."""
MISTYPED: Final = "mistyped"
"""A field holds what cannot be read as its type."""
OUT_OF_RANGE: Final = "out_of_range"
"""A number lies outside of the declared range, or a time too far from 1970 to be computed with."""
NOT_FINITE: Final = "not_finite"
"""A number is infinite."""
NOT_A_CHOICE: Final = "not_a_choice"
"""A category holds a text that is not among its choices."""
MALFORMED: Final = "malformed"
"""A line cannot be taken apart into fields (cut, nested too deep), or two columns have the name of one field."""
UNREADABLE_FILE: Final = "unreadable_file"
"""A Parquet file cannot be opened or decoded; its rows are unknown."""
EMPTY_FILE: Final = "empty_file"
"""A file holds no byte, or a file of lines nothing but empty ones."""
TOO_LARGE: Final = "too_large"
"""One record is larger than a record may be."""
TOO_MANY_PRODUCERS: Final = "too_many_producers"
"""Its producer is new, and as many others are known as the source may have. The record stands in its own stream."""
REASONS: Final = (
    USABLE,
    MISSING,
    MISTYPED,
    OUT_OF_RANGE,
    NOT_FINITE,
    NOT_A_CHOICE,
    MALFORMED,
    UNREADABLE_FILE,
    EMPTY_FILE,
    TOO_LARGE,
    TOO_MANY_PRODUCERS,
)
"""Every reason; a reason's place is its code in arrays. `USABLE` stands first."""
