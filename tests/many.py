"""What is tried every time, and what only before a release, by `nox -s many`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

__all__ = ["few"]


def few(count: int, variants: Iterable[Any]) -> list[Any]:
    """Variants for `pytest.mark.parametrize`: the first `count` of them are tried every time, all of them in `nox -s many`.

    A variant of several arguments is a tuple of them.
    """
    return [
        pytest.param(*(variant if isinstance(variant, tuple) else (variant,)), marks=pytest.mark.many if place >= count else ())
        for place, variant in enumerate(variants)
    ]
