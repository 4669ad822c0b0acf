"""How the command line shows things: the answer first, then an aligned table; `--json` is for machines."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import click

__all__ = ["as_json", "table"]


def as_json(value: object) -> None:
    """Print one JSON document, with keys in a fixed order."""
    click.echo(json.dumps(value, sort_keys=True, default=str))


def table(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows in aligned columns; numbers to the right."""
    texts = [[_text(cell) for cell in row] for row in rows]
    numeric = [all(_is_number(row[place]) for row in texts) and bool(texts) for place in range(len(titles))]
    widths = [max(len(title), *(len(row[place]) for row in texts), 0) for place, title in enumerate(titles)]
    for row in [list(titles), *texts]:
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:,.4f}" if abs(cell) < 1_000 else f"{cell:,.1f}"
    if isinstance(cell, int) and not isinstance(cell, bool):
        return f"{cell:,}"
    return "-" if cell is None else str(cell)


def _is_number(text: str) -> bool:
    return text == "-" or text.replace(",", "").replace(".", "").replace("-", "").isdigit()
