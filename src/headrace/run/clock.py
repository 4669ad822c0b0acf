"""The only clock of the project. Everything else is handed a function, or the time that a record carries."""

import time
from abc import ABC, abstractmethod
from typing import final

__all__ = ["Clock", "SystemClock", "VirtualClock"]


class Clock(ABC):
    """Time for the worker: what the wall shows, what never goes back, and a way to wait."""

    @abstractmethod
    def now_us(self) -> int:
        """Return the wall clock, microseconds UTC."""

    @abstractmethod
    def elapsed_us(self) -> int:
        """Return microseconds since some moment; never goes back."""

    @abstractmethod
    def sleep_us(self, duration_us: int) -> None:
        """Wait."""


@final
class SystemClock(Clock):
    """The machine's own clock, read once: from then on it runs as steadily as the monotonic one.

    Somebody who sets the machine's clock while a worker runs would stall what waits for a time, and make all that is
    answered late. What is slewed slowly, as by NTP, is followed.
    """

    def __init__(self) -> None:
        self._ahead_us = time.time_ns() // 1_000 - self.elapsed_us()

    def now_us(self) -> int:
        """Return the wall clock, microseconds UTC."""
        return self._ahead_us + self.elapsed_us()

    def elapsed_us(self) -> int:
        """Return microseconds of the monotonic clock."""
        return time.monotonic_ns() // 1_000

    def sleep_us(self, duration_us: int) -> None:
        """Wait that long."""
        time.sleep(duration_us / 1e6)


@final
class VirtualClock(Clock):
    """A clock that moves only when told to: for tests.

    >>> clock = VirtualClock(start_us=5)
    >>> clock.sleep_us(3)
    >>> clock.now_us()
    8
    """

    def __init__(self, *, start_us: int) -> None:
        self._now_us = start_us

    def now_us(self) -> int:
        """Return the time it was moved to."""
        return self._now_us

    def elapsed_us(self) -> int:
        """Return the same as `now_us`."""
        return self._now_us

    def sleep_us(self, duration_us: int) -> None:
        """Move the clock."""
        self._now_us += duration_us
