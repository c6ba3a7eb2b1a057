"""Shows attrs classes in the reference as they are called: names, types and defaults, read from the source.

An extension of griffe, which reads the package for mkdocstrings. It knows dataclasses, and not attrs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import griffe

__all__ = ["AttrsSignatures"]

_DECORATORS = {"attrs.frozen", "attrs.define", "attrs.mutable"}


class AttrsSignatures(griffe.Extension):
    """Gives each attrs class the `__init__` that attrs gives it."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Called when the whole package has been read."""
        for each in list(_classes(pkg)):
            if _decorator(each) is not None and "__init__" not in each.members:
                _give_init(each)


def _classes(inside: griffe.Module | griffe.Class) -> Iterator[griffe.Class]:
    for member in inside.members.values():
        if isinstance(member, griffe.Class):
            yield member
        if isinstance(member, griffe.Class | griffe.Module):
            yield from _classes(member)


def _decorator(each: griffe.Class) -> griffe.Expr | None:
    for decorator in each.decorators:
        value = decorator.value
        if isinstance(value, griffe.Expr) and value.canonical_path in _DECORATORS:
            return value
    return None


def _arguments(value: Any) -> dict[str, Any]:
    found = value.arguments if isinstance(value, griffe.ExprCall) else ()
    return {each.name: each.value for each in found if isinstance(each, griffe.ExprKeyword)}


def _give_init(each: griffe.Class) -> None:
    given: dict[str, griffe.Parameter] = {}
    for parent in [*reversed(each.mro()), each]:
        if (decorator := _decorator(parent)) is not None:
            keyword_only = str(_arguments(decorator).get("kw_only")) == "True"
            given |= {parameter.name: parameter for parameter in _fields(parent, keyword_only=keyword_only)}
    ordered = sorted(given.values(), key=lambda parameter: parameter.kind is griffe.ParameterKind.keyword_only)
    this = griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)
    each.set_member("__init__", griffe.Function("__init__", parameters=griffe.Parameters(this, *ordered), returns="None"))


def _fields(each: griffe.Class, *, keyword_only: bool) -> Iterator[griffe.Parameter]:
    for member in each.members.values():
        if not isinstance(member, griffe.Attribute) or member.annotation is None or "instance-attribute" not in member.labels:
            continue
        value: Any = member.value
        if isinstance(value, griffe.ExprCall) and value.canonical_path == "attrs.field":
            said = _arguments(value)
            if str(said.get("init")) == "False":
                continue
            keyword_only_here = keyword_only or str(said.get("kw_only")) == "True"
            value = griffe.ExprCall(said["factory"], []) if "factory" in said else said.get("default")
        else:
            keyword_only_here = keyword_only
        kind = griffe.ParameterKind.keyword_only if keyword_only_here else griffe.ParameterKind.positional_or_keyword
        yield griffe.Parameter(member.name.lstrip("_"), annotation=member.annotation, kind=kind, default=value)
