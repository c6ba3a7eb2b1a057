"""What is done with the scheduler's verdicts."""

from __future__ import annotations

from collections.abc import Mapping

from asynctune._machine.situation import Situation
from asynctune._machine.trial import Trial
from asynctune.events import Exploited, ExploitSkipped, Reallocated
from asynctune.policies import Resources
from asynctune.records import Exploit, Pause, Reallocate, State, Stop, TrialId, Verdict
from asynctune.seeds import derive

__all__ = ["heed", "obey"]


def obey(search: Situation, verdicts: Mapping[TrialId, Verdict]) -> None:
    """Do as the scheduler has answered, and as it answers to the ends that come of it."""
    search.take(verdicts)
    heed(search)


def heed(search: Situation) -> None:
    """Obey what was not obeyed yet. One after the other, and not where each end is told, for one end can lead to thousands. A
    verdict on a trial that another verdict has ended meanwhile says nothing any more."""
    while search.unheeded:
        key, verdict = search.unheeded.popleft()
        trial = search.book.trials[key]
        if not trial.state.ended:
            _heed(search, trial, verdict)
    # A scheduler that is told what another one has judged believes that they wait.
    overruled, search.consult.overruled = search.consult.overruled, []
    for key in overruled:
        if search.book.trials[key].state is State.RUNNING:
            search.consult.resumed(search.book.view(search.book.trials[key]), "scheduler")


def _heed(search: Situation, trial: Trial, verdict: Verdict) -> None:
    match verdict:
        case Stop(reason=reason):
            search.stop(trial, reason)
        case _ if trial.launch is not None and trial.launch.failure is not None:
            pass  # it has broken a limit and is being ended: that is its failure, and no pause
        case Pause() if trial.state is State.RUNNING:
            search.pause(trial, "paused by the scheduler", may_park=True)
        case Exploit(source=number):
            source = search.book.trials[number]
            if source.checkpoint is None:
                search.happened.append(ExploitSkipped(trial=trial.id, source=number))
            else:
                _exploit(search, trial, source)
        case Reallocate(resources=resources) if resources != (trial.resources or search.settings.resources):
            _reallocate(search, trial, resources)


def _set_aside(search: Situation, trial: Trial, reason: str, *, save: bool) -> None:
    """Set the trial aside, unless it waits already; and have its launch end, also one that is parked."""
    if trial.state is State.RUNNING:
        search.pause(trial, reason, save=save)
    else:
        search.halt(trial, reason, save=save)


def _exploit(search: Situation, trial: Trial, source: Trial) -> None:
    """The trial is set aside, and goes on as the other one (or as itself, with other values) when it is started next. Until
    then it stays what it is: should it be ended before, it ends with its own score."""
    assert source.checkpoint is not None
    seed = derive(search.settings.seed, "explore", trial.id, trial.exploits + 1)
    book = search.book
    values = search.consult.explore(book.view(trial), book.view(source), seed, search.space)
    event = Exploited(trial=trial.id, source=source.id, checkpoint=source.checkpoint, values=values)
    _set_aside(search, trial, event.reason, save=False)
    trial.will_exploit(event)
    search.happened.append(event)
    search.pin(trial)
    search.waiting.promote(trial.id)


def _reallocate(search: Situation, trial: Trial, resources: Resources) -> None:
    """The trial is set aside, and goes on from its newest checkpoint with these."""
    _set_aside(search, trial, f"goes on with {resources.told}", save=True)
    trial.reallocate(resources)
    search.happened.append(Reallocated(trial=trial.id, resources=resources))
    search.waiting.reconsider(trial.id)
    search.waiting.promote(trial.id)
