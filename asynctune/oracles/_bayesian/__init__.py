"""What `BayesianOptimization` thinks with. NumPy, SciPy and scikit-learn are imported here, and only here; so nothing imports
from here before a model is needed."""

from __future__ import annotations

__all__: list[str] = []
