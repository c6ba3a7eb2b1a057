"""What may be tried: the domains of single parameters, and the spaces that are declared, or found while trials run."""

from __future__ import annotations

from asynctune.space.conditions import Case, Cases, Condition, Parameter
from asynctune.space.domains import Boolean, Choice, Domain, Fixed, Float, Int, Sampling
from asynctune.space.encoding import Fill, FillRule, draw, from_units, to_units
from asynctune.space.hyperparameters import HyperParameters
from asynctune.space.space import Space

__all__ = [
    "Boolean",
    "Case",
    "Cases",
    "Choice",
    "Condition",
    "Domain",
    "Fill",
    "FillRule",
    "Fixed",
    "Float",
    "HyperParameters",
    "Int",
    "Parameter",
    "Sampling",
    "Space",
    "draw",
    "from_units",
    "to_units",
]
