"""Parameters in the layout of KerasTuner's `HyperParameters.get_config()`, which its saved searches are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

from asynctune.errors import SpaceError
from asynctune.records import Values
from asynctune.space.checks import sound_name, wrong
from asynctune.space.conditions import Case, Cases, Condition, Parameter, cases_of, joined
from asynctune.space.domains import Domain
from asynctune.space.order import ordered
from asynctune.wire import plain

__all__ = ["as_config", "parameters_of"]

_KINDS: Final[Mapping[str, Any]] = {kind.__name__: kind for kind in get_args(Domain)}


def as_config(parameters: Mapping[str, Parameter], values: Values) -> dict[str, Any]:
    """`parameters` and `values`, with nothing in it that JSON has not: an entry for each case of each parameter."""
    space = [_entry(name, case) for name, parameter in parameters.items() for case in cases_of(parameter)]
    return {"space": space, "values": dict(values)}


def _entry(name: str, case: Case) -> dict[str, Any]:
    said = plain(case.domain, Domain)
    if said.pop("is_grid", False):
        said["grid"] = True
    conditions = [
        {"class_name": "Parent", "config": {"name": each.parent, "values": list(each.values)}} for each in case.conditions
    ]
    return {"class_name": said.pop("type"), "config": {"name": name, **said, "conditions": conditions}}


def parameters_of(config: Any) -> dict[str, Parameter]:
    """The parameters of such a layout.

    Raises:
        SpaceError: for what is none; names the parameter.
    """
    entries = config.get("space") if isinstance(config, Mapping) else None
    if not isinstance(entries, list | tuple):
        raise wrong("from_config()", 'what get_config() gives: {"space": [...], "values": {...}}', config)
    found: dict[str, Parameter] = {}
    for entry in entries:
        name, new = _parameter(entry)
        found[name] = joined(name, found[name], new) if name in found else new
    return ordered(found)


def _parameter(entry: Any) -> tuple[str, Parameter]:
    config = entry.get("config") if isinstance(entry, Mapping) else None
    if not isinstance(config, Mapping) or entry.get("class_name") not in _KINDS:
        raise wrong("from_config()", f'parameters such as {{"class_name": "Int", "config": {{...}}}} ({_known()})', entry)
    name = sound_name(config.get("name"))
    arguments = {key: value for key, value in config.items() if key not in {"name", "conditions"}}
    try:
        domain: Domain = _KINDS[entry["class_name"]](**arguments)
        conditions = tuple(_condition(each) for each in config.get("conditions") or ())
    except (SpaceError, TypeError) as error:
        raise SpaceError(f"from_config(): parameter {name!r}: {error}") from None
    return name, Cases([Case(conditions, domain)]) if conditions else domain


def _condition(said: Any) -> Condition:
    config = said.get("config") if isinstance(said, Mapping) and said.get("class_name") == "Parent" else None
    if not isinstance(config, Mapping) or config.keys() != {"name", "values"}:
        raise wrong("a condition", '{"class_name": "Parent", "config": {"name": ..., "values": [...]}}', said)
    return Condition(config["name"], config["values"])


def _known() -> str:
    return ", ".join(sorted(_KINDS))
