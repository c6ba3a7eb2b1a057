"""A launch in the hands of whoever asked for it: what a trial is to its function, it is to its caller."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from attrs import evolve

from asynctune._runner.account import Account, StopTrial
from asynctune._runner.failures import bounded, failure_of
from asynctune._runner.metrics import as_metrics
from asynctune._runner.results import InvalidResult, outcome_of
from asynctune.errors import ConfigurationError, LeaseExpiredError
from asynctune.events import AttemptFailed, Finished, GaveUp, Happening, Stopped
from asynctune.executors._allowance import Allowance
from asynctune.executors._desk import Desk, DeskTrial
from asynctune.executors.base import Listener, Recipe
from asynctune.failure import Failure, FailureKind
from asynctune.messages import Answer, Breach, Ending, Halt, Lost, RunTrial, TrialLeft, TrialRaised, TrialReturned
from asynctune.policies import Limit, Resources
from asynctune.records import LaunchNumber, TrialId, Values
from asynctune.space import HyperParameters

__all__ = ["Host", "Launch", "expired"]

_MEANT = (Finished, AttemptFailed, GaveUp, Stopped)  # how a trial can take what its launch says


class Host(Protocol):
    """Who gives launches out."""

    recipe: Recipe
    listener: Listener
    lease: float | None

    def end(self, launch: Launch, ending: Ending) -> asyncio.Future[bool]:
        """A launch is over. The future is done when that is recorded (True), or never will be (False)."""


def expired(trial: TrialId, number: LaunchNumber, lease: float | None) -> LeaseExpiredError:
    """What a caller is told who comes too late.

    Args:
        lease: that ran out; None where that is not why.
    """
    why, advice = "the search was closed meanwhile, or another one has it", "Ask for another launch"
    if lease is not None:
        why = f"nothing was heard of it for {lease:g} s, its lease"
        advice += f", and report() or renew() before {lease:g} s are over; or give External(lease=...) more of them"
    text = f"launch {number} of trial {trial} is not yours any more: {why}"
    return LeaseExpiredError(
        f"{text}. The trial goes to whoever asks next, and nothing more is recorded of this launch. {advice}"
    )


class Launch:
    """One launch of a trial, in your hands: try its values, and say what came of it.

    `report`, `finish`, `fail`, `infeasible` and `renew` return whether your word counted. It does not when the search has ended
    the launch before (`stop_reason` says why), or when it was ended by you: what is said twice is dropped. Whoever says nothing
    for as long as the lease has lost the launch: all of them then raise LeaseExpiredError.

    What `finish`, `fail` and `infeasible` say is on record when they return. Cancelling one takes nothing back.
    """

    def __init__(self, order: RunTrial, host: Host) -> None:
        self._host, self._order = host, order
        self._desk = Desk(host.listener)
        self._account = Account(order, self._desk, shape=host.recipe.shape)
        self._trial = DeskTrial(self._account, self._desk, host.recipe.directory, host.recipe.data)
        self._one_word = asyncio.Lock()
        self._said: tuple[int, Mapping[str, float]] | None = None
        self._seen: set[str] = set()  # the metrics that this launch has reported
        self._over: str | None = None
        self._finishes = False
        self._lost: LeaseExpiredError | None = None
        limits = host.recipe.limits
        self._lease = Allowance(host.lease, self._expire)
        self._time = Allowance(limits.trial_time, partial(self._break, Limit.TRIAL_TIME, limits.trial_time))
        self._silence = Allowance(limits.silence, partial(self._break, Limit.SILENCE, limits.silence))
        self._allowances = (self._lease, self._time, self._silence)

    def __repr__(self) -> str:
        return f"<Launch {self.number} of trial {self.trial}, step {self.step}{', over' if self._over is not None else ''}>"

    # ---------------------------------------------------------------------------------------------------- what it is

    @property
    def trial(self) -> TrialId:
        """The trial's number, from 0."""
        return self._order.trial

    @property
    def number(self) -> LaunchNumber:
        """How many times this trial has been handed out, this one included."""
        return self._order.launch

    @property
    def attempt(self) -> int:
        """1 + the failures that were the trial's own."""
        return self._order.attempt

    @property
    def values(self) -> Values:
        """The values by flat name ("layer/units"): those that were proposed, and those that were asked of `hp` since."""
        return self._trial.values

    @property
    def config(self) -> dict[str, Any]:
        """The values as a nested dict: "layer/units" is `config["layer"]["units"]`."""
        return self._trial.config

    @property
    def hp(self) -> HyperParameters:
        """The hyperparameters, declared where they are used: `launch.hp.Float("lr", 1e-4, 1e-1, sampling="log")`."""
        return self._trial.hp

    @property
    def seed(self) -> int:
        """A seed of 63 bits for this attempt."""
        return self._order.seed

    @property
    def resources(self) -> Resources:
        """What it may occupy."""
        return self._order.resources

    @property
    def data(self) -> Mapping[str, Any]:
        """The search's `data=`."""
        return self._trial.data

    @property
    def directory(self) -> Path:
        """A directory for this trial's own files, made when it is first asked for; all its launches share it."""
        return self._trial.directory

    @property
    def step(self) -> int:
        """The last step that was reported, or that `restore()` went back to; 0 before."""
        return self._trial.step

    @property
    def should_checkpoint(self) -> bool:
        """Whether the search asked for a checkpoint at the next chance."""
        return self._trial.should_checkpoint

    @property
    def should_stop(self) -> bool:
        """Whether it is over: the search has ended it, its lease ran out, or you have said its last word."""
        return self._over is not None

    @property
    def stop_reason(self) -> str | None:
        """Why it is over, if it is."""
        return self._over

    def restore(self) -> Path | None:
        """A directory with the newest checkpoint whose step was reported, or None on a fresh start. Only read it."""
        return self._trial.restore()

    def checkpoint(self, step: int | None = None) -> AbstractContextManager[Path]:
        """`with launch.checkpoint() as directory:` fill the directory; then report its step, which commits it.

        Args:
            step: of that report; the next one, if None.

        Raises:
            ValueError: for a step that was reported already.
            StorageError: if it cannot be written.
            ConfigurationError: it is over.
            LeaseExpiredError: the lease ran out.
        """
        if not self._is_open():
            told = f"launch {self.number} of trial {self.trial} is over ({self._over}), and keeps no more checkpoints"
            raise ConfigurationError(f"{told}: look at should_stop first")
        return self._trial.checkpoint(step)

    # ----------------------------------------------------------------------------------------------- what is said of it

    async def report(self, metrics: Mapping[str, float] | None = None, /, *, step: int | None = None, **named: float) -> bool:
        """Report metrics at a step, and wait for the verdict; whether to go on. The lease begins again.

        A report that comes again, with the step and the metrics of the last one, is dropped.

        Args:
            metrics: name to number.
            step: above the last one; the last + 1, if None.
            **named: more metrics.

        Raises:
            TypeError, ValueError: for what is no number, no step, or was given twice.
            ConfigurationError: it is the first, and does not carry the objective; nothing was told then.
            LeaseExpiredError: the lease ran out.
        """
        async with self._one_word:
            if not self._is_open():
                return False
            for allowance in self._allowances:
                allowance.hold()
            try:
                if step is None or not self._was_said(step, metrics, named):
                    await self._say(metrics, step, named)
                self._silence.renew()
            except StopTrial:
                return False
            finally:
                if self._over is None:
                    self._lease.renew()
                    self.go_on()
            return True

    async def _say(self, metrics: Any, step: int | None, named: Mapping[str, float]) -> None:
        before, given = self.step, {**as_metrics(metrics or {}), **as_metrics(named)}
        if given and not self._seen:
            self._check_objective("report()", given)
        try:
            await self._trial.report(metrics, step=step, **named)
        finally:
            if self.step != before:  # it was said, whether or not anybody has waited for the verdict
                self._said = self.step, given
                self._seen |= given.keys()

    def _check_objective(self, what: str, given: Mapping[str, float]) -> None:
        """A misspelt metric is its teller's mistake, and must not end the search for everybody."""
        if self._account.has_reported and not self._seen:
            return  # an earlier launch has reported, from whose checkpoint this one goes on
        for each in self._host.recipe.objective.each:
            if each.name not in given and each.name not in self._seen:
                there = ", ".join(map(repr, given)) or "no metrics at all"
                message = f"{what} of trial {self.trial} gave {there}, and not the objective {each.name!r}"
                raise ConfigurationError(f"{message}: nothing was told, and the trial is still yours")

    def _was_said(self, step: int, metrics: Any, named: Mapping[str, float]) -> bool:
        said = self._said
        return said is not None and said[0] == step and said[1] == {**as_metrics(metrics or {}), **as_metrics(named)}

    async def renew(self) -> bool:
        """Say only that you are still there; whether to go on. The lease begins again.

        Raises:
            LeaseExpiredError: the lease ran out.
        """
        if self._is_open():
            self._lease.renew()
        return self._over is None

    async def finish(self, result: Any = None) -> bool:
        """End it with a result.

        Args:
            result: what a trainable may return: a number (the objective), a dict of metrics, a Keras History, a list of those
                (as many executions, of which the mean counts), or nothing after reports.

        Raises:
            ConfigurationError: for what is no result, or lacks the objective; it is not over then.
            LeaseExpiredError: the lease ran out.

        Returns:
            Whether the trial has finished. If a score that is not finite counts as a failure, or a parameter was declared that
            contradicts another trial's, its attempt has failed; `stop_reason` says why.
        """
        async with self._one_word:
            if not self._is_open():
                return False
            try:
                outcome = outcome_of(result, self._host.recipe.objective, reported=self._account.has_reported)
            except InvalidResult as error:
                raise ConfigurationError(f"finish() of trial {self.trial} takes what a trainable may return: {error}") from None
            self._check_objective("finish()", outcome.metrics or {})
            ending = TrialReturned(
                trial=self.trial,
                launch=self.number,
                metrics=outcome.metrics,
                executions=outcome.executions,
                step=outcome.step,
                checkpoint=self._account.written,
            )
            self._finishes = True
            return await self._end(ending, "it has finished")

    async def fail(self, error: BaseException | str, *, retry: bool = True) -> bool:
        """End it as a failed attempt. The trial is tried again while `FailurePolicy` grants it, by whoever asks next.

        Args:
            error: an exception, recorded with its traceback (`FailedTrialError` and `FatalError` mean what they mean in a
                trial), or what went wrong, as text.
            retry: False for a trial that shall not be tried again.

        Raises:
            ConfigurationError: for what is neither.
            LeaseExpiredError: the lease ran out.
        """
        if not isinstance(error, BaseException | str) or not isinstance(retry, bool):
            wanted = "an exception, or what went wrong as text, and retry=True or False"
            raise ConfigurationError(f"fail() takes {wanted}; not {error!r} and {retry!r}")
        async with self._one_word:
            if not self._is_open():
                return False
            if isinstance(error, str):
                failure = Failure(kind=FailureKind.RAISED, message=bounded(lambda: error))
            else:
                failure = failure_of(error, None)
            failure = evolve(failure, retry=failure.retry and retry)
            return await self._end(TrialRaised(trial=self.trial, launch=self.number, failure=failure), "it has failed")

    async def infeasible(self, reason: str) -> bool:
        """End it: its values cannot be tried. The trial is COMPLETED without a score, which is no failure.

        Args:
            reason: for people; at most 10,000 characters.

        Raises:
            ConfigurationError: for what is no text.
            LeaseExpiredError: the lease ran out.
        """
        if not isinstance(reason, str):
            raise ConfigurationError(f"infeasible() takes a reason, as text, not {reason!r}")
        async with self._one_word:
            if not self._is_open():
                return False
            left = TrialLeft(trial=self.trial, launch=self.number, infeasible=bounded(lambda: reason))
            return await self._end(left, f"infeasible: {left.infeasible}")

    # ------------------------------------------------------------------------------------------- what becomes of it

    def go_on(self) -> None:
        """Somebody holds it, and has his time."""
        for allowance in self._allowances:
            allowance.go_on()

    def begin_again(self) -> None:
        """Nobody holds it: whoever does next has all of his time."""
        for allowance in self._allowances:
            allowance.hold()
            allowance.renew()

    def hear(self, answer: Answer) -> None:
        """The answer to a report."""
        self._desk.put(answer)

    def close(self, reason: str) -> None:
        """It is over. Whoever waits in a report is told so."""
        self._over = reason
        for allowance in self._allowances:
            allowance.hold()
        self._desk.put(Halt(trial=self.trial, launch=self.number, reason=reason))

    def counted(self, happened: Sequence[Happening]) -> bool:
        """Whether its last word was taken as it was meant, by what happened to the trial then.

        It is not when the launch was being stopped at the same time, and not when a result is none: it is no finite number, or
        the launch has declared a parameter that contradicts another trial's.
        """
        mine = [each for each in happened if isinstance(each, _MEANT) and each.trial == self.trial]
        for each in mine:
            if self._finishes and isinstance(each, AttemptFailed | GaveUp):
                self._over = f"what it said is no result: {each.failure.message}"
                return False
        return bool(mine)

    def _is_open(self) -> bool:
        if self._lost is not None:
            raise self._lost
        return self._over is None

    async def _end(self, ending: Ending, reason: str) -> bool:
        self._desk.say(self._account.declared())
        self.close(reason)
        return await self._host.end(self, ending)

    def _expire(self) -> None:
        self._lost = expired(self.trial, self.number, self._host.lease)
        reason = f"nothing was heard of it for {self._host.lease:g} s, its lease"
        self.close(reason)
        self._host.end(self, Lost(trial=self.trial, launch=self.number, reason=reason))

    def _break(self, limit: Limit, granted: float | None) -> None:
        # It is the machine that ends it, and says so in its own words.
        self._host.listener.broke(Breach(trial=self.trial, launch=self.number, limit=limit, amount=granted or 0.0))
