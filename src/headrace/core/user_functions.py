"""`@hr.function`: a pure NumPy function of the user's, over arrays, as a function of columns.

Its source text, and that of what it calls in turn, stands in the fingerprint, so that a changed formula is a new
feature. What it reads from outside must therefore have a text too: modules, numbers, texts, and functions whose source
can be read. A function over arrays is tried at definition, on a few rows together and each alone: one that mixes rows
(`x - x.mean()`) would give other features with every cut of the stream.
"""

import builtins
import dis
import functools
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any, Final, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from headrace.core.errors import ConfigError
from headrace.core.expressions import NUMBERS, Expression, Kind, check_kind, expression_of
from headrace.core.expressions import Literal as Constant

__all__ = ["F8", "UserFunction", "called", "function"]

F8: TypeAlias = NDArray[np.float64]
"""n numbers, or one row of d numbers for each of n records: float64, NaN where a value is missing."""
_TRIED: Final = (
    np.array([1.0, 2.0, 0.5, 3.0]),
    np.array([0.25, 1.5, 2.0, 4.0]),
    np.array([2.5, 0.75, 1.0, 0.5]),
)
_CLOSE: Final = 1e-9
_PLAIN: Final = (bool, int, float, str, type(None))


@final
@dataclass(frozen=True, eq=False, repr=False)
class UserFunction(Expression):
    """A function of the user's, of columns and constants; missing where an argument is or the result is not finite.

    `text` is the source of all that decides the result.
    """

    name: str
    text: str
    function: Callable[..., Any]
    operands: tuple[Expression, ...]

    def __post_init__(self) -> None:
        """Raise ConfigError unless every argument is a number."""
        for operand in self.operands:
            check_kind(self.canonical, operand, NUMBERS)

    @property
    def kind(self) -> Kind:
        """Return number."""
        return "number"

    @property
    def missing(self) -> bool:
        """Return True: what the function makes of its arguments is known only when it has run."""
        return True

    @property
    def children(self) -> tuple[Expression, ...]:
        """Return the arguments."""
        return self.operands

    @functools.cached_property
    def canonical(self) -> str:
        """Return the call, with 12 digits of the digest of the source."""
        digest = hashlib.sha256(self.text.encode()).hexdigest()[:12]
        return f"{self.name}@{digest}({', '.join(operand.canonical for operand in self.operands)})"


def function(f: Callable[..., F8]) -> Callable[..., Any]:
    """Make a pure NumPy function over arrays a function of columns, too.

    The function takes float64 arrays of n rows (constants come as floats) and returns float64[n]. Called with at
    least one column it gives a column: missing where an argument is missing or the result is not finite. Called with
    arrays or numbers alone it is what it was. NumPy's `sin`, `exp` and the like may differ in their last bits from one
    kind of processor to another; `hr.exp`, `hr.log` and `+ - * /` do not.

    >>> import numpy as np
    >>> import headrace as hr
    >>> @hr.function
    ... def share(part: hr.F8, whole: hr.F8) -> hr.F8:
    ...     return part / (part + whole)
    >>> share(np.array([1.0]), np.array([3.0]))
    array([0.25])
    >>> hr.fill(share(hr.Prediction.score, 3), 0.0).kind
    'number'

    Raises ConfigError if the source cannot be read or depends on what has none; and, where it is called with columns,
    for arguments that do not fit, a result of another shape or type, or one that mixes rows.
    """
    if not isinstance(f, FunctionType):
        raise ConfigError("hr.function", wanted="a function defined with def", got=repr(f))
    _source(f)

    @functools.wraps(f)
    def call(*arguments: Any, **named: Any) -> Any:
        if not any(isinstance(value, Expression) for value in (*arguments, *named.values())):
            return f(*arguments, **named)
        return _expression(f, arguments, named)

    return call


def called(node: UserFunction, arguments: list[F8 | float], count: int) -> F8:
    """Return what the function makes of n rows: f8[n].

    arguments: for each operand n numbers, which the function cannot change, or one.

    Raises ConfigError if the result is no float64[n].
    """
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            argument.flags.writeable = False
    with np.errstate(all="ignore"):
        found = node.function(*arguments)
    if not isinstance(found, np.ndarray) or found.dtype != np.float64 or found.shape != (count,):
        got = f"{found.dtype}{list(found.shape)}" if isinstance(found, np.ndarray) else type(found).__name__
        raise ConfigError(f"function {node.name!r}", wanted=f"float64[{count}], one number a row", got=got)
    return found


def _expression(f: FunctionType, arguments: tuple[Any, ...], named: dict[str, Any]) -> UserFunction:
    where = f"function {f.__name__!r}"
    try:
        bound = inspect.signature(f).bind(*arguments, **named)
    except TypeError as error:
        raise ConfigError(where, wanted=f"arguments {inspect.signature(f)}", got=str(error)) from error
    bound.apply_defaults()
    if bound.kwargs:
        raise ConfigError(where, wanted="arguments that may stand without their names", got=", ".join(bound.kwargs))
    node = UserFunction(f.__name__, _text(f), f, tuple(expression_of(value) for value in bound.args))
    _try(node)
    return node


def _try(node: UserFunction) -> None:
    """Run the function on a few rows together and on each alone."""
    where = f"function {node.name!r}"

    def arguments(rows: slice) -> list[F8 | float]:
        return [
            float(operand.bounds[0]) if isinstance(operand, Constant) else _TRIED[place % len(_TRIED)][rows].copy()
            for place, operand in enumerate(node.operands)
        ]

    count = len(_TRIED[0])
    try:
        together = called(node, arguments(slice(None)), count)
        alone = np.concatenate([called(node, arguments(slice(row, row + 1)), 1) for row in range(count)])
    except ConfigError:
        raise
    except Exception as error:
        got = f"{type(error).__name__}: {error}"
        raise ConfigError(where, wanted="NumPy over arrays of float64", got=got) from error
    if not np.allclose(together, alone, rtol=_CLOSE, atol=0.0, equal_nan=True):
        raise ConfigError(where, wanted="a number for each row by itself", got="one that depends on other rows")


def _source(f: FunctionType) -> str:
    """Return the source of a function from its `def` on, without comments, empty lines and the margin."""
    try:
        lines = textwrap.dedent(inspect.getsource(f)).splitlines()
    except (OSError, TypeError) as error:
        wanted = "a function whose source text can be read (defined in a file)"
        raise ConfigError(f"function {f.__name__!r}", wanted=wanted, got=str(error)) from error
    start = next((number for number, line in enumerate(lines) if line.startswith("def ")), None)
    if start is None:
        raise ConfigError(f"function {f.__name__!r}", wanted="a function defined with def", got=lines[0].strip())
    kept = [line.rstrip() for line in lines[start:]]
    return "\n".join(line for line in kept if line and not line.lstrip().startswith("#"))


def _text(f: FunctionType) -> str:
    """Return the sources of a function and of what it calls, and the constants that they read."""
    texts: dict[str, str] = {}
    _gather(f, texts)
    return "\n".join(texts.values())


def _gather(f: FunctionType, texts: dict[str, str]) -> None:
    where = f"function {f.__name__!r}"
    key = f"{f.__module__}.{f.__qualname__}"
    if key in texts:
        return
    texts[key] = _source(f)
    cells = dict(zip(f.__code__.co_freevars, f.__closure__ or (), strict=True))
    outside = {name: cell.cell_contents for name, cell in cells.items()}
    for name in sorted(dict.fromkeys(_global_names(f.__code__))):
        if name in f.__globals__:
            outside[name] = f.__globals__[name]
        elif not hasattr(builtins, name):
            raise ConfigError(where, wanted="names that are defined", got=name)
    for name, value in outside.items():
        plain = inspect.unwrap(value) if callable(value) else value
        if isinstance(plain, FunctionType) and not _is_numpys(plain):
            _gather(plain, texts)
        elif isinstance(value, _PLAIN):
            texts[f"{key} {name}"] = f"{name} = {value!r}"
        elif not isinstance(value, ModuleType | BuiltinFunctionType | type | np.ufunc) and not _is_numpys(value):
            wanted = "modules, numbers, texts and functions from outside (all else has no text)"
            raise ConfigError(where, wanted=wanted, got=f"{name}, a {type(value).__name__}")


def _is_numpys(value: object) -> bool:
    return str(getattr(value, "__module__", "")).split(".")[0] == "numpy"


def _global_names(code: CodeType) -> Iterator[str]:
    """Yield the names that a function reads from outside, those of functions inside of it too."""
    for instruction in dis.get_instructions(code):
        if instruction.opname == "LOAD_GLOBAL":
            yield str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)
