"""What an executor says, from before there is anybody to hear it."""

from __future__ import annotations

from asynctune._engine.loop import OracleCoroutine
from asynctune.errors import ExecutorError
from asynctune.messages import Breach, Ending, MetricsReported, ParametersDeclared, Weight

__all__ = ["Ear"]


class Ear:
    """Hears what the executor says before there is a coroutine to hear it, which can only be that it has failed."""

    def __init__(self) -> None:
        self.coroutine: OracleCoroutine | None = None
        self.failure: ExecutorError | None = None

    def heard(self, message: ParametersDeclared | MetricsReported) -> None:
        """A trial spoke."""
        if self.coroutine is not None:
            self.coroutine.heard(message)

    def broke(self, breach: Breach) -> None:
        """A launch has broken a limit."""
        if self.coroutine is not None:
            self.coroutine.broke(breach)

    def weighed(self, weight: Weight) -> None:
        """A launch that is parked holds so much."""
        if self.coroutine is not None:
            self.coroutine.weighed(weight)

    def ended(self, ending: Ending) -> None:
        """A launch is over."""
        if self.coroutine is not None:
            self.coroutine.ended(ending)

    def failed(self, error: ExecutorError) -> None:
        """No launch can be started any more."""
        if self.coroutine is not None:
            self.coroutine.failed(error)
        else:
            self.failure = error
