"""Futures that are settled from elsewhere, when whoever waited for them may be gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

__all__ = ["failed", "settled"]

T = TypeVar("T")


def settled(future: asyncio.Future[T]) -> Callable[[T], None]:
    """Sets the result, unless the future was settled or cancelled."""

    def settle(value: T) -> None:
        if not future.done():
            future.set_result(value)

    return settle


def failed(future: asyncio.Future[T]) -> Callable[[BaseException], None]:
    """Sets the exception, unless the future was settled or cancelled."""

    def fail(error: BaseException) -> None:
        if not future.done():
            future.set_exception(error)

    return fail
