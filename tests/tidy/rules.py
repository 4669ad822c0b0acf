"""The house rules as functions of a module's source: each returns the lines that break it.

A rule sees the path below `src/headrace` and the parsed module, and yields (line, what it found).
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

Finding = tuple[int, str]
Rule = Callable[[PurePosixPath, ast.Module], Iterator[Finding]]

CLOCK = PurePosixPath("run/clock.py")
# A new log must be told from every other one, so its name is drawn; no result depends on it.
NAMES_A_LOG = PurePosixPath("topics/embedded.py")
SEEDED = {"BitGenerator", "Generator", "PCG64", "Philox", "Random", "SeedSequence", "default_rng"}
RANDOM = {"secrets", "uuid"}
SETTLED = {"ABC", "Enum", "Flag", "IntEnum", "IntFlag", "Protocol", "StrEnum"}  # an enum with members is final
PICKLES = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
KERNEL_IMPORTS = {"__future__", "collections.abc", "math", "numba", "numpy", "numpy.typing", "typing"}
DECORATOR = "njit(cache=True, nogil=True)"
LIBM = {"cos", "exp", "exp2", "expm1", "log", "log10", "log1p", "log2", "pow", "power", "sin", "tan", "tanh"}
VAGUE = {"base", "common", "helpers", "manager", "misc", "util", "utils"}


def wall_clock(path: PurePosixPath, module: ast.Module) -> Iterator[Finding]:
    """Time comes from `run/clock.py` or from a record, never from the wall."""
    if path == CLOCK:
        return
    for node in ast.walk(module):
        if "time" in imported(node):
            yield at(node), "imports time"
        if dotted(node) in {"date.today", "datetime.now", "datetime.today", "datetime.utcnow"}:
            yield at(node), ast.unparse(node)
        if called(node) == "datetime64" and any(text in {"now", "today"} for text in constants(node)):
            yield at(node), ast.unparse(node)


def global_random(path: PurePosixPath, module: ast.Module) -> Iterator[Finding]:
    """Randomness is a generator that is handed over, made from a seed."""
    for node in ast.walk(module):
        allowed = {"secrets"} if path == NAMES_A_LOG else set()
        for name in sorted((imported(node) & RANDOM) - allowed):
            yield at(node), f"imports {name}"
        if isinstance(node, ast.Attribute) and dotted(node) == f"random.{node.attr}" and node.attr not in SEEDED:
            yield at(node), ast.unparse(node)
        if isinstance(node, ast.ImportFrom) and node.module in {"random", "numpy.random"}:
            for alias in node.names:
                if alias.name not in SEEDED:
                    yield at(node), f"imports {node.module}.{alias.name}"
        if called(node) == "urandom" or (called(node) in {"Random", "default_rng"} and not arguments(node)):
            yield at(node), ast.unparse(node)


def pickle(path: PurePosixPath, module: ast.Module) -> Iterator[Finding]:
    """What is saved can be read by anybody: no pickle, in any disguise."""
    for node in ast.walk(module):
        for name in sorted(imported(node) & PICKLES):
            yield at(node), f"imports {name}"
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and ast.unparse(node.value) != "False":
            yield at(node.value), "allow_pickle"


def naive_datetime(path: PurePosixPath, module: ast.Module) -> Iterator[Finding]:
    """A datetime knows its zone from the start."""
    for node in ast.walk(module):
        name, given = called(node), arguments(node)
        keywords = {keyword.arg for keyword in node.keywords} if isinstance(node, ast.Call) else set()
        if (
            (name == "datetime" and "tzinfo" not in keywords and len(given) < 8)
            or (name == "fromtimestamp" and "tz" not in keywords and len(given) < 2)
            or name in {"strptime", "utcfromtimestamp"}
        ):
            yield at(node), ast.unparse(node)


def process_hash(path: PurePosixPath, module: ast.Module) -> Iterator[Finding]:
    """`hash()` of a text differs from process to process."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "hash":
            yield at(node), ast.unparse(node)


def set_order(path: PurePosixPath, module: ast.Module) -> Iterator[Finding]:
    """The order of a set is nobody's: sort it first."""
    for node in ast.walk(module):
        if isinstance(node, ast.For | ast.comprehension):
            sets = isinstance(node.iter, ast.Set | ast.SetComp) or called(node.iter) in {"set", "frozenset"}
            if sets:
                yield at(node.iter), f"iterates over {ast.unparse(node.iter)}"


def unstable_sort(path: PurePosixPath, module: ast.Module) -> Iterator[Finding]:
    """Ties keep the order of the log."""
    for node in ast.walk(module):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        array_sort = node.func.attr == "sort" and ast.unparse(node.func.value) in {"np", "numpy"}
        if array_sort or node.func.attr in {"argsort", "argpartition"}:
            kinds = [ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg == "kind"]
            if kinds != ["'stable'"] and not (kinds == ["'mergesort'"] and in_kernels(path)):  # Numba's word for it
                yield at(node), ast.unparse(node)


def numba_outside(path: PurePosixPath, module: ast.Module) -> Iterator[Finding]:
    """Numba is imported in kernels, and kernels import little else."""
    for node in ast.walk(module):
        for name in sorted(imported(node, whole=True)):
            if not in_kernels(path):
                if name.split(".")[0] in {"numba", "llvmlite"}:
                    yield at(node), f"imports {name}"
            elif name not in KERNEL_IMPORTS and not name.startswith("headrace.kernels"):
                yield at(node), f"imports {name}"


def kernel_manner(path: PurePosixPath, module: ast.Module) -> Iterator[Finding]:
    """A kernel is cached, lets others run, raises and prints nothing, and calls no function of the C library."""
    if not in_kernels(path):
        return
    for statement in module.body:
        if isinstance(statement, ast.FunctionDef):
            if [ast.unparse(decorator) for decorator in statement.decorator_list] != [DECORATOR]:
                yield at(statement), f"{statement.name} is not @{DECORATOR}"
        elif isinstance(statement, ast.ClassDef):
            yield at(statement), f"{statement.name} is a class"
    for node in ast.walk(module):
        if isinstance(node, ast.Raise | ast.Assert | ast.Global):
            yield at(node), ast.unparse(node)
        if called(node) == "print":
            yield at(node), ast.unparse(node)
        if isinstance(node, ast.Attribute) and node.attr in LIBM and ast.unparse(node.value) in {"np", "numpy", "math"}:
            yield at(node), ast.unparse(node)


def blas(path: PurePosixPath, module: ast.Module) -> Iterator[Finding]:
    """A matrix product adds in an order of its own, so no feature and no model uses one."""
    if not path.parts or path.parts[0] not in {"kernels", "features", "models"}:
        return
    for node in ast.walk(module):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
            yield at(node), ast.unparse(node)
        if isinstance(node, ast.Call) and called(node) in {"dot", "einsum", "inner", "matmul", "tensordot", "vdot"}:
            yield at(node), ast.unparse(node)


def vague_name(path: PurePosixPath, module: ast.Module) -> Iterator[Finding]:
    """A module is named by what it holds."""
    for part in (*path.parts[:-1], path.stem):
        if part in VAGUE:
            yield 1, f"is called {part}"


def exports(path: PurePosixPath, module: ast.Module) -> Iterator[Finding]:
    """`__all__` names what the module defines, once, and nothing that starts with an underscore."""
    listed = public_names(module)
    if listed is None:
        return
    bound = bound_names(module)
    for name in listed:
        if name not in bound:
            yield 1, f"__all__ lists {name}, which is not there"
        if name.startswith("_") and not name.startswith("__"):
            yield 1, f"__all__ lists {name}, which is private"
    if len(set(listed)) != len(listed):
        yield 1, "__all__ lists a name twice"


RULES: tuple[Rule, ...] = (
    wall_clock,
    global_random,
    pickle,
    naive_datetime,
    process_hash,
    set_order,
    unstable_sort,
    numba_outside,
    kernel_manner,
    blas,
    vague_name,
    exports,
)


def broken(rule: Rule, folder: Path) -> list[str]:
    """Return what breaks a rule in a package, as path:line: text."""
    found = []
    for file in sorted(folder.rglob("*.py")):
        path = PurePosixPath(file.relative_to(folder).as_posix())
        module = ast.parse(file.read_text(encoding="utf-8"))
        found += [f"{path}:{line}: {text}" for line, text in rule(path, module)]
    return found


def classes_neither_abstract_nor_final(folder: Path) -> list[str]:
    """Return the classes that are neither marked final, nor abstract, nor extended anywhere in the package."""
    classes: list[tuple[str, ast.ClassDef]] = []
    for file in sorted(folder.rglob("*.py")):
        path = file.relative_to(folder).as_posix()
        module = ast.parse(file.read_text(encoding="utf-8"))
        classes += [(path, node) for node in ast.walk(module) if isinstance(node, ast.ClassDef)]
    bases = {name for _, node in classes for name in base_names(node)}
    return [
        f"{path}:{node.lineno}: {node.name}"
        for path, node in classes
        if "final" not in {ast.unparse(decorator).split(".")[-1] for decorator in node.decorator_list}
        and not base_names(node) & SETTLED
        and node.name not in bases
    ]


def in_kernels(path: PurePosixPath) -> bool:
    """Tell whether a module is one of the kernels."""
    return path.parts[:1] == ("kernels",)


def imported(node: ast.AST, *, whole: bool = False) -> set[str]:
    """Return the modules that a statement imports; their top packages unless `whole`."""
    match node:
        case ast.Import():
            names = {alias.name for alias in node.names}
        case ast.ImportFrom(module=str() as name, level=0):
            names = {name}
        case _:
            names = set()
    return names if whole else {name.split(".")[0] for name in names}


def at(node: ast.AST) -> int:
    """Return the line of a node."""
    line: int = getattr(node, "lineno", 1)
    return line


def dotted(node: ast.AST) -> str | None:
    """Return the last two parts of a dotted name."""
    return ".".join(ast.unparse(node).split(".")[-2:]) if isinstance(node, ast.Attribute) else None


def called(node: ast.AST) -> str | None:
    """Return the last part of the name that a call calls."""
    match node:
        case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Attribute(attr=name)):
            return name
        case _:
            return None


def arguments(node: ast.AST) -> list[ast.expr]:
    """Return what a call is given by position."""
    return node.args if isinstance(node, ast.Call) else []


def constants(node: ast.AST) -> list[object]:
    """Return the constants that a call is given by position."""
    return [argument.value for argument in arguments(node) if isinstance(argument, ast.Constant)]


def base_names(node: ast.ClassDef) -> set[str]:
    """Return the names of the classes that a class extends, without their parameters."""
    return {ast.unparse(base).split("[")[0].split(".")[-1] for base in node.bases}


def public_names(module: ast.Module) -> list[str] | None:
    """Return `__all__`, or None where there is none."""
    for statement in module.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                return [str(name) for name in ast.literal_eval(value)]
    return None


def bound_names(module: ast.Module) -> set[str]:
    """Return the names that a module's statements bind, those in `if` and `try` included."""
    names: set[str] = set()
    for node in module.body:
        for inner in ast.walk(node) if isinstance(node, ast.If | ast.Try) else [node]:
            match inner:
                case ast.Import() | ast.ImportFrom():
                    names |= {alias.asname or alias.name.split(".")[0] for alias in inner.names}
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                    names.add(inner.name)
                case ast.Assign():
                    names |= {
                        name.id for target in inner.targets for name in ast.walk(target) if isinstance(name, ast.Name)
                    }
                case ast.AnnAssign(target=ast.Name(id=name)):
                    names.add(name)
    return names
