"""A space for people: as data, and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from asynctune.space.conditions import Case, Parameter, cases_of
from asynctune.space.derived import Derived
from asynctune.space.domains import Domain
from asynctune.wire import plain

__all__ = ["summary", "table"]

_WIDEST = 60  # characters of a cell
_WIDEST_RULE = 120


def summary(parameters: Mapping[str, Parameter], derived: Mapping[str, Derived]) -> list[dict[str, Any]]:
    """A dict for each case of each parameter, and for each derived value, with nothing in it that JSON has not."""
    entries = [_entry(name, case) for name, parameter in parameters.items() for case in cases_of(parameter)]
    return [*entries, *({"name": name, "kind": "Derived", "function": each.name} for name, each in derived.items())]


def _entry(name: str, case: Case) -> dict[str, Any]:
    said = plain(case.domain, Domain)
    conditions = [{"parent": each.parent, "values": list(each.values)} for each in case.conditions]
    kind = said.pop("type")
    return {"name": name, "kind": kind, **said, "default": case.domain.default, "conditions": conditions}


def table(
    parameters: Mapping[str, Parameter],
    derived: Mapping[str, Derived],
    rules: Sequence[str],
    sizes: tuple[int | None, int | None],
) -> str:
    """A line for each case of each parameter and for each derived value, below a headline; then the rules.

    Args:
        rules: a line for each.
        sizes: how many combinations there are without the rules, and with them; None where there is no end of them, or they
            were not counted.
    """
    if not parameters and not derived:
        return "no parameters"
    rows = [("name", "domain", "default", "when")]
    for name, parameter in parameters.items():
        for place, case in enumerate(cases_of(parameter)):
            when = " and ".join(condition.describe() for condition in case.conditions)
            rows.append((name if place == 0 else "", _domain(case.domain), repr(case.domain.default), when))
    rows += [(name, f"computed by {each.name}", "", "") for name, each in derived.items()]
    counted = [_counted(len(parameters), "parameter"), *([_counted(len(derived), "computed value")] if derived else [])]
    lines = [f"{' and '.join(counted)}, {_combinations(*sizes, ruled=bool(rules))}", "", *_aligned(rows)]
    return "\n".join([*lines, *([""] if rules else []), *(_cut(rule, _WIDEST_RULE) for rule in rules)])


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _combinations(size: int | None, allowed: int | None, *, ruled: bool) -> str:
    sets = "any number of combinations" if size is None else _counted(size, "combination")
    if not ruled:
        return sets
    return f"{sets}, of which the rules allow {'some' if allowed is None else f'{allowed:,}'}"


def _domain(domain: Domain) -> str:
    # The default has a column of its own.
    text = domain.describe()
    end = f"default {domain.default!r})"
    return f"{text.removesuffix(end).removesuffix(', ')})" if text.endswith(end) else text


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    cut = [tuple(_cut(cell, _WIDEST) for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cut, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cut]


def _cut(text: str, widest: int) -> str:
    return text if len(text) <= widest else f"{text[: widest - 3]}..."
