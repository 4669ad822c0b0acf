"""Functions of whole columns of numbers: NaN in, NaN out; NaN too where a function is not defined.

What is rounded correctly everywhere is NumPy's; everything else is our own, and so the same on every machine.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from headrace.core.calendar import Side
from headrace.core.records import F8
from headrace.core.scalars import NumberFunction
from headrace.kernels import scalars as kernel

__all__ = ["number_function", "on_circle"]

_OWN: Final = {"exp": kernel.exp_each, "log": kernel.log_each, "log1p": kernel.log1p_each}


def number_function(function: NumberFunction, operands: Sequence[F8]) -> F8:
    """Return a function of columns, row by row. operands: each f8[n].

    >>> number_function("clip", [np.array([-1.0, 0.5, 9.0]), np.zeros(3), np.ones(3)]).tolist()
    [0.0, 0.5, 1.0]
    """
    x = np.ascontiguousarray(operands[0])
    found = np.empty(len(x))
    with np.errstate(invalid="ignore", over="ignore", under="ignore"):
        match function:
            case "exp" | "log" | "log1p":
                _OWN[function](x, found)
            case "power":
                kernel.power_each(x, np.ascontiguousarray(operands[1]), found)
            case "abs":
                found = np.abs(x)
            case "sqrt":
                found = np.sqrt(x)
            case "floor":
                found = np.floor(x)
            case "ceil":
                found = np.ceil(x)
            case "round":
                scale = _POWERS_OF_TEN[operands[1].astype(np.int64)]
                found = np.rint(x * scale) / scale
            case "minimum":
                found = np.minimum(x, operands[1])
            case "maximum":
                found = np.maximum(x, operands[1])
            case "clip":
                found = np.minimum(np.maximum(x, operands[1]), operands[2])
    return found


_POWERS_OF_TEN: Final = np.array([float(10**digits) for digits in range(16)])
"""Each is a float64 of its own."""


def on_circle(x: F8, period: float, side: Side) -> F8:
    """Return sine or cosine of where each number stands in a period. x: f8[n], NaN where there is none.

    >>> on_circle(np.array([0.0, 6.0, 12.0, -6.0, 30.0]), 24.0, "sin").tolist()
    [0.0, 1.0, 0.0, -1.0, 1.0]
    """
    found = np.empty(len(x))
    quarter = 0.0 if side == "sin" else 1.0
    with np.errstate(invalid="ignore"):
        kernel.circle_each(np.ascontiguousarray(np.mod(x, period)), period, quarter, found)
    return found
