"""Detectors of drift, one per file; each is a frozen setting, with its state apart."""

from headrace.drift.adwin import ADWIN
from headrace.drift.psi import PSI

__all__ = ["ADWIN", "PSI"]
