"""Luck, derived: one seed, and everything that is drawn is a hash of it and of what it is drawn for.

No generator object is kept anywhere, so nothing has to be saved, restored or shared, and the order in which things happen
cannot change what is drawn.
"""

from __future__ import annotations

import random
from hashlib import blake2b

__all__ = ["derive", "fill_seed", "generator", "unit"]


def derive(*parts: int | str) -> int:
    """A 63-bit seed that depends on every part and on their order (blake2b; the same on every machine)."""
    return _hash(parts) >> 1


def unit(*parts: int | str) -> float:
    """A number in [0, 1) that depends on every part and on their order: over all parts, uniform among the multiples of 2**-53,
    as `random.random()` is."""
    return (_hash(parts) >> 11) * 2**-53


def fill_seed(search: int, trial: int) -> int:
    """The seed from which a trial draws the parameters that nobody proposed values for.

    A random oracle draws its proposals from the same one, so a parameter has the same value in a trial whether it was known
    when the trial was proposed or was named by it; and the number of workers changes nothing.
    """
    return derive(search, "fill", trial)


def generator(*parts: int | str) -> random.Random:
    """A fresh `random.Random` seeded with `derive(*parts)`."""
    return random.Random(derive(*parts))  # noqa: S311 -- a search, not a secret


def _hash(parts: tuple[int | str, ...]) -> int:
    # What Python would read back as these parts, so no two lists of parts share it. In ASCII: which of the other characters are
    # printable depends on the version of Python.
    return int.from_bytes(blake2b(ascii(parts).encode(), digest_size=8).digest(), "big")
