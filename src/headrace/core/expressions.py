"""Expressions: columns of values, and what is computed from them. They describe; nothing here computes.

Every node is frozen, walks by plain attributes, prints as the code that makes it, and has a canonical text from
which fingerprints are made. Python's own operators on values (`and`, `in`, `if`, chained comparison, methods,
f-strings) would silently mean something else on a column, so each raises and names the replacement.

Kinds: "number" (integers too), "bool", "text" (a `Literal` of texts too), "time", "category", which is the id that
`hr.category` or `hr.cross` hashed something to: a feature, of which nothing more can be computed; "tokens", which
are the ids of a text's words, likewise; "numbers",
which is a fixed number of numbers in each record; and "several", which is no column but an ordered few of them under
one name. A vector spreads the last two to features of their own.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn, TypeAlias, final
from typing import Literal as OneOf

from headrace.core.checks import is_whole
from headrace.core.errors import ConfigError, nearest
from headrace.core.instead import instead_of

__all__ = [
    "NUMBERS",
    "Arithmetic",
    "Category",
    "Comparison",
    "Cross",
    "Elapsed",
    "Element",
    "Expression",
    "FieldColumn",
    "Fill",
    "IsIn",
    "IsMissing",
    "Kind",
    "Literal",
    "Logical",
    "Negate",
    "Not",
    "Scalar",
    "Several",
    "Unary",
    "When",
    "check_bits",
    "check_kind",
    "column_of",
    "expression_of",
]

Kind: TypeAlias = OneOf["number", "bool", "text", "category", "tokens", "time", "numbers", "several"]
Scalar: TypeAlias = float | bool | str | None
NUMBERS: Final = ("number", "bool")
"""The kinds that can be computed with."""
_ORDERED: Final = ("number", "bool", "time")
_HASHED: Final = ("number", "bool", "text", "time")
_OPERATORS: Final = (
    *("add", "subtract", "multiply", "divide", "true_divide", "greater", "greater_equal", "less", "less_equal"),
    *("equal", "not_equal", "bitwise_and", "bitwise_or", "logical_and", "logical_or"),
)
_TO_FLOAT: Final = "float() of a column (a function of math?)"
_MOST_BITS: Final = 28
"""2**28 ids are 2 GiB of weights."""


class Expression(ABC):
    """A column of values: a field of a record, or something computed from fields and aggregates.

    `kind` is what the values are, `unit` their unit ("" for none), `missing` whether a value may be missing without
    the user having said what that means.
    """

    __slots__ = ()
    __hash__ = object.__hash__

    @property
    @abstractmethod
    def kind(self) -> Kind:
        """Return what the values are."""

    @property
    @abstractmethod
    def missing(self) -> bool:
        """Return whether a value may be missing."""

    @property
    @abstractmethod
    def children(self) -> tuple["Expression", ...]:
        """Return the expressions that this one reads."""

    @property
    @abstractmethod
    def canonical(self) -> str:
        """Return the text that says all that the values depend on."""

    @property
    def unit(self) -> str:
        """Return the unit, which only a field and what keeps its unit have."""
        return ""

    @property
    def bounds(self) -> tuple[float, float]:
        """Return two numbers between which every value lies that is not missing, both ends included."""
        return -math.inf, math.inf

    @property
    def of_record(self) -> bool:
        """Return whether the node itself looks at one record only, as all of them do but aggregates and labels."""
        return True

    def walk(self) -> Iterator["Expression"]:
        """Yield this expression and everything below it, outermost first."""
        yield self
        for child in self.children:
            yield from child.walk()

    def __repr__(self) -> str:
        """Return the code that makes the expression."""
        return self.canonical

    def __add__(self, other: object) -> "Expression":
        return Arithmetic("+", self, expression_of(other))

    def __radd__(self, other: object) -> "Expression":
        return Arithmetic("+", expression_of(other), self)

    def __sub__(self, other: object) -> "Expression":
        return _difference(self, expression_of(other))

    def __rsub__(self, other: object) -> "Expression":
        return _difference(expression_of(other), self)

    def __mul__(self, other: object) -> "Expression":
        return Arithmetic("*", self, expression_of(other))

    def __rmul__(self, other: object) -> "Expression":
        return Arithmetic("*", expression_of(other), self)

    def __truediv__(self, other: object) -> "Expression":
        return Arithmetic("/", self, expression_of(other))

    def __rtruediv__(self, other: object) -> "Expression":
        return Arithmetic("/", expression_of(other), self)

    def __neg__(self) -> "Expression":
        return Negate(self)

    def __gt__(self, other: object) -> "Expression":
        return Comparison(">", self, expression_of(other))

    def __ge__(self, other: object) -> "Expression":
        return Comparison(">=", self, expression_of(other))

    def __lt__(self, other: object) -> "Expression":
        return Comparison("<", self, expression_of(other))

    def __le__(self, other: object) -> "Expression":
        return Comparison("<=", self, expression_of(other))

    def __eq__(self, other: object) -> "Expression":  # type: ignore[override]
        return Comparison("==", self, expression_of(other))

    def __ne__(self, other: object) -> "Expression":  # type: ignore[override]
        return Comparison("!=", self, expression_of(other))

    def __and__(self, other: object) -> "Expression":
        return Logical("&", self, expression_of(other))

    def __rand__(self, other: object) -> "Expression":
        return Logical("&", expression_of(other), self)

    def __or__(self, other: object) -> "Expression":
        return Logical("|", self, expression_of(other))

    def __ror__(self, other: object) -> "Expression":
        return Logical("|", expression_of(other), self)

    def __invert__(self) -> "Expression":
        return Not(self)

    def __bool__(self) -> NoReturn:
        raise ConfigError(
            repr(self),
            wanted="an expression built with & | ~, hr.isin() or hr.between()",
            got="a Python truth value (and, or, not, in, if, a < b < c)",
        )

    def __iter__(self) -> NoReturn:
        raise ConfigError(repr(self), wanted="one column", got="a loop or `in` over it (hr.isin tests membership)")

    def __getitem__(self, place: int) -> "Expression":
        return Element(self, place)

    def __contains__(self, item: object) -> NoReturn:
        raise ConfigError(repr(self), wanted="one column", got="`in` (hr.isin tests membership)")

    def __float__(self) -> NoReturn:
        raise ConfigError(repr(self), wanted="functions of columns (hr.log, hr.sqrt, hr.exp, ...)", got=_TO_FLOAT)

    __int__ = __float__
    __index__ = __float__

    def __format__(self, spec: str) -> NoReturn:
        raise ConfigError(repr(self), wanted="a column (hr.cross joins several)", got="a column in an f-string")

    def __str__(self) -> NoReturn:
        raise ConfigError(repr(self), wanted="a column (repr() shows its code)", got="str() of a column")

    def __array_ufunc__(self, function: Any, *_: object, **__: object) -> NoReturn:
        # NumPy's own numbers ask for their operators by these names.
        wanted = "+ - * / and comparisons of columns and plain numbers"
        if function.__name__ not in _OPERATORS:
            wanted = f"{instead_of(function.__name__)} ({wanted} are the columns' own)"
        raise ConfigError(repr(self), wanted=wanted, got=f"np.{function.__name__} of a column")

    def __array_function__(self, function: Any, *_: object, **__: object) -> NoReturn:
        wanted = instead_of(function.__name__)
        raise ConfigError(repr(self), wanted=wanted, got=f"np.{function.__name__} of a column")

    def __abs__(self) -> NoReturn:
        raise ConfigError(repr(self), wanted=instead_of("abs"), got="abs() of a column")

    def __round__(self, digits: int = 0) -> NoReturn:
        raise ConfigError(repr(self), wanted=instead_of("round"), got="round() of a column")

    def __floor__(self) -> NoReturn:
        raise ConfigError(repr(self), wanted=instead_of("floor"), got="math.floor() of a column")

    def __ceil__(self) -> NoReturn:
        raise ConfigError(repr(self), wanted=instead_of("ceil"), got="math.ceil() of a column")

    def __len__(self) -> NoReturn:
        raise ConfigError(repr(self), wanted="one column (of a text: hr.length(x))", got="len() of a column")

    def __pow__(self, exponent: object) -> NoReturn:
        raise ConfigError(repr(self), wanted="hr.power(x, exponent)", got="** of a column")

    def __mod__(self, divisor: object) -> NoReturn:
        raise ConfigError(repr(self), wanted="hr.cyclical(x, period), or x - n * hr.floor(x / n)", got="% of a column")

    def __floordiv__(self, divisor: object) -> NoReturn:
        raise ConfigError(repr(self), wanted="hr.floor(x / n)", got="// of a column")

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):  # Python, NumPy and notebooks ask for such names to learn what an object can do.
            raise AttributeError(name)
        raise ConfigError(repr(self), wanted=instead_of(name), got=f".{name} of a column")


@final
@dataclass(frozen=True, eq=False, repr=False)
class Literal(Expression):
    """One value for every record."""

    value: Scalar

    @property
    def kind(self) -> Kind:
        """Return the kind of the value."""
        if isinstance(self.value, bool):
            return "bool"
        return "text" if isinstance(self.value, str) else "number"

    @property
    def bounds(self) -> tuple[float, float]:
        """Return the value twice."""
        return (float(self.value), float(self.value)) if isinstance(self.value, int | float) else super().bounds

    @property
    def missing(self) -> bool:
        """Return whether the value is None."""
        return self.value is None

    @property
    def children(self) -> tuple[Expression, ...]:
        """Return nothing."""
        return ()

    @property
    def canonical(self) -> str:
        """Return the value's literal."""
        return repr(self.value)


@final
@dataclass(frozen=True, eq=False, repr=False)
class FieldColumn(Expression):
    """A field of one class of events. `choices` are the texts that a `Literal` field may have.

    `length` is how many numbers a field of kind "numbers" has in every record. `ge` and `le` are its declared range,
    which ingest has checked.
    """

    owner: str
    name: str
    field_kind: Kind
    field_unit: str = ""
    nullable: bool = False
    choices: tuple[str, ...] = ()
    length: int = 0
    ge: float | None = None
    le: float | None = None

    @property
    def bounds(self) -> tuple[float, float]:
        """Return the declared range."""
        return -math.inf if self.ge is None else self.ge, math.inf if self.le is None else self.le

    @property
    def spread(self) -> "Several":
        """Return the numbers of a field that has several, in order, each under its place."""
        return Several(tuple((str(place), Element(self, place)) for place in range(self.length)), self)

    @property
    def kind(self) -> Kind:
        """Return the field's kind."""
        return self.field_kind

    @property
    def unit(self) -> str:
        """Return the field's unit."""
        return self.field_unit

    @property
    def missing(self) -> bool:
        """Return whether the field may be None."""
        return self.nullable

    @property
    def children(self) -> tuple[Expression, ...]:
        """Return nothing."""
        return ()

    @property
    def canonical(self) -> str:
        """Return Class.field."""
        return f"{self.owner}.{self.name}"


@dataclass(frozen=True, eq=False, repr=False)
class _Binary(Expression):
    """Two operands and the operator between them; concrete nodes say what it means."""

    operator: str
    left: Expression
    right: Expression

    @property
    def missing(self) -> bool:
        """Return whether either operand may be missing."""
        return self.left.missing or self.right.missing

    @property
    def children(self) -> tuple[Expression, ...]:
        """Return both operands."""
        return self.left, self.right

    @property
    def canonical(self) -> str:
        """Return (left operator right)."""
        return f"({self.left.canonical} {self.operator} {self.right.canonical})"


@final
@dataclass(frozen=True, eq=False, repr=False)
class Arithmetic(_Binary):
    """+ - * / of two numbers. A quotient may be missing: what it divides by may be 0."""

    def __post_init__(self) -> None:
        """Raise ConfigError unless both operands are numbers."""
        for operand in (self.left, self.right):
            check_kind(self.canonical, operand, NUMBERS)

    @property
    def kind(self) -> Kind:
        """Return number."""
        return "number"

    @property
    def missing(self) -> bool:
        """Return whether the result may be missing."""
        divides = self.operator == "/" and not (isinstance(self.right, Literal) and bool(self.right.value))
        return divides or self.left.missing or self.right.missing

    @property
    def unit(self) -> str:
        """Return the unit that both operands of a sum have."""
        same = self.operator in {"+", "-"} and self.left.unit == self.right.unit
        return self.left.unit if same else ""


@final
@dataclass(frozen=True, eq=False, repr=False)
class Elapsed(_Binary):
    """The seconds from one time to another; negative where the right one is the later."""

    def __post_init__(self) -> None:
        """Raise ConfigError unless both operands are times."""
        for operand in (self.left, self.right):
            check_kind(self.canonical, operand, ("time",))

    @property
    def kind(self) -> Kind:
        """Return number."""
        return "number"

    @property
    def unit(self) -> str:
        """Return seconds."""
        return "s"


@final
@dataclass(frozen=True, eq=False, repr=False)
class Comparison(_Binary):
    """> >= < <= == != of two columns."""

    def __post_init__(self) -> None:
        """Raise ConfigError unless the two can be compared."""
        one, two = self.left, self.right
        for this, other in ((one, two), (two, one)):
            if isinstance(other, Literal) and other.value is None:
                raise ConfigError(repr(this), wanted="hr.is_missing(x)", got=f"{self.operator} None")
            if isinstance(this, FieldColumn) and this.choices and isinstance(other, Literal):
                _check_choice(this, other.value)
        alike = one.kind == two.kind or {one.kind, two.kind} <= set(NUMBERS)
        ordered = self.operator in {"==", "!="} or (one.kind in _ORDERED and two.kind in _ORDERED)
        if not alike or not ordered or not {one.kind, two.kind} <= set(_HASHED):
            wanted = f"two columns between which {self.operator} is defined"
            raise ConfigError(self.canonical, wanted=wanted, got=f"{_kind_of(one)} and {_kind_of(two)}")

    @property
    def kind(self) -> Kind:
        """Return bool."""
        return "bool"


@final
@dataclass(frozen=True, eq=False, repr=False)
class Logical(_Binary):
    """& and | of two conditions; a missing condition is neither true nor false."""

    def __post_init__(self) -> None:
        """Raise ConfigError unless both operands are conditions."""
        for operand in (self.left, self.right):
            check_kind(self.canonical, operand, ("bool",))

    @property
    def kind(self) -> Kind:
        """Return bool."""
        return "bool"


@dataclass(frozen=True, eq=False, repr=False)
class Unary(Expression):
    """One operand."""

    operand: Expression

    @property
    def missing(self) -> bool:
        """Return whether the operand may be missing."""
        return self.operand.missing

    @property
    def children(self) -> tuple[Expression, ...]:
        """Return the operand."""
        return (self.operand,)


@final
@dataclass(frozen=True, eq=False, repr=False)
class Negate(Unary):
    """The negative of a number."""

    def __post_init__(self) -> None:
        """Raise ConfigError unless the operand is a number."""
        check_kind(self.canonical, self.operand, ("number",))

    @property
    def kind(self) -> Kind:
        """Return number."""
        return "number"

    @property
    def unit(self) -> str:
        """Return the operand's unit."""
        return self.operand.unit

    @property
    def canonical(self) -> str:
        """Return -operand."""
        return f"-{self.operand.canonical}"


@final
@dataclass(frozen=True, eq=False, repr=False)
class Not(Unary):
    """The opposite of a condition."""

    def __post_init__(self) -> None:
        """Raise ConfigError unless the operand is a condition."""
        check_kind(self.canonical, self.operand, ("bool",))

    @property
    def kind(self) -> Kind:
        """Return bool."""
        return "bool"

    @property
    def canonical(self) -> str:
        """Return ~operand."""
        return f"~{self.operand.canonical}"


@final
@dataclass(frozen=True, eq=False, repr=False)
class IsMissing(Unary):
    """Whether a value is missing; never missing itself."""

    def __post_init__(self) -> None:
        """Raise ConfigError unless the operand is one column."""
        if self.operand.kind in {"several", "tokens"}:  # Whether an embedding is missing may be asked.
            got = f"{self.operand!r}, which is {_kind_of(self.operand)}"
            raise ConfigError(self.canonical, wanted="one column", got=got)

    @property
    def kind(self) -> Kind:
        """Return bool."""
        return "bool"

    @property
    def missing(self) -> bool:
        """Return False."""
        return False

    @property
    def canonical(self) -> str:
        """Return the call."""
        return f"hr.is_missing({self.operand.canonical})"


@final
@dataclass(frozen=True, eq=False, repr=False)
class Element(Unary):
    """One number of a field that has several: `View.embedding[3]`. It may be missing where the field may."""

    place: int

    def __post_init__(self) -> None:
        """Raise ConfigError unless the operand has a number at that place."""
        if not isinstance(self.operand, FieldColumn) or self.operand.kind != "numbers":
            wanted = "[...] of a field of several numbers (tuple[float, ...] with hr.Length)"
            raise ConfigError(self.canonical, wanted=wanted, got=f"{self.operand!r}, which is {_kind_of(self.operand)}")
        if not is_whole(self.place) or not 0 <= self.place < self.operand.length:
            wanted = f"a whole number from 0 to {self.operand.length - 1}"
            raise ConfigError(f"place in {self.operand!r}", wanted=wanted, got=self.place)

    @property
    def kind(self) -> Kind:
        """Return number."""
        return "number"

    @property
    def unit(self) -> str:
        """Return the field's unit."""
        return self.operand.unit

    @property
    def canonical(self) -> str:
        """Return the field and the place in it."""
        return f"{self.operand.canonical}[{self.place}]"

    @property
    def bounds(self) -> tuple[float, float]:
        """Return the field's range."""
        return self.operand.bounds


@final
@dataclass(frozen=True, eq=False, repr=False)
class Fill(Unary):
    """A value in place of a missing one; the reason stays beside it. None hands NaN to the model."""

    value: Scalar

    def __post_init__(self) -> None:
        """Raise ConfigError if the value is of another kind than the operand."""
        where = f"hr.fill({self.operand.canonical}, {self.value!r})"
        if self.operand.kind not in {*NUMBERS, "text"}:
            raise ConfigError(where, wanted="a number, a bool or a text to fill", got=_kind_of(self.operand))
        if self.value is not None and isinstance(self.value, str) != (self.operand.kind == "text"):
            raise ConfigError(where, wanted=f"a value for a {self.operand.kind}", got=self.value)
        if isinstance(self.operand, FieldColumn) and self.operand.choices and self.value is not None:
            _check_choice(self.operand, self.value)

    @property
    def kind(self) -> Kind:
        """Return the operand's kind."""
        return self.operand.kind

    @property
    def unit(self) -> str:
        """Return the operand's unit."""
        return self.operand.unit

    @property
    def bounds(self) -> tuple[float, float]:
        """Return the operand's bounds, made wide enough for the value."""
        low, high = self.operand.bounds
        value = self.value if isinstance(self.value, int | float) else low
        return min(low, value), max(high, value)

    @property
    def missing(self) -> bool:
        """Return False: the user has said what a missing value means."""
        return False

    @property
    def canonical(self) -> str:
        """Return the call."""
        return f"hr.fill({self.operand.canonical}, {self.value!r})"


@final
@dataclass(frozen=True, eq=False, repr=False)
class IsIn(Unary):
    """Whether a value is one of some given ones."""

    values: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        """Raise ConfigError if a value is of another kind than the column, or not one of its choices."""
        where = f"hr.isin({self.operand.canonical}, ...)"
        if self.operand.kind not in {*NUMBERS, "text"}:
            raise ConfigError(where, wanted="a number, a bool or a text", got=_kind_of(self.operand))
        if not self.values:
            raise ConfigError(where, wanted="at least one value", got="none")
        for value in self.values:
            if value is None or isinstance(value, str) != (self.operand.kind == "text"):
                raise ConfigError(where, wanted=f"values that are each a {self.operand.kind}", got=value)
            if isinstance(self.operand, FieldColumn) and self.operand.choices:
                _check_choice(self.operand, value)

    @property
    def kind(self) -> Kind:
        """Return bool."""
        return "bool"

    @property
    def canonical(self) -> str:
        """Return the call."""
        return f"hr.isin({self.operand.canonical}, {list(self.values)!r})"


@final
@dataclass(frozen=True, eq=False, repr=False)
class Category(Unary):
    """A value hashed to an id in [1, 2**bits); 0 stands for a missing value."""

    bits: int

    def __post_init__(self) -> None:
        """Raise ConfigError if the operand is hashed already, or the number of ids does not fit."""
        check_kind(self.canonical, self.operand, _HASHED)
        check_bits(self.canonical, self.bits)

    @property
    def kind(self) -> Kind:
        """Return category."""
        return "category"

    @property
    def missing(self) -> bool:
        """Return False: a missing value has an id of its own."""
        return False

    @property
    def canonical(self) -> str:
        """Return the call."""
        return f"hr.category({self.operand.canonical}, bits={self.bits})"


@final
@dataclass(frozen=True, eq=False, repr=False)
class Cross(Expression):
    """Several values together, hashed to one id in [1, 2**bits); 0 if any is missing."""

    operands: tuple[Expression, ...]
    bits: int

    def __post_init__(self) -> None:
        """Raise ConfigError unless there are at least two columns and a size that fits."""
        if len(self.operands) < 2:
            raise ConfigError("hr.cross", wanted="two columns or more (hr.category takes one)", got=len(self.operands))
        for operand in self.operands:
            check_kind(self.canonical, operand, _HASHED)
        check_bits(self.canonical, self.bits)

    @property
    def kind(self) -> Kind:
        """Return category."""
        return "category"

    @property
    def missing(self) -> bool:
        """Return False: a missing value has an id of its own."""
        return False

    @property
    def children(self) -> tuple[Expression, ...]:
        """Return the columns."""
        return self.operands

    @property
    def canonical(self) -> str:
        """Return the call."""
        return f"hr.cross({', '.join(operand.canonical for operand in self.operands)}, bits={self.bits})"


@final
@dataclass(frozen=True, eq=False, repr=False)
class When(Expression):
    """One of two values, by a condition; missing where the condition is."""

    condition: Expression
    then: Expression
    otherwise: Expression

    def __post_init__(self) -> None:
        """Raise ConfigError unless the condition is one and the two values are alike."""
        check_kind(self.canonical, self.condition, ("bool",))
        kinds = {self.then.kind, self.otherwise.kind}
        if not (kinds <= set(NUMBERS) or kinds == {"text"}):
            got = f"{_kind_of(self.then)} and {_kind_of(self.otherwise)}"
            raise ConfigError(self.canonical, wanted="two numbers or two texts", got=got)

    @property
    def kind(self) -> Kind:
        """Return the kind of the values."""
        return self.then.kind if self.then.kind == self.otherwise.kind else "number"

    @property
    def missing(self) -> bool:
        """Return whether any part may be missing."""
        return any(child.missing for child in self.children)

    @property
    def children(self) -> tuple[Expression, ...]:
        """Return the condition and both values."""
        return self.condition, self.then, self.otherwise

    @property
    def canonical(self) -> str:
        """Return the call."""
        return f"hr.when({', '.join(child.canonical for child in self.children)})"


@final
@dataclass(frozen=True, eq=False, repr=False)
class Several(Expression):
    """A few columns in one order, each with the suffix that its name gets: a feature of a vector, and nothing else.

    The vector spreads it: of `shape=Several((("sin", s), ("cos", c)))` it has `shape_sin` and `shape_cos`. Where the
    user gave no name, `named` is what the first half of the names is made of; without it each part names itself.

    >>> pair = Several((("low", Literal(1)), ("high", Literal(2))))
    >>> [suffix for suffix, _ in pair.parts], pair.missing
    (['low', 'high'], False)
    >>> pair + 1
    Traceback (most recent call last):
    headrace.core.errors.ConfigError: (several(low=1, high=2) + 1): wanted a number or a bool, got several(low=1, \
high=2), which is several columns
    """

    parts: tuple[tuple[str, Expression], ...]
    named: Expression | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError unless there is a part, every part is one column, and each suffix stands once."""
        if not self.parts:
            raise ConfigError("several", wanted="at least one column", got="none")
        for suffix, part in self.parts:
            if part.kind == "several":
                raise ConfigError(self.canonical, wanted="single columns", got=f"several columns as {suffix!r}")
        suffixes = [suffix for suffix, _ in self.parts]
        if len(set(suffixes)) < len(suffixes):
            raise ConfigError(self.canonical, wanted="a suffix of its own for each column", got=", ".join(suffixes))

    def each(self, function: Callable[[Expression], Expression]) -> "Several":
        """Return the same columns under the same names, each with a function applied."""
        return Several(tuple((suffix, function(part)) for suffix, part in self.parts), self.named)

    @property
    def kind(self) -> Kind:
        """Return several."""
        return "several"

    @property
    def missing(self) -> bool:
        """Return whether any part may be missing."""
        return any(part.missing for _, part in self.parts)

    @property
    def children(self) -> tuple[Expression, ...]:
        """Return the parts."""
        return tuple(part for _, part in self.parts)

    @property
    def canonical(self) -> str:
        """Return the suffixes with their columns."""
        return f"several({', '.join(f'{suffix}={part.canonical}' for suffix, part in self.parts)})"


def expression_of(value: object) -> Expression:
    """Return an expression as it is, and a plain value as a literal.

    Raises ConfigError for anything else.
    """
    if isinstance(value, Expression):
        return value
    if value is None or isinstance(value, bool | str):
        return Literal(value)
    if isinstance(value, int | float):
        # NumPy's floats are floats, but print otherwise; what is canonical must not depend on that.
        return Literal(value if type(value) is int else float(value))
    raise ConfigError("expression", wanted="a column, a number, a bool or a text", got=value)


def column_of(where: str, x: object, wanted: str = "a column, such as Departure.distance") -> Expression:
    """Return an expression as it is; raise ConfigError for a plain value."""
    if not isinstance(x, Expression):
        raise ConfigError(where, wanted=wanted, got=f"the constant {x!r}")
    return x


def _difference(left: Expression, right: Expression) -> Expression:
    return Elapsed("-", left, right) if left.kind == right.kind == "time" else Arithmetic("-", left, right)


def check_kind(where: str, operand: Expression, kinds: tuple[str, ...]) -> None:
    """Raise ConfigError unless an operand is of one of some kinds, and more than None."""
    nothing = isinstance(operand, Literal) and operand.value is None
    if operand.kind not in kinds or nothing:
        got = repr(operand) if nothing else f"{operand!r}, which is {_kind_of(operand)}"
        raise ConfigError(where, wanted=f"a {' or a '.join(kinds)}", got=got)


def _kind_of(operand: Expression) -> str:
    """Return what an operand is, with its article."""
    many = {"several": "several columns", "numbers": "several numbers", "tokens": "the tokens of a text"}
    return many.get(operand.kind, f"a {operand.kind}")


def _check_choice(field: FieldColumn, value: Scalar) -> None:
    if value not in field.choices:
        wanted = f"one of {', '.join(map(repr, field.choices))}"
        raise ConfigError(repr(field), wanted=wanted, got=f"{value!r}{nearest(str(value), field.choices)}")


def check_bits(where: str, bits: int) -> None:
    """Raise ConfigError unless 2**bits is a number of ids that fits."""
    if not is_whole(bits) or not 1 <= bits <= _MOST_BITS:
        raise ConfigError(f"{where} bits", wanted=f"a whole number from 1 to {_MOST_BITS}", got=bits)
