"""The runners of one search: which there are, what they run, who waits for more."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import Protocol

from asynctune._runner.framing import sendable
from asynctune._runner.orders import (
    Broken,
    End,
    ForkFailed,
    Mode,
    Plan,
    Ready,
    RunnerBroke,
    RunnerEnded,
    RunnerWeighed,
    Signal,
    StartRunner,
    ToSearch,
    Weigh,
)
from asynctune.errors import WireError
from asynctune.executors._gpus import Gpus, Grant
from asynctune.executors._post import Post
from asynctune.executors._runners import Runner
from asynctune.executors.base import Listener, Recipe
from asynctune.messages import Answer, Breach, Ending, Lost, MetricsReported, ParametersDeclared, RunTrial, ToRunner, Weight
from asynctune.records import LaunchNumber, TrialId
from asynctune.wire import encode

__all__ = ["Fleet", "Keeper"]

_log = logging.getLogger("asynctune.executors")


class Keeper(Protocol):
    """Who holds a fleet, and the search's zygote that makes its runners."""

    def order(self, body: bytes, descriptors: tuple[int, ...] = ()) -> None:
        """Tell the zygote something; the descriptors travel beside it. Lost if there is no zygote."""

    def catch_up(self) -> None:
        """Hear all that the zygote has said until now."""

    def probed(self, hello: Ready | Broken) -> None:
        """The runner that was started without a trial has loaded the trainable, or could not."""

    def over(self, ending: Ending) -> None:
        """A launch is over."""


class Fleet:
    """The runners of one search.

    Args:
        loop: the running one.
        keeper: passes orders to the zygote, hears how launches end.
        listener: hears what trials say.
        recipe: of the search.
        gpus: of the machine.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, keeper: Keeper, listener: Listener, recipe: Recipe, gpus: Gpus) -> None:
        self._loop = loop
        self._keeper = keeper
        self._listener = listener
        self._recipe = recipe
        self._gpus = gpus
        self._limits = recipe.limits if recipe.limits.watched else None
        #: By number, until they are reaped; with the GPUs that they were given.
        self._runners: dict[int, tuple[Runner, Grant]] = {}
        self._launches: dict[tuple[TrialId, LaunchNumber], Runner] = {}
        #: Those that wait for a trial. One that is gone meanwhile is passed over.
        self._idle: list[Runner] = []
        self._next = 0
        #: The most that ran at a time. More runners than that are needed only as long as some are parked.
        self._most = 0
        self._has_parked = False
        self._priced = False
        #: Those that ran each time when all runners were lost, since a launch ended otherwise.
        self._suspects: set[TrialId] | None = None

    def __repr__(self) -> str:
        return f"<Fleet of {len(self._runners)} runners, {len(self._launches)} launches>"

    def __len__(self) -> int:
        return len(self._runners)

    def launch(self, order: RunTrial, plan: Plan) -> None:
        """Have a runner run this trial: one that waits, or a new one.

        Raises:
            OSError, WireError: no runner can be started for it. Then it never was, and nothing is left of it.
        """
        runner = self._take_idle()
        gpu = self._recipe.resources.gpu if plan.reuse else order.resources.gpu  # one that is reused has its own for ever
        if runner is None and plan.mode is not Mode.SPAWN:
            # It is forked with its order in hand: what the zygote has read, the fork need not read again.
            runner, body = self._new(plan, order, gpu), None
        else:
            body = sendable(encode(order, ToRunner))
            runner = runner or self._new(plan, None, gpu)
        self._launches[order.trial, order.launch] = runner
        self._most = max(self._most, len(self._launches) - self._parked())
        runner.run(order, body)

    def probe(self, plan: Plan) -> None:
        """Start a runner that waits for its first trial. Raises what `launch` does."""
        self._new(plan, None, self._recipe.resources.gpu)

    def _parked(self) -> int:
        return sum(runner.parked for runner in self._launches.values()) if self._has_parked else 0

    def _take_idle(self) -> Runner | None:
        while self._idle:
            runner = self._idle.pop()
            if runner.idle:
                return runner
        return None

    def _new(self, plan: Plan, order: RunTrial | None, gpu: float) -> Runner:
        number, self._next = self._next, self._next + 1
        grant = self._gpus.take(gpu)
        try:
            body = sendable(encode(StartRunner(runner=number, gpus=self._gpus.shown(grant), order=order), ToSearch))
            ours, theirs = socket.socketpair()
        except (OSError, WireError):
            self._gpus.give_back(grant)
            raise
        self._keeper.order(body, (theirs.detach(),))
        loads = plan.mode is not Mode.SHARED
        runner = Runner(self._loop, self, number, reuse=plan.reuse, loads=loads, limits=self._limits)
        runner.post = Post(self._loop, ours, runner)
        self._runners[number] = runner, grant
        return runner

    # --------------------------------------------------------------------------------------------- to running launches

    def send(self, message: ToRunner) -> None:
        """Pass a message to the launch that it names; dropped if it is over."""
        runner = self._launches.get((message.trial, message.launch))
        if runner is not None:
            runner.send(message)

    def answer(self, answer: Answer) -> bool:
        """Send an answer at once, from another thread; whether that was done."""
        # The launch may end meanwhile and its runner get another one: a runner passes over what is not for its own.
        runner = self._launches.get((answer.trial, answer.launch))
        if runner is None:
            return False
        runner.answered(answer)  # before it is sent: the next report may be here before we are
        return runner.post.send_at_once(encode(answer, ToRunner))

    def park(self, trial: TrialId, launch: LaunchNumber) -> None:
        """A launch waits, and is to be weighed; nothing happens if it is over."""
        runner = self._launches.get((trial, launch))
        if runner is not None:
            runner.parked, self._has_parked = runner.asks, True  # it may have been told to go on by now
            self._keeper.order(encode(Weigh(runner=runner.number), ToSearch))

    def halt(self, trial: TrialId, launch: LaunchNumber, *, reason: str, grace: float) -> None:
        """End a launch; nothing happens if it is over."""
        runner = self._launches.get((trial, launch))
        if runner is not None:
            runner.halt(reason, grace)

    # ------------------------------------------------------------------------------------------- from zygote and runners

    def heard(self, message: RunnerBroke | RunnerWeighed | ForkFailed) -> None:
        """This was said of a runner. Raises KeyError if there is none of this number."""
        if isinstance(message, RunnerBroke):
            self._breached(message)
        elif isinstance(message, RunnerWeighed):
            self._weighed(message)
        else:  # it was never started
            self._forget(message.runner).refused(message.reason)

    def _breached(self, message: RunnerBroke) -> None:
        runner, _ = self._runners[message.runner]
        if runner.order is None and message.trial is None:
            name = message.limit.value
            text = f"it could not be done within Limits({name}={getattr(self._recipe.limits, name)})"
            self._keeper.probed(Broken(message=text, traceback=""))
        else:
            runner.broke(message)

    def _weighed(self, message: RunnerWeighed) -> None:
        order = self._runners[message.runner][0].order
        if order is not None:
            self._listener.weighed(Weight(trial=order.trial, launch=order.launch, memory=message.memory))

    def ended(self, message: RunnerEnded) -> None:
        """A runner was reaped. Raises KeyError if there is none of this number."""
        self._forget(message.runner).ended(message)

    def lost(self, reason: str) -> None:
        """Every runner is gone, with the process that held them."""
        running = {trial for (trial, _), runner in self._launches.items() if not runner.parked}
        self._suspects = running if self._suspects is None else self._suspects & running
        for number in list(self._runners):
            self._forget(number).lost(reason)

    @property
    def suspected(self) -> str:
        """Whom that may be the doing of, as the end of a sentence."""
        if not self._suspects:
            return ""
        listed = ", ".join(map(str, sorted(self._suspects)))
        return f"; trial{'s' if len(self._suspects) > 1 else ''} {listed} ran each time, and may have killed it"

    def abandon(self) -> list[RunTrial]:
        """Hear nothing of any runner any more; what they ran."""
        runners = [self._forget(number) for number in list(self._runners)]
        for runner in runners:
            runner.abandon()
        self._launches.clear()
        return [runner.order for runner in runners if runner.order is not None]

    def _forget(self, number: int) -> Runner:
        runner, grant = self._runners.pop(number)
        self._gpus.give_back(grant)
        with contextlib.suppress(ValueError):
            self._idle.remove(runner)
        return runner

    # ------------------------------------------------------------------------------------------------------- as `Owner`

    def signal(self, runner: Runner, signum: int) -> None:
        """See `Owner`. Signals go through the zygote: only it knows that a pid was not reaped yet."""
        self._keeper.order(encode(Signal(runner=runner.number, signum=signum), ToSearch))

    def end(self, runner: Runner, grace: float) -> None:
        """See `Owner`."""
        self._keeper.order(encode(End(runner=runner.number, grace=grace), ToSearch))

    def catch_up(self) -> None:
        """See `Owner`."""
        self._keeper.catch_up()

    def broke(self, breach: Breach) -> None:
        """See `Owner`."""
        self._listener.broke(breach)

    def spoke(self, message: ParametersDeclared | MetricsReported) -> None:
        """See `Owner`."""
        self._listener.heard(message)

    def loaded(self, runner: Runner, hello: Ready | Broken) -> None:
        """See `Owner`."""
        if isinstance(hello, Ready) and not self._priced:
            self._priced = True
            level = logging.WARNING if hello.seconds > 1 else logging.INFO
            _log.log(level, "loading the trainable costs each process %.2f s", hello.seconds)
        if runner.order is None:
            if runner.idle:
                self._idle.append(runner)
            self._keeper.probed(hello)

    def finished(self, runner: Runner, ending: Ending) -> None:
        """See `Owner`."""
        del self._launches[ending.trial, ending.launch]
        if not isinstance(ending, Lost):
            self._suspects = None
        if runner.idle and self._has_parked and sum(each.serves for each, _ in self._runners.values()) > self._most:
            runner.retire()  # there are more than were ever needed at a time: some were made while others were parked
        elif runner.idle:
            self._idle.append(runner)
        self._keeper.over(ending)
