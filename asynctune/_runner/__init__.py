"""The other side of the pipe: guard, zygotes, and the process that runs a trial.

Every runner imports this room, so it imports nothing that is slow to import, and never the engine.
"""

from __future__ import annotations

__all__: list[str] = []
