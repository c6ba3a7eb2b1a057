"""What both contracts vary."""

from __future__ import annotations

import copy
import pickle
from typing import Any, Final

import pytest

__all__ = ["COPIES", "SEEDS"]


def _pickled(plugin: Any) -> Any:
    return pickle.loads(pickle.dumps(plugin))  # noqa: S301 -- our own


SEEDS: Final = pytest.mark.parametrize("seed", range(6))
COPIES: Final = pytest.mark.parametrize("copied", [copy.deepcopy, _pickled])
