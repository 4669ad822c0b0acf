"""Why a feature has the value it has: one code beside each value."""

from typing import Final

__all__ = ["CORRECTED", "EXPIRED", "MISSING_INPUT", "NAMES", "NO_KEY", "OK", "TRUNCATED"]

OK: Final = 0
"""The value is what the definition says."""
NO_KEY: Final = 1
"""No record with this key had come, or only such that were evicted and that no window can reach."""
EXPIRED: Final = 2
"""There were records with this key, none of them in the window."""
MISSING_INPUT: Final = 3
"""A field that the value needs is missing, or the arithmetic has no answer (0 / 0)."""
TRUNCATED: Final = 4
"""State is bounded: part of the window, or the key itself, is no longer kept."""
CORRECTED: Final = 5
"""A record of the window came after the watermark had closed it."""
NAMES: Final = ("ok", "no_key", "expired", "missing_input", "truncated", "corrected")
