"""Luck, derived: one seed, and everything that is drawn is a hash of it and of what it is drawn for.

No generator object is kept anywhere, so nothing has to be saved, restored or shared, and the order in which things happen
cannot change what is drawn.
"""

from __future__ import annotations

import hashlib
import random

__all__ = ["derive", "generator"]


def derive(*parts: int | str) -> int:
    """A 63-bit seed that depends on every part and on their order (blake2b; the same on every machine)."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(*parts: int | str) -> random.Random:
    """A fresh `random.Random` seeded with `derive(*parts)`."""
    return random.Random(derive(*parts))  # noqa: S311 -- a search, not a secret
