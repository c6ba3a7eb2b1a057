"""Quasi-random search: points that fill the space more evenly than chance does."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar, Final, Literal

from attrs import define, field

from asynctune.errors import ConfigurationError
from asynctune.oracles.base import Oracle
from asynctune.records import Suggestion, TrialId, Value
from asynctune.seeds import derive
from asynctune.space import Space
from asynctune.space.conditions import cases_of
from asynctune.validators import flag, one_of

__all__ = ["QuasiRandom"]

_BLOCK: Final = 256  # points that are worked out together; a power of two, as Sobol' points are balanced
_BITS: Final = 32  # of a Sobol' point, the most with which SciPy can go to a point without making those before it
_MOST_SOBOL: Final = 21_201  # dimensions for which SciPy has direction numbers


@define(kw_only=True, eq=False, slots=False)
class QuasiRandom(Oracle):
    """The points of a low-discrepancy sequence, one after the other: any first n of them fill the space evenly, in every
    parameter and in every few of them together, where drawing at random leaves holes and clusters (Bousquet et al., "Critical
    Hyper-Parameters: No Random, No Cry", 2017).

    Trial n gets point n. So its proposal depends on the search's seed, on n, and on the space, and on nothing else: not on the
    number of workers, nor on where the search was interrupted. In a discrete space several points may be one combination; the
    second time, one that is left over is proposed instead. While no parameter is known, trials are proposed without values and
    draw them at random, and a space that grows has a sequence of its own from then on: declare the space.

    A parameter has a dimension of its own for each condition under which it is active; where it is not, the point's coordinate
    is ignored.

    Needs SciPy, `pip install "asynctune[quasi]"`, which is imported when the first proposal is made.

    Args:
        sequence: "sobol" (Sobol', 1967, with the direction numbers of Joe and Kuo, 2008; for at most 21,201 dimensions) or
            "halton" (Halton, 1960). The first 2**m Sobol' points are balanced: `max_trials` is best a power of two.
        scramble: whether the sequence is scrambled by the search's seed: Sobol's by a linear matrix scramble with a digital
            shift (Matousek, 1998), Halton's by permutations of its digits (Owen, 2017). Without it, all seeds get the same
            points, and the first is the lowest of everything.

    Raises:
        ConfigurationError: for another argument, or if SciPy is not installed.
    """

    # It learns nothing from waiting.
    ahead: ClassVar[int] = 64
    several: ClassVar[bool] = True
    learns: ClassVar[bool] = False

    sequence: Literal["sobol", "halton"] = field(default="sobol", validator=one_of("sobol", "halton"))
    scramble: bool = field(default=True, validator=flag)
    # The points that were worked out last, the number of the first, and how many dimensions they have.
    _points: list[list[float]] = field(init=False, repr=False, factory=list)
    _first: tuple[int, int] = field(init=False, repr=False, default=(0, 0))

    def __attrs_post_init__(self) -> None:
        if find_spec("scipy") is None:
            raise ConfigurationError('QuasiRandom() needs the package scipy: pip install "asynctune[quasi]"')

    def populate_space(self, trial_id: TrialId, space: Space) -> Suggestion:
        """The point of this trial."""
        cases = {name: cases_of(parameter) for name, parameter in space.items()}
        if not cases:
            return Suggestion.run({})
        units = iter(self._point(trial_id, sum(map(len, cases.values()))))
        values: dict[str, Value] = {}
        for name, each in cases.items():
            met = [(case, unit) for case, unit in zip(each, units, strict=False) if case.is_met(values)]
            if met:
                case, unit = met[0]
                values[name] = case.domain.from_unit(unit)
        return Suggestion.run(values)

    def _point(self, number: int, dimensions: int) -> list[float]:
        """A number in [0, 1] for each dimension."""
        start = number - number % _BLOCK
        if not self._points or self._first != (start, dimensions):
            self._points, self._first = self._block(start, dimensions), (start, dimensions)
        return self._points[number - start]

    def _block(self, start: int, dimensions: int) -> list[list[float]]:
        # Made anew for each block: an engine of SciPy's has a memory, and a function of the number has none.
        qmc: Any = import_module("scipy.stats.qmc")
        luck = derive(self.seed, "quasi", self.sequence)
        engine: Any
        if self.sequence == "halton":
            engine = qmc.Halton(dimensions, scramble=self.scramble, rng=luck)
        elif dimensions > _MOST_SOBOL:
            message = f"Sobol' points have at most {_MOST_SOBOL:,} dimensions, and there are {dimensions:,} parameters"
            raise ConfigurationError(f'{message}: QuasiRandom(sequence="halton") takes any number')
        else:
            engine = qmc.Sobol(dimensions, scramble=self.scramble, bits=_BITS, rng=luck)
        if start:
            engine.fast_forward(start)
        points: list[list[float]] = engine.random(_BLOCK).tolist()
        return points

    def settings(self) -> Mapping[str, Any]:
        """What makes it propose as it does."""
        return {"sequence": self.sequence, "scramble": self.scramble}
