"""What the runners say: parameters, metrics, and how a launch ended."""

from __future__ import annotations

import math
from collections.abc import Mapping

from asynctune._machine import retry
from asynctune._machine.death import death, told, with_end
from asynctune._machine.heeding import obey
from asynctune._machine.instructions import AnswerReport, TellReport
from asynctune._machine.situation import Situation
from asynctune._machine.stimuli import Heard, LaunchEnded, LimitBroken, Ticked, Weighed
from asynctune._machine.trial import STEPS, Launch, Trial
from asynctune.errors import SpaceError
from asynctune.events import AttemptFailed, CheckpointSaved, Finished, GaveUp, ParametersUsed, Reported, SpaceGrew, Stopped
from asynctune.failure import Failure, FailureKind
from asynctune.frozen import FrozenDict
from asynctune.messages import (
    Answer,
    Breach,
    Died,
    Lost,
    MetricsReported,
    ParametersDeclared,
    TrialLeft,
    TrialRaised,
    TrialReturned,
    What,
)
from asynctune.policies import Limit, Limits
from asynctune.records import CheckpointKey, LaunchNumber, State, Values
from asynctune.space import Parameter, Space

__all__ = ["answer", "heard", "launch_ended", "limit_broken", "ticked", "weighed"]

_MiB = 2**20
# Who was ended for taking too long or too much, and has given its result all the same, is as good as any other.
_FORGIVEN = (FailureKind.TIMED_OUT, FailureKind.SILENT, FailureKind.OUT_OF_MEMORY)
_FATAL = {f"asynctune.errors.{name}": name for name in ("FatalValueError", "FatalTypeError", "FatalRuntimeError")}


def heard(search: Situation, stimulus: Heard) -> None:
    trial = search.book.trials[stimulus.message.trial]
    if isinstance(stimulus.message, ParametersDeclared):
        _parameters(search, trial, stimulus.message)
    else:
        _metrics(search, trial, stimulus.message)


def _parameters(search: Situation, trial: Trial, message: ParametersDeclared) -> None:
    launch, tunes = trial.launch, search.settings.new_entries == "tune"
    assert launch is not None
    try:
        grown = (launch.space or search.space).grow(message.parameters)
        of_parameters = {name: value for name, value in message.values.items() if name not in search.settings.derived}
        _check_used(grown, {**trial.used, **message.values}, of_parameters)
    except SpaceError as error:
        failure = Failure(kind=FailureKind.REFUSED, message=str(error), error_type="SpaceError", retry=False)
        search.halt(trial, str(error), failure)
        return
    new = {name: grown[name] for name in message.parameters if search.space.get(name) != grown[name]}
    if new and search.settings.new_entries == "refuse":
        _refuse_entry(search, trial, new)
        return
    if tunes:
        search.space = grown
    else:
        launch.space = grown  # what it has named stays its own
    if new and tunes:
        search.happened.append(SpaceGrew(trial=trial.id, parameters=new))
        search.asks.space_grew()
    trial.use(message.values)
    search.happened.append(ParametersUsed(trial=trial.id, values=message.values))


def _refuse_entry(search: Situation, trial: Trial, new: Mapping[str, Parameter]) -> None:
    name, parameter = next(iter(new.items()))
    text = f"trial {trial.id} asked for {name!r}, {parameter.describe()}, which space= does not declare"
    hint = "declare it; new_entries='tune' would tune it too, 'default' would give it its default"
    search.end_early(f"{text}, and new_entries='refuse': {hint}", error="SpaceError")


def _check_used(space: Space, used: Values, new: Values) -> None:
    active = space.active(used)
    for name, value in new.items():
        if name not in space:
            raise SpaceError(f"it asked for {name!r}, which nobody has declared")
        domain = active.get(name)
        if domain is None or not domain.contains(value):
            told = f"it asked for {name!r} and says that it got {value!r}"
            known = space[name] if domain is None else domain
            raise SpaceError(f"{told}, which is not a value of {known.describe()}")


def _metrics(search: Situation, trial: Trial, message: MetricsReported) -> None:
    launch = trial.launch
    assert launch is not None
    objective = search.settings.objective
    refused = _refusal(launch, message)
    if refused is not None:
        search.halt(trial, refused, Failure(kind=FailureKind.REFUSED, message=refused))
        return
    is_new = message.step > trial.mark
    judged = is_new and objective.seen_in(message.metrics)
    search.happen(
        trial,
        Reported(
            trial=trial.id,
            launch=message.launch,
            step=message.step,
            metrics=FrozenDict(message.metrics),
            checkpoint=message.checkpoint,
            judged=judged,
            size=message.size if message.checkpoint is not None else None,
        ),
    )
    search.objective_seen = search.objective_seen or objective.seen_in(message.metrics)
    if not search.objective_seen:
        _objective_missing(search, trial, message.metrics)
    if is_new:
        _judge(search, trial, judged=judged)
    if trial.budget is not None and message.step >= trial.budget:
        _spend(search, trial, trial.budget)


def _refusal(launch: Launch, message: MetricsReported) -> str | None:
    """Why a report cannot be believed."""
    if not launch.step < message.step < STEPS:
        return f"reported step {message.step} after step {launch.step}; steps must increase, and are below 2**63"
    own = CheckpointKey(message.trial, message.step, message.launch)
    if message.checkpoint not in (None, own):
        return f"reported step {message.step} with {message.checkpoint}, which is no checkpoint of it"
    return _no_size(message.size)


def _no_size(size: int | None) -> str | None:
    """Why that cannot be the size of a checkpoint."""
    return None if size is None or 0 <= size < STEPS else f"told of a checkpoint of {size} bytes"


def _judge(search: Situation, trial: Trial, *, judged: bool) -> None:
    view, report = search.book.view(trial), trial.reports[-1]
    if search.settings.hears_reports:
        search.do.append(TellReport(view, report))
    reason = search.consult.stop_trial(view, report)
    if reason is not None:
        search.stop(trial, reason)
    elif judged:
        obey(search, search.consult.reported(view, report))


def _spend(search: Situation, trial: Trial, budget: int) -> None:
    """The trial has used its budget up. Whoever judged it has heard of it, and whatever he said it is over."""
    # Without any objective the whole search is ending, to be resumed when that is mended, and the trial with it.
    if search.objective_seen and not trial.state.ended:
        search.stop(trial, f"its budget of {budget:,} step{'' if budget == 1 else 's'} is used")


def answer(search: Situation, message: ParametersDeclared | MetricsReported) -> None:
    """Answer a report, when all that follows from it is decided: to go on, if the launch is neither to stop nor parked."""
    launch = search.book.trials[message.trial].launch
    if isinstance(message, ParametersDeclared) or launch is None:
        return
    what = What.PARK if launch.parked else What.GO if launch.halted is None else What.STOP
    save = what is What.STOP and search.wants_saved(search.book.trials[message.trial])
    said = Answer(trial=message.trial, launch=message.launch, step=message.step, what=what, save=save, reason=launch.halted)
    search.do.append(AnswerReport(said))


def _objective_missing(search: Situation, trial: Trial, metrics: Mapping[str, float] | None) -> None:
    objective, there = search.settings.objective, ", ".join(map(repr, metrics or {})) or "no metrics at all"
    wanted = next(each.name for each in objective.each if each.name not in (metrics or {}))
    text = f"trial {trial.id} gave {there}, and not the objective {wanted!r}"
    hint = f"name one of them in objective=, or report {wanted!r}"
    if any(each.name in (metrics or {}) for each in objective.each):
        hint = "several objectives are reported together, all of them in each report that has one"
    search.end_early(f"{text}: {hint}", error="ObjectiveError")


def launch_ended(search: Situation, stimulus: LaunchEnded) -> None:
    ending, trial = stimulus.ending, search.book.trials[stimulus.ending.trial]
    launch = trial.launch
    assert launch is not None
    if isinstance(ending, TrialLeft) and ending.checkpoint is not None:
        _left(search, trial, ending.checkpoint, ending.size)
    if trial.state is not State.RUNNING:
        search.lose(trial, "", ending)
        return
    is_forgiven = launch.failure is None or launch.failure.kind in _FORGIVEN
    if isinstance(ending, TrialReturned) and is_forgiven:
        _returned(search, trial, ending)
    elif isinstance(ending, TrialLeft) and ending.infeasible is not None and is_forgiven:
        search.book.ended(trial)
        search.happen(trial, Stopped(trial=trial.id, reason=f"infeasible: {ending.infeasible}", infeasible=True))
    elif launch.failure is not None:
        _failed(search, trial, with_end(launch.failure, ending))
    elif launch.halted is not None:
        search.lose(trial, launch.halted, ending)
    elif isinstance(ending, TrialRaised):
        _failed(search, trial, ending.failure)
    elif isinstance(ending, Died):
        _failed(search, trial, death(ending))
    elif isinstance(ending, Lost):
        search.lose(trial, ending.reason)
    else:
        # A launch that leaves unasked is the trial's own doing; as a loss, which costs nothing, it could go on for ever.
        text = "it left without a result, and nothing had told it to stop"
        _failed(search, trial, Failure(kind=FailureKind.EXITED, message=text))


def _left(search: Situation, trial: Trial, key: CheckpointKey, size: int | None) -> None:
    """As it was told to stop, it has left a checkpoint of its last step."""
    launch = trial.launch
    assert launch is not None
    is_own = key == CheckpointKey(trial.id, launch.step, launch.number) and key not in trial.checkpoints
    if not is_own or launch.halted is None or _no_size(size) is not None:
        return  # it counts for nothing, and is swept when the search is opened again
    if not search.wants_saved(trial) or (trial.state.ended and trial.id in search.heirs):
        search.discard([key])  # those that go on from it have begun without it
        return
    trial.saved(key)
    search.shelf.put(key, size)
    search.happened.append(CheckpointSaved(trial=trial.id, checkpoint=key, size=size))
    search.pin(trial)
    search.tidy(trial)


def _returned(search: Situation, trial: Trial, ending: TrialReturned) -> None:
    objective, launch, key = search.settings.objective, trial.launch, ending.checkpoint
    assert launch is not None
    is_new = key is None or (key.trial == trial.id and key.launch == launch.number and launch.step <= key.step < STEPS)
    text = _no_size(ending.size)
    if not is_new or key in trial.checkpoints:
        text = f"returned with {key}, which is no new checkpoint of it"
    if text is not None:
        _failed(search, trial, Failure(kind=FailureKind.REFUSED, message=text))
        return
    standing = trial.final_standing(objective, ending.metrics)
    wanted = [each.name for each in objective.each if each.name in standing.missing]
    search.objective_seen = search.objective_seen or not wanted
    if not search.objective_seen:
        search.lose(trial, f"it gave no {wanted[0]!r}")
        _objective_missing(search, trial, ending.metrics)
    elif standing.missing:
        there = ", ".join(map(repr, ending.metrics or {})) or "nothing"
        what = f"the objective {wanted[0]!r}" if wanted else f"{standing.missing[0]!r}, which a constraint is about"
        text = f"it ended without {what}: it returned {there}, and no report carried it"
        _failed(search, trial, Failure(kind=FailureKind.INVALID_RESULT, message=text))
    elif not standing.is_finite and search.settings.failure.non_finite == "fail":
        found = standing.scores or (standing.score,)
        name, value = next(
            (each.name, v) for each, v in zip(objective.each, found, strict=False) if v is None or not math.isfinite(v)
        )
        text = f"its {name!r} is {value}"
        _failed(search, trial, Failure(kind=FailureKind.INVALID_RESULT, message=text))
    else:
        search.happen(
            trial,
            Finished(
                trial=trial.id,
                launch=ending.launch,
                score=standing.score if standing.is_finite else None,
                scores=standing.scores,
                violates=standing.violates,
                metrics=ending.metrics,
                executions=ending.executions,
                checkpoint=key,
                size=ending.size if key is not None else None,
            ),
        )
        search.book.ended(trial)


def _failed(search: Situation, trial: Trial, failure: Failure) -> None:
    assert trial.launch is not None
    failure = search.with_log(trial, failure)
    policy, launch = search.settings.failure, trial.launch.number
    rule, name = retry.consequence(policy, failure)
    search.book.ended(trial)
    if rule == "retry" and trial.attempt <= policy.max_retries_per_trial:
        _retry(search, trial, launch, failure)
        return
    search.happen(trial, GaveUp(trial=trial.id, launch=launch, failure=failure))
    search.failures.failed(trial.id, failure)
    if rule == "end":
        _end(search, trial, failure, name)
        return
    over = search.failures.over(policy, search.settings.max_trials)
    if over is not None:
        search.end_early(over, error="TooManyFailuresError", failures=search.failures.histogram)


def _retry(search: Situation, trial: Trial, launch: LaunchNumber, failure: Failure) -> None:
    policy, settings = search.settings.failure, search.settings
    due = retry.due(policy, at=search.at, seed=settings.seed, trial=trial.id, attempt=trial.attempt)
    restart = policy.retry_from == "start"
    # Removed, so that a launch that takes over from a lost one does not find what a failed attempt has left.
    left = list(trial.checkpoints) if restart else []
    search.happen(trial, AttemptFailed(trial=trial.id, launch=launch, failure=failure, due=due, restart=restart))
    search.discard(left)
    search.waiting.retrying(trial.id, due)


def _end(search: Situation, trial: Trial, failure: Failure, rule: str | None) -> None:
    known = [_FATAL[name] for name in (failure.error_type, *failure.bases) if name in _FATAL] if failure.fatal else []
    why = f" by FailurePolicy(rules={{{rule!r}: 'end'}})" if rule is not None else ""
    text = f"trial {trial.id} ended the search{why}: {told(failure)}\n{failure.details()}".rstrip()
    search.end_early(text, error=known[0] if known else "FatalError")


def ticked(search: Situation, _: Ticked) -> None:
    search.woken = math.inf  # what was waited for is asked whenever something has happened


def weighed(search: Situation, stimulus: Weighed) -> None:
    """A launch that is parked was weighed."""
    launch = search.book.trials[stimulus.weight.trial].launch
    assert launch is not None
    launch.memory = stimulus.weight.memory
    search.make_room()


def limit_broken(search: Situation, stimulus: LimitBroken) -> None:
    failure, trial = _broken(search.settings.limits, stimulus.breach), search.book.trials[stimulus.breach.trial]
    search.halt(trial, failure.message, failure if trial.state is State.RUNNING else None)  # who is parked fails in nothing


def _broken(limits: Limits, breach: Breach) -> Failure:
    """What was broken, as a failure."""
    name, amount = breach.limit.value, breach.amount
    granted = getattr(limits, name)
    match breach.limit:
        case Limit.TRIAL_TIME:
            kind, text = FailureKind.TIMED_OUT, f"it ran longer than {granted:g} s"
        case Limit.START_UP:
            kind, text = FailureKind.TIMED_OUT, f"its function was not called within {granted:g} s"
        case Limit.SILENCE:
            kind, text = FailureKind.SILENT, f"it did not report for {granted:g} s"
        case Limit.MEMORY:
            kind, text = FailureKind.OUT_OF_MEMORY, f"it held {amount / _MiB:,.0f} MiB of memory"
            granted = f"{granted / _MiB:,.0f} MiB"
        case Limit.PROCESSES:
            kind, text = FailureKind.REFUSED, f"it had {amount:,.0f} processes"
    shown = granted if isinstance(granted, str) else f"{granted:g}"
    return Failure(kind=kind, message=f"{text}: Limits({name}={shown})")
