"""How good answers were: metrics, reports, and test-then-train evaluation on arrays."""

from headrace.evaluate.prequential import prequential
from headrace.evaluate.report import Report

__all__ = ["Report", "prequential"]
