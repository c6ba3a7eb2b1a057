"""Observers listen: they read the events of a search by cursor, may have side effects, and cannot hurt it."""

from __future__ import annotations

__all__: list[str] = []
