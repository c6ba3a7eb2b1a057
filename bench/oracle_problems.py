"""What oracles are measured on: functions whose best value is known, with their parameters as plain data.

Nothing here imports asynctune, so the peers' programs measure on the same. A parameter is a dict: `kind` is "float", "int" or
"choice"; `low`, `high`, `log` and `step` bound a number; `values` lists choices; `parent` and `parent_values` name the choice
under which it is there. Less is better. The optima of the textbook functions are moved off the middle of their boxes, where
a model's first guess would find them by luck.
"""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

__all__ = ["PROBLEMS", "Problem", "drawn", "regrets"]

Parameters = tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Problem:
    """One function.

    Args:
        name: with its number of dimensions.
        family: smooth, multimodal, mixed, conditional, log or noisy.
        parameters: in order.
        true: the value, without noise.
        best: the smallest value that there is.
        noise: the standard deviation of what is added to each observation.
    """

    name: str
    family: str
    parameters: Parameters
    true: Callable[[Mapping[str, Any]], float]
    best: float
    noise: float = 0.0

    def observed(self, values: Mapping[str, Any], luck: random.Random) -> float:
        """What a trial sees."""
        return self.true(values) + (luck.gauss(0.0, self.noise) if self.noise else 0.0)


def _floats(count: int, low: float, high: float) -> Parameters:
    return tuple({"kind": "float", "name": f"x{place}", "low": low, "high": high} for place in range(count))


def _point(values: Mapping[str, Any]) -> list[float]:
    return [float(values[f"x{place}"]) for place in range(len(values))]


def _branin(values: Mapping[str, Any]) -> float:
    x, y = values["x"], values["y"]
    bowl = y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6
    return float(bowl**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10)


_PEAKS = (1.0, 1.2, 3.0, 3.2)
_WIDTHS_3 = ((3.0, 10, 30), (0.1, 10, 35), (3.0, 10, 30), (0.1, 10, 35))
_PLACES_3 = ((0.3689, 0.1170, 0.2673), (0.4699, 0.4387, 0.7470), (0.1091, 0.8732, 0.5547), (0.03815, 0.5743, 0.8828))
_WIDTHS_6 = (
    (10, 3, 17, 3.5, 1.7, 8),
    (0.05, 10, 17, 0.1, 8, 14),
    (3, 3.5, 1.7, 10, 17, 8),
    (17, 8, 0.05, 10, 0.1, 14),
)
_PLACES_6 = (
    (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886),
    (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991),
    (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650),
    (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381),
)


def _hartmann(widths: Sequence[Sequence[float]], places: Sequence[Sequence[float]]) -> Callable[[Mapping[str, Any]], float]:
    def value(values: Mapping[str, Any]) -> float:
        x = _point(values)
        total = 0.0
        for peak, width, place in zip(_PEAKS, widths, places, strict=True):
            total += peak * math.exp(-sum(w * (a - p) ** 2 for w, a, p in zip(width, x, place, strict=True)))
        return -total

    return value


def _ackley(values: Mapping[str, Any]) -> float:
    x = _point(values)
    spread = math.sqrt(sum(a * a for a in x) / len(x))
    waves = sum(math.cos(2 * math.pi * a) for a in x) / len(x)
    return -20 * math.exp(-0.2 * spread) - math.exp(waves) + 20 + math.e


def _rosenbrock(values: Mapping[str, Any]) -> float:
    x = _point(values)
    return sum(100 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in pairwise(x))


def _levy(values: Mapping[str, Any]) -> float:
    w = [1 + (a - 1) / 4 for a in _point(values)]
    middle = sum((a - 1) ** 2 * (1 + 10 * math.sin(math.pi * a + 1) ** 2) for a in w[:-1])
    return math.sin(math.pi * w[0]) ** 2 + middle + (w[-1] - 1) ** 2 * (1 + math.sin(2 * math.pi * w[-1]) ** 2)


def _styblinski_tang(values: Mapping[str, Any]) -> float:
    return sum(a**4 - 16 * a * a + 5 * a for a in _point(values)) / 2


def _griewank(values: Mapping[str, Any]) -> float:
    x = _point(values)
    waves = math.prod(math.cos(a / math.sqrt(place + 1)) for place, a in enumerate(x))
    return sum(a * a for a in x) / 4000 - waves + 1


_MIXED_BEST = {"a": (0.2, 7, 0.0), "b": (0.75, 3, 0.35), "c": (0.5, 12, 0.6), "d": (0.9, 9, 0.2)}


def _mixed(values: Mapping[str, Any]) -> float:
    # Each kind has a bowl of its own, and only one of them reaches the bottom.
    place, count, floor = _MIXED_BEST[values["kind"]]
    x, y = float(values["x"]), float(values["y"])
    bowl = 4 * (x - place) ** 2 + ((int(values["count"]) - count) / 8) ** 2
    return floor + bowl + 2 * (y - x * 0.5) ** 2 + (0.0 if values["flag"] else 0.15)


def _conditional(values: Mapping[str, Any]) -> float:
    if values["model"] == "linear":
        return 0.3 + 0.1 * (math.log10(values["penalty"]) + 2) ** 2
    if values["model"] == "forest":
        return 0.15 + 0.02 * abs(int(values["depth"]) - 9) + 0.3 * (float(values["share"]) - 0.4) ** 2
    layers = {1: 0.1, 2: 0.0, 3: 0.05}[values["layers"]]
    width = 0.05 * (math.log2(values["width"]) - 7) ** 2
    return 0.02 + layers + width + 0.08 * (math.log10(values["rate"]) + 3) ** 2


def _logs(values: Mapping[str, Any]) -> float:
    rate, decay, batch = math.log10(values["rate"]), math.log10(values["decay"]), math.log2(values["batch"])
    # A learning rate that goes with the size of the batch, and a cliff beyond the best one.
    distance = rate - (-2.5 + 0.3 * (batch - 6))
    return 0.1 + 0.3 * (distance * 3 if distance > 0 else distance) ** 2 + 0.02 * (decay + 4) ** 2 + 0.01 * (batch - 5) ** 2


_PARTS = ("stem", "block", "head", "optimizer")
_OPTIONS = tuple("abcdef")


def _weight(*words: str) -> float:
    return int.from_bytes(hashlib.blake2b("/".join(words).encode(), digest_size=4).digest(), "big") / 2**32


def _choices(values: Mapping[str, Any]) -> float:
    alone = sum(_weight(part, values[part]) for part in _PARTS)
    pairs = sum(_weight(a, values[a], b, values[b]) for a, b in pairwise(_PARTS))
    return alone + 0.5 * pairs


def _best_choice() -> float:
    found = math.inf
    for stem in _OPTIONS:
        for block in _OPTIONS:
            for head in _OPTIONS:
                for optimizer in _OPTIONS:
                    found = min(found, _choices({"stem": stem, "block": block, "head": head, "optimizer": optimizer}))
    return found


_TARGETS = (3, 17, 9, 14, 6, 11)


def _integers(values: Mapping[str, Any]) -> float:
    x = [(int(values[f"n{place}"]) - target) / 20 for place, target in enumerate(_TARGETS)]
    return sum(a * a for a in x) + 0.5 * sum((a - b) ** 2 for a, b in pairwise(x))


def _int(name: str, low: int, high: int, **more: Any) -> dict[str, Any]:
    return {"kind": "int", "name": name, "low": low, "high": high, **more}


def _float(name: str, low: float, high: float, **more: Any) -> dict[str, Any]:
    return {"kind": "float", "name": name, "low": low, "high": high, **more}


def _choice(name: str, values: Sequence[Any], **more: Any) -> dict[str, Any]:
    return {"kind": "choice", "name": name, "values": list(values), **more}


def _under(value: str) -> dict[str, Any]:
    return {"parent": "model", "parent_values": [value]}


_CONDITIONAL: Parameters = (
    _choice("model", ["linear", "forest", "net"]),
    _float("penalty", 1e-6, 1e2, log=True, **_under("linear")),
    _int("depth", 2, 20, **_under("forest")),
    _float("share", 0.1, 1.0, **_under("forest")),
    _int("layers", 1, 3, **_under("net")),
    _int("width", 16, 1024, log=True, **_under("net")),
    _float("rate", 1e-5, 1e-1, log=True, **_under("net")),
)

PROBLEMS: Mapping[str, Problem] = {
    problem.name: problem
    for problem in (
        Problem("branin-2", "smooth", (_float("x", -5, 10), _float("y", 0, 15)), _branin, 0.39788735772973816),
        Problem("hartmann-3", "smooth", _floats(3, 0, 1), _hartmann(_WIDTHS_3, _PLACES_3), -3.8627797869493365),
        Problem("hartmann-6", "smooth", _floats(6, 0, 1), _hartmann(_WIDTHS_6, _PLACES_6), -3.3223680114155147),
        Problem("rosenbrock-4", "smooth", _floats(4, -2.0, 2.6), _rosenbrock, 0.0),
        Problem("griewank-3", "multimodal", _floats(3, -14.0, 20.0), _griewank, 0.0),
        Problem("ackley-5", "multimodal", _floats(5, -22.0, 33.0), _ackley, 0.0),
        Problem("styblinski-tang-5", "multimodal", _floats(5, -5, 5), _styblinski_tang, -39.16616570377142 * 5),
        Problem("levy-10", "multimodal", _floats(10, -10, 10), _levy, 0.0),
        Problem(
            "mixed-5",
            "mixed",
            (
                _choice("kind", ["a", "b", "c", "d"]),
                _float("x", 0, 1),
                _float("y", 0, 1),
                _int("count", 1, 16),
                _choice("flag", [False, True]),
            ),
            _mixed,
            0.0,
        ),
        Problem("choices-4", "mixed", tuple(_choice(part, _OPTIONS) for part in _PARTS), _choices, _best_choice()),
        Problem("integers-6", "mixed", tuple(_int(f"n{place}", 0, 20) for place in range(6)), _integers, 0.0),
        Problem("conditional-7", "conditional", _CONDITIONAL, _conditional, 0.02),
        Problem(
            "rates-3",
            "log",
            (_float("rate", 1e-6, 1.0, log=True), _float("decay", 1e-7, 1e-1, log=True), _int("batch", 8, 512, log=True)),
            _logs,
            0.1,
        ),
        Problem(
            "noisy-hartmann-3", "noisy", _floats(3, 0, 1), _hartmann(_WIDTHS_3, _PLACES_3), -3.8627797869493365, noise=0.15
        ),
        Problem("noisy-branin-2", "noisy", (_float("x", -5, 10), _float("y", 0, 15)), _branin, 0.39788735772973816, noise=5.0),
    )
}


def drawn(problem: Problem, luck: random.Random) -> dict[str, Any]:
    """Values drawn at random: random search without anything around it, and what tests of this file draw with."""
    values: dict[str, Any] = {}
    for parameter in problem.parameters:
        if "parent" in parameter and values[parameter["parent"]] not in parameter["parent_values"]:
            continue
        values[parameter["name"]] = _drawn(parameter, luck.random(), luck)
    return values


def _drawn(parameter: Mapping[str, Any], unit: float, luck: random.Random) -> Any:
    if parameter["kind"] == "choice":
        return luck.choice(parameter["values"])
    low, high = parameter["low"], parameter["high"]
    if parameter["kind"] == "int":
        if parameter.get("log"):
            return min(int(low * ((high + 1) / low) ** unit), high)
        return luck.randint(low, high)
    return low * (high / low) ** unit if parameter.get("log") else low + (high - low) * unit


def regrets(problem: Problem, observed: Sequence[float], true: Sequence[float]) -> list[float]:
    """After each trial: by how much the true value of the trial that looked best misses the best there is."""
    found, seen, regret = [], math.inf, math.inf
    for value, truth in zip(observed, true, strict=True):
        if value < seen:
            seen, regret = value, truth - problem.best
        found.append(regret)
    return found
