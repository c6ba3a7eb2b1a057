"""What the oracle is asked, and what it says; also what the user has tried before the next proposal."""

from __future__ import annotations

from asynctune._machine.heeding import obey
from asynctune._machine.instructions import Ask, TellAdded, TellObserved
from asynctune._machine.situation import Situation
from asynctune._machine.stimuli import Enqueued, Opened, Suggested
from asynctune._machine.trial import STEPS, Trial
from asynctune.errors import PluginError, SpaceError
from asynctune.events import TrialAdded
from asynctune.records import Suggestion, SuggestionStatus, TrialId, TrialView, Values
from asynctune.seeds import fill_seed
from asynctune.space import Fill, FillRule
from asynctune.space.conditions import cases_of

__all__ = ["ask", "begin", "check_given", "check_values", "enqueued", "suggested"]


def suggested(search: Situation, stimulus: Suggested) -> None:
    suggestion = stimulus.suggestion
    trial = search.asks.answered(stimulus.ask, suggestion.status)
    if suggestion.status is SuggestionStatus.RUNNING:
        try:
            check_values(search, suggestion.values, unknown=False)
        except SpaceError as error:
            who = f"{search.oracle_name} proposed values for trial {trial}"
            raise PluginError(f"{who} that are not in the space: {error}") from error
        _check_terms(search, trial, suggestion)
        _add(search, trial, suggestion, ask=stimulus.ask)


def begin(search: Situation, stimulus: Opened) -> None:
    """What is known and wanted before the oracle is asked for the first time."""
    if stimulus.observed:
        views = [
            TrialView(
                id=-place,
                state=found.state,
                values=dict(found.values),
                score=found.score,
                scores=found.scores,
                violates=found.violates,
            )
            for place, found in enumerate(stimulus.observed, 1)
        ]
        search.do.append(TellObserved(tuple(views)))
    for values in stimulus.first:
        _add_given(search, values)


def enqueued(search: Situation, stimulus: Enqueued) -> None:
    search.enqueued += 1
    _add_given(search, stimulus.values)


def check_given(search: Situation, values: Values) -> None:
    """Whether the user can have these tried; what is missing will be drawn.

    With nothing declared, names are the trials' to give, and the user may know them before any trial has run.
    """
    if search.book.declared:
        search.space.coerce({name: value for name, value in values.items() if name not in search.settings.derived})
    else:
        check_values(search, values, unknown=True)


def _add_given(search: Situation, values: Values) -> None:
    number, declared, derived = search.asks.new_id(), search.book.declared, search.settings.derived
    if declared:
        luck = Fill(FillRule.DRAW, fill_seed(search.settings.seed, number))
        whole = search.space.complete(values, luck.value)
        computed = {name: value for name, value in values.items() if name in derived}
        values = {name: value for name, value in whole.items() if name in values or name in declared} | computed
    _add(search, number, Suggestion.run(values), ask=None)


def check_values(search: Situation, values: Values, *, unknown: bool) -> None:
    """Whether a trial can be given these values; with `unknown`, also of parameters that no trial has named yet."""
    active = search.space.active(values)
    for name in search.declared.active(values):
        if name not in values:
            raise SpaceError(f"there is no value for {name!r}, which the space declares")
    for name, value in values.items():
        if name not in search.space:
            if unknown or name in search.settings.derived:
                continue
            raise SpaceError(f"there is no parameter {name!r}; known are {', '.join(map(repr, search.space)) or 'none'}")
        parameter = search.space[name]
        if name not in active and not unknown:
            raise SpaceError(f"{name!r} has a value, and is not there with the others: it is {parameter.describe()}")
        # Where names are the trials' to give, a parent without a value may still get the one under which this is there.
        domains = [active[name]] if name in active else [case.domain for case in cases_of(parameter)]
        if not any(domain.contains(value) for domain in domains):
            raise SpaceError(f"{value!r} is not a value of {name!r}, {parameter.describe()}")


def _check_terms(search: Situation, trial: TrialId, suggestion: Suggestion) -> None:
    """Whether there can be a trial with this parent and this budget."""
    parent, budget, who = suggestion.parent, suggestion.budget, f"{search.oracle_name} proposed trial {trial}"
    if budget is not None and (type(budget) is not int or not 1 <= budget < STEPS):
        raise PluginError(
            f"{who} with budget={budget!r}: a budget is a step, a whole number of at least 1 (or None for no budget)"
        )
    if parent is None:
        return
    known = search.book.trials.get(parent) if type(parent) is int else None
    if known is None:
        there = f"there are {len(search.book.trials)} trials so far, counted from 0"
        raise PluginError(f"{who} with parent={parent!r}, which is no trial: {there}")
    if not known.state.ended:
        raise PluginError(f"{who} with parent={parent!r}, which has not ended ({known.state.value}): propose it when it has")


def _add(search: Situation, number: TrialId, said: Suggestion, *, ask: int | None) -> None:
    trial = Trial(number, dict(said.values), search.at, said.parent, said.budget)
    search.book.add(trial)
    search.happened.append(TrialAdded(trial=number, values=dict(said.values), ask=ask, parent=said.parent, budget=said.budget))
    if said.parent is not None:
        search.heirs.setdefault(said.parent, []).append(number)
        search.pin(trial)
    queue = search.waiting.enqueued if ask is None else search.waiting.proposed
    queue(number)
    if ask is None:
        search.do.append(TellAdded(number, dict(said.values)))
    obey(search, search.consult.added(search.book.view(trial)))


def ask(search: Situation) -> None:
    """Ask for as many trials as there are free slots for, and as many ahead as the oracle allows."""
    if search.user_paused:
        return
    stock, slots = search.waiting.fresh_count + len(search.asks.in_flight), search.slots
    # While no parameter is known, a proposal says nothing, and those that wait would all be drawn alike.
    ahead = search.settings.ahead if search.space else 0
    # Of one that learns, never for all slots: with a single one, each proposal knows what came of the one before.
    wanted = slots.held + min(ahead, slots.size - search.settings.learns)
    if stock < wanted:
        # Several at a time, where that is allowed: their answers then share a wake-up and a commit.
        wanted = slots.held + min(ahead, slots.size - 1 if search.settings.learns else 4 * slots.size)
    if search.declined == "WAIT":
        # Something else runs, and may change the scheduler's mind. If nothing does, a new trial is all that could.
        wanted = 0 if search.book.moving or search.waiting.delayed else search.waiting.fresh_count + 1
    while stock < wanted and search.can_ask:
        stock += 1
        number, trial = search.asks.ask()
        search.do.append(Ask(number, trial, search.space))
