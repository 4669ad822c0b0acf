"""Generated modules: each a user's aggregate compiled into the loop of `kernels.folds`, in a cache folder."""

import hashlib
import os
import sys
import tempfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Final

from headrace.core.errors import SurroundingsError

__all__ = ["module_of"]

_FIRST: Final = "# <aggregate>\n"
_LAST: Final = "# </aggregate>\n"
_HEAD: Final = '"""Written by headrace from a user\'s aggregate and kernels/folds.py; not to be edited."""\n\n'
_FUTURE: Final = "from __future__ import annotations\n\n"  # What the user annotates with is not known there.


def module_of(code: str) -> ModuleType:
    """Return the module of an aggregate, written where Numba's cache on disk finds it again.

    code: its dtype STATE and the compiled functions begin, update, merge and finalize. The name of the file is a digest
    of its text, so that the module of another text is another file.

    Raises SurroundingsError if no folder can be written to.
    """
    text = _text(code)
    name = f"headrace_aggregate_{hashlib.sha256(text.encode()).hexdigest()[:32]}"
    known = sys.modules.get(name)
    if known is not None:
        return known
    file = _folder() / f"{name}.py"
    if not file.exists():  # Written once: Numba's cache goes by its time, too.
        _write(file, text)
    spec = spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise SurroundingsError("compiled aggregates", wanted="a module that can be imported", got=str(file))
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _text(code: str) -> str:
    template = (Path(__file__).parent.parent / "kernels" / "folds.py").read_text(encoding="utf-8")
    head, rest = template.split(_FIRST)
    _, tail = rest.split(_LAST)
    return _HEAD + _FUTURE + head.split('"""\n', 1)[1].lstrip() + _FIRST + code + "\n\n" + _LAST + tail


def _folder() -> Path:
    """Return the folder for generated modules: Numba's cache folder, the user's cache folder, or a temporary one."""
    given = [os.environ.get("NUMBA_CACHE_DIR"), os.environ.get("XDG_CACHE_HOME"), str(Path.home() / ".cache")]
    for parent in [*(Path(folder) for folder in given if folder), Path(tempfile.gettempdir())]:
        folder = parent / "headrace"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    wanted = "a folder that can be written to (NUMBA_CACHE_DIR names one)"
    raise SurroundingsError("compiled aggregates", wanted=wanted, got="none")


def _write(file: Path, text: str) -> None:
    """Write a file whole or not at all, since several processes may begin at once."""
    handle, name = tempfile.mkstemp(dir=file.parent, suffix=".part")
    with os.fdopen(handle, "w", encoding="utf-8") as part:
        part.write(text)
    Path(name).replace(file)
