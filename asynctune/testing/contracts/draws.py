"""What both contracts draw from."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any, Final

import pytest

__all__ = ["COPIES", "ODD", "SEEDS"]


def _pickled(plugin: Any) -> Any:
    return pickle.loads(pickle.dumps(plugin))  # noqa: S301 -- our own


SEEDS: Final = pytest.mark.parametrize("seed", range(6))
COPIES: Final = pytest.mark.parametrize("copied", [copy.deepcopy, _pickled])

# What metrics can be: everything that a float can be, ties, the ends of the floats.
ODD: Final = (math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, 1.0, 1e18, 1.7e308, -1.7e308, 5e-324)
