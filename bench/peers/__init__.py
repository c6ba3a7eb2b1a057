"""The same work, done by other systems: each program runs in an environment of its own, where asynctune is not installed.

    python -m bench.peers.with_optuna dispatch '{"storage": "sqlite", "trials": 200}'

Nothing here imports asynctune, or anything of the benches that does. The last line that a program prints is its answer,
in JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping

__all__ = ["answer"]


def answer(programs: Mapping[str, Callable[..., object]]) -> None:
    """Run the program that the command line names, with the arguments that it gives in JSON, and print what it returns."""
    print("\n" + json.dumps(programs[sys.argv[1]](**json.loads(sys.argv[2]))))
