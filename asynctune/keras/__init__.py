"""Keras inside trials. Importing this imports no Keras: it is fetched in the runner, when a callback is made."""

from __future__ import annotations

__all__: list[str] = []
