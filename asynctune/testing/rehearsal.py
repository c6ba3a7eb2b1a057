"""Rehearsals: a plugin, driven call by call with views made by hand. No machine, no journal, no process.

A rehearsal keeps the law for its trials, so that the plugin is told only what a search could tell it, and writes down every
call with its answer, so that they can be made again.
"""

from __future__ import annotations

import asyncio
import copy
import math
from collections.abc import Callable, Sequence
from inspect import isawaitable
from typing import Any, Final

from attrs import evolve, frozen

from asynctune.objective import Goal, Objective
from asynctune.oracles.base import Oracle
from asynctune.oracles.proposer import Proposer
from asynctune.records import (
    Report,
    Reports,
    State,
    Suggestion,
    SuggestionStatus,
    TrialId,
    TrialView,
    Value,
    Values,
)
from asynctune.schedulers.base import Scheduler
from asynctune.seeds import fill_seed
from asynctune.space import Fill, HyperParameters, Space

__all__ = ["ODD", "Call", "OracleRehearsal", "replay", "watched"]

# What metrics can be: everything that a float can be, ties, the ends of the floats.
ODD: Final = (math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, 1.0, 1e18, 1.7e308, -1.7e308, 5e-324)


@frozen
class Call:
    """One call of a plugin's method, and what it answered."""

    hook: str
    arguments: tuple[Any, ...]
    answer: Any


def replay(plugin: Scheduler | Proposer, calls: Sequence[Call]) -> list[Any]:
    """Make recorded calls again, and return the answers."""
    return [_called(plugin, call.hook, call.arguments) for call in calls]


def _called(plugin: Scheduler | Proposer, hook: str, arguments: tuple[Any, ...]) -> Any:
    return _answer(getattr(plugin, hook)(*arguments))


def _answer(answer: Any) -> Any:
    if not isawaitable(answer):
        return answer

    async def awaited() -> Any:
        return await answer

    return asyncio.run(awaited())


def watched(plugin: Scheduler | Proposer, hook: str, arguments: tuple[Any, ...]) -> Any:
    """Make a call, and return the answer.

    Raises:
        ValueError: the plugin has changed what it was shown.
    """
    known = _known(plugin)
    before, known_before = copy.deepcopy((arguments, known))
    answer = _called(plugin, hook, arguments)
    if arguments != before:
        raise ValueError(f"{hook} changed what it was shown: from {before} to {arguments}")
    for what, now in _known(plugin).items():
        if what in known_before and now != known_before[what]:
            raise ValueError(f"{hook} changed what is known of {what}: from {known_before[what]} to {now}")
    return answer


def _known(plugin: Scheduler | Proposer) -> dict[str, Any]:
    """What an oracle can look at beside what it is shown."""
    if isinstance(plugin, Scheduler):
        return {}
    ended = {f"trial {number}": view for number, view in plugin.known.trials.items()}
    return ended | {f"trial {number}, which waits or runs": values for number, values in plugin.known.pending.items()}


class OracleRehearsal:
    """Trials that exist only as views, proposed by an oracle through its proposer, as in a search.

    A trial runs `trainable(hp)`: it asks for parameters, and returns the objective's value. Every method plays one event, and
    makes the call that a search would make.

    Attributes:
        proposer: what stands before the oracle; `proposer.known` is what the oracle knows.
        trials: every trial as it stands.
        space: what is known; it grows as trials declare parameters.
        calls: what was called, and what was answered. With `guarding=True`, each is also watched for changes to what it is
            shown.
    """

    def __init__(
        self,
        oracle: Oracle,
        trainable: Callable[[HyperParameters], float] = lambda hp: 0.0,
        *,
        space: Any = None,
        objective: Goal | None = None,
        seed: int = 0,
        guarding: bool = False,
    ) -> None:
        self.oracle = oracle
        self.proposer = Proposer(oracle)
        self.objective = objective or Objective("score", "max")
        self.space = Space.of(space)
        self.seed = seed
        self.trials: dict[TrialId, TrialView] = {}
        self.calls: list[Call] = []
        self._guarding = guarding
        self._trainable = trainable
        self._declared = frozenset(self.space)
        self._used: dict[TrialId, dict[str, Value]] = {}
        self._live: dict[TrialId, None] = {}
        self._observed = 0
        self.proposer.set_search(objective=self.objective, seed=seed, space=self.space)

    def ask(self) -> Suggestion:
        """Ask for the next trial, which runs at once if values are proposed.

        Raises:
            PluginError: if the answer is none, or proposes what is not in the space.
            ValueError: if it names a parent that is not there, or has not ended.
        """
        trial = len(self.trials)
        suggestion: Suggestion = self._call("populate_space", trial, self.space)
        if suggestion.status is SuggestionStatus.RUNNING:
            if suggestion.parent is not None and suggestion.parent not in self.trials:
                raise ValueError(f"populate_space proposed trial {trial} with parent={suggestion.parent!r}, which is no trial")
            if suggestion.parent in self._live:
                raise ValueError(
                    f"populate_space proposed trial {trial} with parent={suggestion.parent!r}, which has not ended"
                )
            self._start(trial, suggestion)
        return suggestion

    def observe(self, values: Values, score: float | None, state: State = State.COMPLETED) -> TrialView:
        """A trial of an earlier search is told of, as `warm_start=` does; before the first ask."""
        self._observed += 1
        view = TrialView(id=-self._observed, state=state, values=dict(values), score=score)
        self._call("on_trial_end", view)
        return view

    def enqueue(self, values: Values) -> TrialId:
        """A trial is added that the oracle is not asked for, and runs at once."""
        trial = len(self.trials)
        self._call("on_trial_add", trial, dict(values))
        self._start(trial, Suggestion.run(values))
        return trial

    def run(self, trial: TrialId) -> float:
        """A trial runs: it asks for parameters, those that are new become known, and the objective's value is returned."""
        fill = Fill(self.oracle.fill, fill_seed(self.seed, trial))
        hp = HyperParameters(self.space, self.trials[trial].values, fill)
        value = self._trainable(hp)
        new, used = hp.drain()
        self.space = self.space.grow(new)
        self._used[trial] |= used
        self._set(trial, values={**self.trials[trial].values, **used})
        return value

    def report(self, trial: TrialId, value: float) -> None:
        """A trial reports the objective at the next step."""
        view = self.trials[trial]
        report = Report(view.step + 1, {self.objective.name: value}, float(len(self.calls)), view.launches)
        self._set(trial, step=report.step, reports=Reports([*view.reports, report]))
        if type(self.oracle).on_trial_result is not Oracle.on_trial_result:
            self._call("on_trial_result", self.trials[trial], report)

    def complete(self, trial: TrialId, score: float | None, *, stop_reason: str | None = None) -> None:
        """A trial finishes; or is stopped, if there is a reason."""
        self._end(trial, state=State.COMPLETED, score=score, stop_reason=stop_reason)

    def fail(self, trial: TrialId) -> None:
        """A trial fails, with no retries left."""
        self._end(trial, state=State.FAILED)

    def finish(self, trial: TrialId) -> None:
        """A trial runs and finishes."""
        self.complete(trial, self.run(trial))

    def live(self) -> list[TrialId]:
        """The trials that have not ended."""
        return list(self._live)

    def _start(self, trial: TrialId, said: Suggestion) -> None:
        self.trials[trial] = TrialView(
            id=trial,
            state=State.RUNNING,
            values=dict(said.values),
            launches=1,
            parent=said.parent,
            budget=said.budget,
        )
        self._used[trial] = {}
        self._live[trial] = None

    def _end(self, trial: TrialId, **changes: Any) -> None:
        # Only what a trial asked for belongs to it, and what was declared beforehand.
        proposed = {name: value for name, value in self.trials[trial].values.items() if name in self._declared}
        self._set(trial, values={**proposed, **self._used[trial]}, **changes)
        del self._live[trial]
        self._call("on_trial_end", self.trials[trial])

    def _set(self, trial: TrialId, **changes: Any) -> None:
        self.trials[trial] = evolve(self.trials[trial], **changes)

    def _call(self, hook: str, *arguments: Any) -> Any:
        answer = (
            watched(self.proposer, hook, arguments) if self._guarding else _answer(getattr(self.proposer, hook)(*arguments))
        )
        self.calls.append(Call(hook, arguments, answer))
        return answer
