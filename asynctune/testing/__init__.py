"""What we test with, you test with: a virtual clock, a simulated runner, contracts for plugins."""

from __future__ import annotations

__all__: list[str] = []
