"""How well oracles propose, and what a proposal costs.

    python -m bench.oracles [--seeds 30] [--trials 100] [--problems NAME ...] [--oracles NAME ...] [--kept FILE]
                            [--keras-tuner PYTHON] [--costs] [--real]

Each oracle plays each problem of `bench.oracle_problems` with each seed, one trial after the other. Shown is the median over
the seeds of the regret after the last trial, with the 95 % interval of 10,000 bootstrap samples. Two are compared by the
difference of their medians of log10(regret), whose interval says whether they are apart. `--kept` is a file of JSON lines to
which every game is added, and games that are in it are not played again: KerasTuner's take hours. `--costs` shows what one
proposal costs after 100, 1,000 and 10,000 trials; `--real` plays with a scikit-learn and a Keras model on digits.
"""

from __future__ import annotations

import json
import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from attrs import frozen

import asynctune as at
from asynctune.records import SuggestionStatus
from asynctune.testing import OracleRehearsal
from bench.common import ask, headline, peers_parser, table
from bench.oracle_costs import show_costs
from bench.oracle_direct import DIRECT, playable
from bench.oracle_problems import PROBLEMS, Problem, regrets
from bench.oracle_real import REAL, posed

__all__ = ["OURS", "Game", "compared", "play", "space_of"]

_TINY = 1e-9  # a regret that is as good as none
_SAMPLES = 10_000
_KEPT = (10, 25, 50, 100)  # trials, after which the regret of a game is kept
OURS: Mapping[str, Callable[[], at.Oracle]] = {
    "RandomSearch": at.oracles.RandomSearch,
    "QuasiRandom": at.oracles.QuasiRandom,
    "RegularizedEvolution": at.oracles.RegularizedEvolution,
    "BayesianOptimization": at.oracles.BayesianOptimization,
    "TPE": at.oracles.TPE,
    "CMAES": at.oracles.CMAES,
}
THEIRS = "KerasTuner's BayesianOptimization"


@frozen
class Game:
    """One oracle on one problem with one seed.

    Args:
        regrets: after each trial; of one that was kept, after some of them.
        seconds: that each proposal took; of one that was kept, their sum.
    """

    oracle: str
    problem: str
    seed: int
    regrets: Sequence[float]
    seconds: Sequence[float]


def space_of(problem: Problem) -> at.HyperParameters:
    """The problem's parameters, as ours."""
    hp = at.HyperParameters()
    for given in problem.parameters:
        under = {"parent_name": given["parent"], "parent_values": given["parent_values"]} if "parent" in given else {}
        if given["kind"] == "choice":
            hp.Choice(given["name"], given["values"], **under)
        else:
            declare: Callable[..., Any] = hp.Int if given["kind"] == "int" else hp.Float
            sampling = "log" if given.get("log") else "linear"
            declare(given["name"], given["low"], given["high"], step=given.get("step"), sampling=sampling, **under)
    return hp


def play(name: str, problem: str, trials: int, seed: int) -> Game:
    """Play one game."""
    setting = posed(problem)
    luck = random.Random(f"{problem}/{seed}")
    if name in DIRECT:
        return Game(name, problem, seed, *DIRECT[name](setting, trials, seed, luck))
    rehearsal = OracleRehearsal(OURS[name](), space=space_of(setting), objective=at.Objective("y", "min"), seed=seed)
    observed, true, seconds = list[float](), list[float](), list[float]()
    for trial in range(trials):
        began = time.perf_counter()
        suggestion = rehearsal.ask()
        seconds.append(time.perf_counter() - began)
        if suggestion.status is not SuggestionStatus.RUNNING:
            break
        true.append(setting.true(suggestion.values))
        observed.append(setting.observed(suggestion.values, luck))
        rehearsal.complete(trial, observed[-1])
    return Game(name, problem, seed, regrets(setting, observed, true), seconds)


def theirs(python: str, problem: str, trials: int, seed: int) -> Game:
    """KerasTuner's game."""
    said = ask(python, "keras_tuner_oracles", "play", kind="bayesian", problem=problem, trials=trials, seed=seed)
    return Game(THEIRS, problem, seed, regrets(posed(problem), said["observed"], said["true"]), said["seconds"])


# ---------------------------------------------------------------------------------------------------- what came of it


def _bootstrapped(values: Sequence[float], luck: random.Random) -> list[float]:
    return [statistics.median(luck.choices(values, k=len(values))) for _ in range(_SAMPLES)]


def _interval(samples: Iterable[float]) -> tuple[float, float]:
    ordered = sorted(samples)
    return ordered[int(len(ordered) * 0.025)], ordered[int(len(ordered) * 0.975)]


def median(regret: Sequence[float]) -> tuple[float, float, float]:
    """The median, and its interval."""
    return statistics.median(regret), *_interval(_bootstrapped(regret, random.Random(0)))


def compared(one: Sequence[float], other: Sequence[float]) -> tuple[float, float, float]:
    """By how many powers of ten the median regret of `one` is below that of `other`, and the interval of that."""
    luck = random.Random(0)
    logs = [[math.log10(max(value, _TINY)) for value in values] for values in (one, other)]
    samples = [_bootstrapped(values, luck) for values in logs]
    differences = (theirs - ours for ours, theirs in zip(*samples, strict=True))
    return statistics.median(logs[1]) - statistics.median(logs[0]), *_interval(differences)


def together(pairs: Sequence[tuple[Sequence[float], Sequence[float]]]) -> tuple[float, float, float]:
    """The same over several problems, each given as the regrets of both: the mean over the problems, and its interval. Seeds
    are drawn anew within each problem; the problems are these, and no sample of others."""
    luck = random.Random(0)
    each = []
    for both in pairs:
        logs = [[math.log10(max(value, _TINY)) for value in values] for values in both]
        ours, theirs = (_bootstrapped(values, luck) for values in logs)
        middle = statistics.median(logs[1]) - statistics.median(logs[0])
        each.append([middle, *(other - one for one, other in zip(ours, theirs, strict=True))])
    middle, *samples = map(statistics.fmean, zip(*each, strict=True))
    return middle, *_interval(samples)


def _said(difference: tuple[float, float, float]) -> str:
    middle, low, high = difference
    verdict = "ahead" if low > 0 else "behind" if high < 0 else "equal"
    return f"{verdict} {middle:+.2f} ({low:+.2f} to {high:+.2f})"


def show(games: Sequence[Game], pairs: Sequence[tuple[str, str]]) -> None:
    """Print the tables."""
    found: dict[str, dict[str, list[float]]] = {}
    for game in games:
        found.setdefault(game.problem, {}).setdefault(game.oracle, []).append(game.regrets[-1])
    oracles = list(dict.fromkeys(game.oracle for game in games))
    rows = []
    for problem, by in found.items():
        cells = []
        for oracle in oracles:
            middle, low, high = median(by[oracle]) if oracle in by else (math.nan,) * 3
            cells.append(f"{middle:.3g} ({low:.2g} to {high:.2g}; {len(by.get(oracle, []))})" if oracle in by else "")
        rows.append([problem, *cells])
    table(["median regret (95 %; seeds)", *oracles], rows)
    for one, other in pairs:
        both = {problem: by for problem, by in found.items() if one in by and other in by}
        if both:
            print()
            said = {problem: _said(compared(by[one], by[other])) for problem, by in both.items()}
            total = _said(together([(by[one], by[other]) for by in both.values()]))
            table(
                [f"{one} beside {other}", "powers of ten by which the median regret is lower"],
                [[*row] for row in [*said.items(), ("all of them (mean)", total)]],
            )
            counts = {word: sum(text.startswith(word) for text in said.values()) for word in ("ahead", "equal", "behind")}
            print(", ".join(f"{word} on {count}" for word, count in counts.items()))


# ------------------------------------------------------------------------------------------------------------ the games


def _kept(path: Path | None) -> list[Game]:
    if path is None or not path.exists():
        return []
    return [Game(**json.loads(line)) for line in path.read_text().splitlines()]


def _keep(path: Path | None, game: Game) -> None:
    if path is None:
        return
    shown = [game.regrets[min(trial, len(game.regrets)) - 1] for trial in _KEPT]
    cut = {"regrets": [float(f"{value:.6g}") for value in shown], "seconds": [round(sum(game.seconds), 3)]}
    with path.open("a") as file:
        file.write(json.dumps({"oracle": game.oracle, "problem": game.problem, "seed": game.seed, **cut}) + "\n")


def main() -> int:
    """Play, and show."""
    parser = peers_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--problems", nargs="*", default=list(PROBLEMS))
    parser.add_argument("--oracles", nargs="*", default=[*OURS, *DIRECT])
    parser.add_argument("--kept", type=Path, help="a file of games")
    parser.add_argument("--workers", type=int, default=2, help="games that are played at once")
    parser.add_argument("--costs", action="store_true", help="show what one proposal costs, and nothing else")
    parser.add_argument("--real", action="store_true", help="play on models of digits, and on nothing else")
    given = parser.parse_args()
    headline()
    if given.costs:
        return show_costs(OURS)
    problems = list(REAL) if given.real else given.problems
    games = [game for game in _kept(given.kept) if game.problem in problems]
    known = {(game.oracle, game.problem, game.seed) for game in games}
    wanted = [
        (oracle, problem, seed)
        for seed in range(given.seeds)
        for problem in problems
        for oracle in given.oracles
        if oracle in OURS or playable(oracle, posed(problem))
    ]
    peers = [(THEIRS, problem, seed) for seed in range(given.seeds) for problem in problems if given.keras_tuner]
    with ProcessPoolExecutor(given.workers, mp_context=get_context("spawn")) as pool:
        waited = [pool.submit(play, *each[:2], given.trials, each[2]) for each in wanted if each not in known]
        waited += [
            pool.submit(theirs, given.keras_tuner, each[1], given.trials, each[2]) for each in peers if each not in known
        ]
        for done in as_completed(waited):
            games.append(done.result())
            _keep(given.kept, games[-1])
    pairs = [("BayesianOptimization", THEIRS), ("TPE", "Optuna's TPE"), ("CMAES", "cmaes"), ("BayesianOptimization", "TPE")]
    pairs += [(name, "RandomSearch") for name in OURS if name != "RandomSearch"]
    show([game for game in games if game.oracle in {*given.oracles, THEIRS}], pairs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
