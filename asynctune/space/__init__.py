"""What may be tried: the domains of single parameters, and the spaces that are declared, or found while trials run."""

from __future__ import annotations

from asynctune.space.conditions import Case, Cases, Condition, Parameter
from asynctune.space.domains import Boolean, Choice, Domain, Fixed, Float, Int, Normal, Sampling
from asynctune.space.encoding import Encoding, Fill, FillRule, draw
from asynctune.space.hyperparameters import HyperParameters
from asynctune.space.space import Space
from asynctune.space.when import When

__all__ = [
    "Boolean",
    "Case",
    "Cases",
    "Choice",
    "Condition",
    "Domain",
    "Encoding",
    "Fill",
    "FillRule",
    "Fixed",
    "Float",
    "HyperParameters",
    "Int",
    "Normal",
    "Parameter",
    "Sampling",
    "Space",
    "When",
    "draw",
]
