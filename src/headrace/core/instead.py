"""What a column has in place of a method, a built-in or a function of NumPy that the user reached for."""

from typing import Final

__all__ = ["instead_of"]

_SPELT_OTHERWISE: Final = {
    "absolute": "abs",
    "astype": "category",
    "casefold": "lower",
    "cos": "cyclical",
    "dayofweek": "weekday",
    "endswith": "contains",
    "fabs": "abs",
    "fillna": "fill",
    "fill_null": "fill",
    "find": "contains",
    "is_in": "isin",
    "is_null": "is_missing",
    "isna": "is_missing",
    "isnan": "is_missing",
    "isnull": "is_missing",
    "len": "length",
    "pow": "power",
    "rint": "round",
    "sin": "cyclical",
    "split": "words",
    "startswith": "starts_with",
    "str": "lower",
    "total_seconds": "seconds",
    "where": "when",
}
_FUNCTIONS: Final = (
    *("abs", "between", "category", "ceil", "clip", "contains", "cross", "cyclical", "day", "exp", "fill", "floor"),
    *("hour", "is_missing", "isin", "length", "log", "log1p", "lower", "maximum", "minimum", "minute", "month"),
    *("power", "round", "seconds", "sqrt", "starts_with", "weekday", "when", "words"),
)


def instead_of(name: str) -> str:
    """Return the function of columns that does what a foreign name promises, or what to do where there is none.

    >>> instead_of("startswith"), instead_of("log"), instead_of("arctan")
    ('hr.starts_with(x, ...)', 'hr.log(x)', 'a function of columns, such as hr.isin(x, [...]), or a @hr.function')
    """
    own = _SPELT_OTHERWISE.get(name, name)
    if own not in _FUNCTIONS:
        return "a function of columns, such as hr.isin(x, [...]), or a @hr.function"
    alone = own in {"abs", "ceil", "exp", "floor", "is_missing", "length", "log", "log1p", "lower", "seconds", "sqrt"}
    return f"hr.{own}(x)" if alone else f"hr.{own}(x, ...)"
