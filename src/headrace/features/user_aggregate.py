"""User aggregates: `hr.Aggregate`, its functions as text, and the checks of what they say about themselves."""

import ast
import inspect
import math
import textwrap
import types
from abc import ABC
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from headrace.core.errors import ConfigError, SurroundingsError, nearest
from headrace.features.generated import module_of

__all__ = ["Aggregate", "Code", "State", "code_of"]

State: TypeAlias = dict[str, float]
"""The state of an aggregate, by the names of its `state`: one record of a structured array."""

_FUNCTIONS: Final = {"update": 2, "merge": 2, "finalize": 1}
_BUILTINS: Final = ("abs", "bool", "float", "int", "max", "min", "range")
_MATHEMATICS: Final = (
    *("abs", "ceil", "copysign", "e", "fabs", "float64", "floor", "fmax", "fmin", "inf", "int64", "isfinite", "isinf"),
    *("isnan", "maximum", "minimum", "nan", "pi", "sign", "sqrt", "trunc"),
)
"""What may be used of numpy and math: that which has the same bits everywhere. `exp` and its like differ from one
library to the next."""
_COMPILED: Final = '@njit(cache=True, nogil=True, error_model="numpy")'
_DRAWS: Final = 60
_LONGEST: Final = 40
_CLOSE: Final = 1e-6


class Aggregate(ABC):
    """An aggregate of your own: a state, and three functions of it that are compiled into the engine's loop.

    `state` is that of no record: a number for each name, floats or ints. `update(s, x)` takes in the value of one
    record, oldest first; `merge(s, o)` takes in a state of the records that come next; `finalize(s)` gives the answer.
    They are static methods over numbers: numpy's and Python's arithmetic, `min`, `max`, `abs`, `sqrt` and the like, but
    nothing whose bits differ between machines (`exp`, `log`, `**`). Constants of the module may be read.

    Where a merge of states is the state of all their records bit for bit, as for extremes and whole numbers, a read
    takes the logarithm of its window; else it folds every record of it, and `headrace check` says so. Which of the two
    holds is tried at definition, on drawn values. `any_order = True` declares that the order of records does not
    matter, and is tried too.

    >>> import headrace as hr
    >>> class Spread(hr.Aggregate):
    ...     state = {"low": np.inf, "high": -np.inf}
    ...     any_order = True
    ...     @staticmethod
    ...     def update(s: hr.State, x: float) -> None:
    ...         s["low"], s["high"] = min(s["low"], x), max(s["high"], x)
    ...     @staticmethod
    ...     def merge(s: hr.State, o: hr.State) -> None:
    ...         s["low"], s["high"] = min(s["low"], o["low"]), max(s["high"], o["high"])
    ...     @staticmethod
    ...     def finalize(s: hr.State) -> float:
    ...         return s["high"] - s["low"]

    `agg` raises ConfigError where the functions cannot be compiled, name what the state does not have, contradict each
    other, or never give a finite number.
    """

    state: ClassVar[Mapping[str, float]]
    any_order: ClassVar[bool] = False
    update: ClassVar[Callable[..., None]]
    merge: ClassVar[Callable[..., None]]
    finalize: ClassVar[Callable[..., float]]


@final
@dataclass(frozen=True, slots=True)
class Code:
    """An aggregate as text: its name, the code of its module, and whether nodes of merged states are exact."""

    name: str
    text: str
    exact: bool


def code_of(where: str, aggregate: object) -> Code:
    """Return the code of a user's aggregate, compiled once and tried on drawn values.

    Raises ConfigError, naming the function, for whatever it cannot be.
    """
    if not isinstance(aggregate, Aggregate):
        wanted = "an instance of a class that extends hr.Aggregate, such as Spread()"
        raise ConfigError(where, wanted=wanted, got=repr(aggregate))
    kind: type[Aggregate] = type(aggregate)
    where = f"{where}, {kind.__name__}"
    state = _state(where, kind)
    parts = [_function(where, kind, name, state) for name in _FUNCTIONS]
    constants: dict[str, str] = {}
    for _, used in parts:
        constants |= used
    fields = ", ".join(f"({name!r}, {'i8' if isinstance(value, int) else 'f8'!r})" for name, value in state.items())
    lines = [
        *sorted(constants.values()),
        f"STATE = np.dtype([{fields}])",
        "\n",
        f"{_COMPILED}\ndef begin(s):",
        *(f"    s[{name!r}] = {_written(value)}" for name, value in state.items()),
        *(f"\n\n{_COMPILED}\n{text}" for text, _ in parts),
    ]
    text = "\n".join(lines)
    exact = _tried(where, kind, text)
    return Code(_name(kind.__name__), text, exact)


def _state(where: str, kind: type[Aggregate]) -> dict[str, float]:
    state = getattr(kind, "state", None)
    if not isinstance(state, Mapping) or not state:
        raise ConfigError(f"{where}.state", wanted='a number for each name, such as {"low": np.inf}', got=repr(state))
    found: dict[str, float] = {}
    for name, value in state.items():
        number = value.item() if isinstance(value, np.generic) else value
        if not isinstance(name, str) or not name.isidentifier():
            raise ConfigError(f"{where}.state", wanted="names, such as 'low'", got=repr(name))
        if isinstance(number, bool) or not isinstance(number, int | float) or math.isnan(number):
            raise ConfigError(f"{where}.state[{name!r}]", wanted="a number that is not NaN", got=repr(value))
        found[name] = number
    return found


def _function(where: str, kind: type[Aggregate], name: str, state: Mapping[str, float]) -> tuple[str, dict[str, str]]:
    """Return the text of one function, and the lines that what it uses from its module needs."""
    where = f"{where}.{name}"
    function = inspect.getattr_static(kind, name, None)
    function = function.__func__ if isinstance(function, staticmethod) else function
    count = _FUNCTIONS[name]
    if not isinstance(function, types.FunctionType):
        raise ConfigError(where, wanted=f"a static method of {count} arguments", got=repr(function))
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except OSError as error:
        raise ConfigError(where, wanted="a function whose text lies in a file or a notebook", got="none") from error
    node = ast.parse(source).body[0]
    if not isinstance(node, ast.FunctionDef) or node.name != name:
        raise ConfigError(where, wanted=f"def {name}(...)", got=source.splitlines()[0])
    names = [argument.arg for argument in node.args.args]
    if len(names) != count or node.args.vararg or node.args.kwarg or node.args.kwonlyargs or node.args.defaults:
        raise ConfigError(where, wanted=f"{count} arguments, without defaults", got=", ".join(names))
    if function.__code__.co_freevars:
        got = ", ".join(function.__code__.co_freevars)
        raise ConfigError(where, wanted="no variables of a function around it", got=got)
    states = names if name == "merge" else names[:1]
    used = _used(where, node, function, states, state)
    return "\n".join(source.splitlines()[node.lineno - 1 : node.end_lineno]), used


def _used(
    where: str, node: ast.FunctionDef, function: types.FunctionType, states: Sequence[str], state: Mapping[str, float]
) -> dict[str, str]:
    """Return a line for each name that is the module's; raise ConfigError for what has no place in an aggregate."""
    local = {*function.__code__.co_varnames}
    lines: dict[str, str] = {}
    for part in _body(node):
        match part:
            case ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=str(key))) if name in states:
                if key not in state:
                    raise ConfigError(where, wanted=f"one of {', '.join(state)}", got=f"{key!r}{nearest(key, state)}")
            case ast.BinOp(op=ast.Pow()) | ast.AugAssign(op=ast.Pow()):
                raise ConfigError(where, wanted="x * x: powers differ between machines", got=ast.unparse(part))
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name not in local:
                if function.__globals__.get(name) not in (np, math) or attribute not in _MATHEMATICS:
                    wanted = f"of numpy and math: {', '.join(_MATHEMATICS)}"
                    raise ConfigError(where, wanted=wanted, got=ast.unparse(part))
            case ast.Name(id=name) if name not in local and name not in lines:
                line = _line(where, name, function.__globals__)
                lines |= {name: line} if line else {}
            case _:
                pass
    return lines


def _body(node: ast.FunctionDef) -> Iterator[ast.AST]:
    """Walk a function, without what it is annotated with."""
    waiting: list[ast.AST] = list(node.body)
    while waiting:
        part = waiting.pop()
        yield part
        skipped = part.annotation if isinstance(part, ast.AnnAssign) else None
        waiting += [child for child in ast.iter_child_nodes(part) if child is not skipped]


def _line(where: str, name: str, known: Mapping[str, Any]) -> str:
    """Return the line that makes a name of the user's module known in the generated one; "" for a builtin."""
    if name not in known:
        if name in _BUILTINS:
            return ""
        raise ConfigError(where, wanted=f"a builtin of {', '.join(_BUILTINS)}", got=name)
    value = known[name]
    if value is np or value is math:
        return f"import {value.__name__} as {name}"
    number = value.item() if isinstance(value, np.generic) else value
    if isinstance(number, int | float):
        return f"{name} = {_written(number)}"
    raise ConfigError(where, wanted="numpy, math or a number", got=f"{name}, which is {value!r}")


def _written(value: float) -> str:
    """Return a number as code that gives it back to the bit."""
    return repr(value) if isinstance(value, int) or math.isfinite(value) else f"float({str(value)!r})"


def _name(name: str) -> str:
    """Return the name of a class as it stands in the name of a feature: `MaxGap` is max_gap."""
    letters = [f"_{letter.lower()}" if letter.isupper() else letter for letter in name]
    return "".join(letters).strip("_")


def _tried(where: str, kind: type[Aggregate], text: str) -> bool:
    """Try the functions on drawn values, compiled and as they stand; return whether a merge is exact.

    A merge is exact if the state of some records, merged with that of the next ones, is that of all of them, bit for
    bit. Raises ConfigError if it is not even close, if the two ways to run it differ, or if no answer is finite.
    """
    plain = _Plain(where, text)
    draws = [*_drawn()]
    answers = [plain.answer(values) for values in draws]
    if not any(math.isfinite(answer) for answer in answers):
        raise ConfigError(f"{where}.finalize", wanted="a finite number", got=repr(answers[0]))
    # Every one is tried, so that a merge that rounds does not hide one that is wrong.
    exact = min([plain.merges(values, cut) for values in draws for cut in (0, len(values) // 3, len(values))])
    if kind.any_order:
        plain.check_order(draws)
    _check_compiled(where, text, draws, answers)
    return exact


def _drawn() -> Iterator[NDArray[np.float64]]:
    """Draw values of many kinds and lengths, always the same ones: whole, decimal, large, small, repeated."""
    draw = np.random.default_rng(20_260_101)
    for number in range(_DRAWS):
        count = int(draw.integers(1, _LONGEST))
        match number % 4:
            case 0:
                yield draw.integers(-5, 6, count).astype(np.float64) + 0.0
            case 1:
                yield np.round(draw.normal(0.0, 100.0, count), 2) + 0.0
            case 2:
                yield draw.normal(size=count) * np.ldexp(1.0, draw.integers(-30, 31, count))
            case _:
                yield draw.choice(np.array([0.0, 0.1, 0.2, 0.3, 1e9, -1e-9]), count)


@final
class _Plain:
    """The functions as they stand, uncompiled, over one record of a structured array."""

    def __init__(self, where: str, text: str) -> None:
        self._where = where
        found: dict[str, Any] = {"njit": lambda **_: lambda function: function, "np": np}
        future = "from __future__ import annotations\n"
        exec(compile(future + text, "<aggregate>", "exec"), found)  # noqa: S102 - the user's own code, as they wrote it
        self._found = found

    def fold(self, values: Sequence[float] | NDArray[np.float64]) -> NDArray[np.void]:
        """Return the state of some values, one record."""
        state = np.zeros(1, self._found["STATE"])
        self._call("state", self._found["begin"], state[0])
        for value in values:
            self._call("update", self._found["update"], state[0], value)
        return state

    def answer(self, values: NDArray[np.float64]) -> float:
        """Return the answer for some values."""
        answer = self._call("finalize", self._found["finalize"], self.fold(values)[0])
        try:
            return float(answer)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{self._where}.finalize", wanted="a number", got=repr(answer)) from error

    def merges(self, values: NDArray[np.float64], cut: int) -> bool:
        """Return whether the states of two parts merge to that of the whole; ConfigError if they are not even close."""
        whole, merged, rest = self.fold(values), self.fold(values[:cut]), self.fold(values[cut:])
        self._call("merge", self._found["merge"], merged[0], rest[0])
        if whole.tobytes() == merged.tobytes():
            return True
        for name in whole.dtype.names or ():
            one, other = whole[name][0], merged[name][0]
            scale = max(float(np.sum(np.abs(values))), abs(float(one)), 1.0)
            if one != other and not abs(float(one) - float(other)) <= _CLOSE * scale:
                wanted = f"the state that update gives for all of {values.tolist()}, {name} = {one}"
                raise ConfigError(f"{self._where}.merge", wanted=wanted, got=f"{name} = {other}, cut at {cut}")
        return False

    def check_order(self, draws: Sequence[NDArray[np.float64]]) -> None:
        """Raise ConfigError if the order of values changes an answer."""
        for values in draws:
            for other in (values[::-1], np.roll(values, 1)):
                one, two = self.answer(values), self.answer(other)
                if one != two and not (math.isnan(one) and math.isnan(two)):
                    wanted = f"any_order: the same for {values.tolist()} in any order, {one!r}"
                    raise ConfigError(f"{self._where}.any_order", wanted=wanted, got=repr(two))

    def _call(self, name: str, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            with np.errstate(all="ignore"):
                return function(*arguments)
        except Exception as error:
            got = f"{type(error).__name__}: {error}"
            raise ConfigError(f"{self._where}.{name}", wanted="a function that runs", got=got) from error


def _check_compiled(where: str, text: str, draws: Sequence[NDArray[np.float64]], answers: Sequence[float]) -> None:
    """Raise ConfigError if the functions cannot be compiled, or give other bits than as they stand."""
    try:
        module = module_of(text)
        found = [_compiled_answer(module, values) for values in draws]
    except SurroundingsError:
        raise
    except Exception as error:
        got = " ".join(str(error).split())[:400]
        raise ConfigError(where, wanted="functions that Numba can compile", got=got) from error
    for values, answer, other in zip(draws, answers, found, strict=True):
        if math.isfinite(answer) and other != answer:
            wanted = f"the bits of plain Python for {values.tolist()}, {answer!r}"
            raise ConfigError(where, wanted=wanted, got=f"{other!r}, compiled")


def _compiled_answer(module: Any, values: NDArray[np.float64]) -> float:
    """Return what the compiled loop reads of a window of these values: a script of one read."""
    out = np.empty((1, 1))
    one, span = np.zeros(1, np.int64), np.array([[len(values)]])
    with np.errstate(all="ignore"):
        module.run(
            1,
            one,
            one - 1,
            one,
            one,
            span - len(values),
            span,
            np.zeros((0, 3), np.int64),
            0,
            np.zeros(1),
            values,
            np.zeros(1, module.STATE),
            np.zeros(module.LEVELS, np.int64),
            0,
            np.zeros(1, module.STATE),
            np.zeros((1, 2), np.int64),
            out,
        )
    return float(out[0, 0])
