"""What the oracle is asked, and what it says; also what the user has tried before the next proposal."""

from __future__ import annotations

from asynctune._machine.instructions import Ask, TellAdded
from asynctune._machine.situation import Situation
from asynctune._machine.stimuli import Enqueued, Suggested
from asynctune._machine.trial import Trial
from asynctune.errors import PluginError, SpaceError
from asynctune.events import TrialAdded
from asynctune.records import SuggestionStatus, TrialId, Values

__all__ = ["ask", "can_ask", "check_values", "enqueued", "suggested"]


def suggested(search: Situation, stimulus: Suggested) -> None:
    suggestion = stimulus.suggestion
    trial = search.asks.answered(stimulus.ask, suggestion.status)
    if suggestion.status is SuggestionStatus.RUNNING:
        try:
            check_values(search, suggestion.values, unknown=False)
        except SpaceError as error:
            who = f"{search.oracle_name} proposed values for trial {trial}"
            raise PluginError(f"{who} that are not in the space: {error}") from error
        _add(search, trial, suggestion.values, ask=stimulus.ask)


def enqueued(search: Situation, stimulus: Enqueued) -> None:
    search.enqueued += 1
    _add(search, search.asks.new_id(), stimulus.values, ask=None)


def check_values(search: Situation, values: Values, *, unknown: bool) -> None:
    """Whether a trial can be given these values; with `unknown`, also of parameters that no trial has named yet."""
    for name in search.book.declared:
        if name not in values:
            raise SpaceError(f"there is no value for {name!r}, which the space declares")
    for name, value in values.items():
        if name not in search.space:
            if unknown:
                continue
            raise SpaceError(f"there is no parameter {name!r}; known are {', '.join(map(repr, search.space)) or 'none'}")
        if not search.space[name].contains(value):
            raise SpaceError(f"{value!r} is not a value of {name!r}, {search.space[name].describe()}")


def _add(search: Situation, number: TrialId, values: Values, *, ask: int | None) -> None:
    trial = Trial(number, dict(values), search.at)
    search.book.add(trial)
    search.happened.append(TrialAdded(trial=number, values=dict(values), ask=ask))
    queue = search.waiting.enqueued if ask is None else search.waiting.proposed
    queue(number)
    if ask is None:
        search.do.append(TellAdded(number, dict(values)))
    search.obey(search.consult.added(search.book.view(trial)))


def can_ask(search: Situation) -> bool:
    most = search.settings.max_trials
    started = len(search.book.trials) + len(search.asks.in_flight)
    return not (search.asks.idle or search.asks.exhausted) and (most is None or started < most)


def ask(search: Situation) -> None:
    """Ask for as many trials as there are free slots for, and as many ahead as the oracle allows."""
    if search.user_paused:
        return
    stock, slots, ahead = search.waiting.fresh_count + len(search.asks.in_flight), search.slots, search.settings.ahead
    wanted = slots.held + min(ahead, slots.size)
    if stock < wanted:
        # Several at a time, where that is allowed: their answers then share a wake-up and a commit.
        wanted = slots.held + min(ahead, 4 * slots.size)
    if search.declined == "WAIT":
        # Something else runs, and may change the scheduler's mind. If nothing does, a new trial is all that could.
        wanted = 0 if search.book.live or search.waiting.delayed else search.waiting.fresh_count + 1
    while stock < wanted and can_ask(search):
        stock += 1
        number, trial = search.asks.ask()
        search.do.append(Ask(number, trial, search.space))
