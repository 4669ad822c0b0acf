"""What most verbs share: the file that declares the pipeline, its configuration, and the form of the answer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

__all__ = ["project_options"]

F = TypeVar("F", bound=Callable[..., Any])


def project_options(function: F) -> F:
    """Add FILE, --config, --pipeline and --json to a verb."""
    function = click.option("--json", "json_", is_flag=True, help="Answer with one JSON document.")(function)
    function = click.option("--pipeline", "name", help="Which pipeline, if FILE declares several.")(function)
    function = click.option(
        "--config", type=click.Path(path_type=Path), help="The configuration; headrace.toml beside FILE if left out."
    )(function)
    return click.argument("file", type=click.Path(path_type=Path))(function)
