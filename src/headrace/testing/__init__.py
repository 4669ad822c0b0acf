"""For tests, yours too: a pipeline run by its real stages, on a virtual clock, over a log in memory."""

from headrace.testing.drive import Drive, drive

__all__ = ["Drive", "drive"]
