"""Functions of one record's numbers and texts, as nodes: log1p, clip, lower, contains.

A number for which a function is not defined (`log` of 0) gives no value; so does a result that is not finite. Where
the declared range of a field rules that out (`ge=0` below `log1p`), the result is as sure as its argument.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, final

from headrace.core.expressions import NUMBERS, Expression, Kind, Unary, check_kind
from headrace.core.expressions import Literal as Constant

__all__ = ["Lower", "NumberFunction", "Numeric", "TextLength", "TextTest"]

NumberFunction: TypeAlias = Literal[
    "abs", "ceil", "clip", "exp", "floor", "log", "log1p", "maximum", "minimum", "power", "round", "sqrt"
]
_LARGEST_EXPONENT: Final = 709.0
_KEEP_UNIT: Final = ("abs", "ceil", "clip", "floor", "maximum", "minimum", "round")


@final
@dataclass(frozen=True, eq=False, repr=False)
class Numeric(Expression):
    """A function of numbers; missing where an argument is, where it is not defined, and where it is not finite."""

    function: NumberFunction
    operands: tuple[Expression, ...]

    def __post_init__(self) -> None:
        """Raise ConfigError unless every operand is a number."""
        for operand in self.operands:
            check_kind(self.canonical, operand, NUMBERS)

    @property
    def kind(self) -> Kind:
        """Return number."""
        return "number"

    @property
    def unit(self) -> str:
        """Return the unit of the first operand, where the function keeps it."""
        return self.operands[0].unit if self.function in _KEEP_UNIT else ""

    @property
    def children(self) -> tuple[Expression, ...]:
        """Return the operands."""
        return self.operands

    @property
    def missing(self) -> bool:
        """Return whether an operand may be missing, or lie where the function is not defined."""
        return any(operand.missing for operand in self.operands) or not self._defined

    @property
    def bounds(self) -> tuple[float, float]:
        """Return what the function makes of the operand's bounds."""
        low, high = self.operands[0].bounds
        others = [operand.bounds for operand in self.operands[1:]]
        match self.function:
            case "abs":
                return max(low, -high, 0.0), max(abs(low), abs(high))
            case "clip":
                (least, _), (_, most) = others
                return min(max(low, least), most), max(min(high, most), least)
            case "minimum":
                return min(low, others[0][0]), min(high, others[0][1])
            case "maximum":
                return max(low, others[0][0]), max(high, others[0][1])
            case "exp" | "sqrt":
                return 0.0, math.inf
            case "log1p":
                return (0.0 if low >= 0.0 else -math.inf), math.inf
            case "floor" | "ceil":
                return low - 1.0, high + 1.0
            case _:
                return super().bounds

    @property
    def canonical(self) -> str:
        """Return the call."""
        return f"hr.{self.function}({', '.join(operand.canonical for operand in self.operands)})"

    @property
    def _defined(self) -> bool:
        """Return whether the function is defined wherever the first operand may lie."""
        low, high = self.operands[0].bounds
        match self.function:
            case "log":
                return low > 0.0
            case "log1p":
                return low > -1.0
            case "sqrt":
                return low >= 0.0
            case "exp":
                return high <= _LARGEST_EXPONENT
            case "power":
                exponent = self.operands[1]
                whole = isinstance(exponent, Constant) and float(exponent.bounds[0]).is_integer()
                return exponent.bounds[0] >= 0.0 and (whole or low >= 0.0)
            case _:
                return True


@final
@dataclass(frozen=True, eq=False, repr=False)
class Lower(Unary):
    """A text in lower case."""

    def __post_init__(self) -> None:
        """Raise ConfigError unless the operand is a text."""
        check_kind(self.canonical, self.operand, ("text",))

    @property
    def kind(self) -> Kind:
        """Return text."""
        return "text"

    @property
    def canonical(self) -> str:
        """Return the call."""
        return f"hr.lower({self.operand.canonical})"


@final
@dataclass(frozen=True, eq=False, repr=False)
class TextLength(Unary):
    """How many characters (code points) a text has."""

    def __post_init__(self) -> None:
        """Raise ConfigError unless the operand is a text."""
        check_kind(self.canonical, self.operand, ("text",))

    @property
    def kind(self) -> Kind:
        """Return number."""
        return "number"

    @property
    def bounds(self) -> tuple[float, float]:
        """Return 0 and no end."""
        return 0.0, math.inf

    @property
    def canonical(self) -> str:
        """Return the call."""
        return f"hr.length({self.operand.canonical})"


@final
@dataclass(frozen=True, eq=False, repr=False)
class TextTest(Unary):
    """Whether a text begins with another, or has it inside; capitals count."""

    function: Literal["starts_with", "contains"]
    part: str

    def __post_init__(self) -> None:
        """Raise ConfigError unless the operand is a text."""
        check_kind(self.canonical, self.operand, ("text",))

    @property
    def kind(self) -> Kind:
        """Return bool."""
        return "bool"

    @property
    def canonical(self) -> str:
        """Return the call."""
        return f"hr.{self.function}({self.operand.canonical}, {self.part!r})"
