"""A space for people: as data, and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from asynctune.space.conditions import Case, Parameter, cases_of
from asynctune.space.domains import Domain
from asynctune.wire import plain

__all__ = ["summary", "table"]

_WIDEST = 60  # characters of a cell


def summary(parameters: Mapping[str, Parameter]) -> list[dict[str, Any]]:
    """A dict for each case of each parameter, with nothing in it that JSON has not."""
    return [_entry(name, case) for name, parameter in parameters.items() for case in cases_of(parameter)]


def _entry(name: str, case: Case) -> dict[str, Any]:
    said = plain(case.domain, Domain)
    conditions = [{"parent": each.parent, "values": list(each.values)} for each in case.conditions]
    kind = said.pop("type")
    return {"name": name, "kind": kind, **said, "default": case.domain.default, "conditions": conditions}


def table(parameters: Mapping[str, Parameter], size: int | None) -> str:
    """A line for each case of each parameter, below a headline."""
    number = f"{len(parameters)} parameter{'' if len(parameters) == 1 else 's'}"
    sets = "any number of combinations" if size is None else f"{size:,} combination{'' if size == 1 else 's'}"
    if not parameters:
        return "no parameters"
    rows = [("name", "domain", "default", "when")]
    for name, parameter in parameters.items():
        for place, case in enumerate(cases_of(parameter)):
            when = " and ".join(condition.describe() for condition in case.conditions)
            rows.append((name if place == 0 else "", _domain(case.domain), repr(case.domain.default), when))
    return "\n".join([f"{number}, {sets}", "", *_aligned(rows)])


def _domain(domain: Domain) -> str:
    # The default has a column of its own.
    text = domain.describe()
    end = f"default {domain.default!r})"
    return f"{text.removesuffix(end).removesuffix(', ')})" if text.endswith(end) else text


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    cut = [tuple(cell if len(cell) <= _WIDEST else f"{cell[: _WIDEST - 3]}..." for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cut, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cut]
