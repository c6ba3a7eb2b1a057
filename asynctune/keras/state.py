"""What an oracle by hand knew when its state was taken, read from that state, and checked before anything is done with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from asynctune._engine.record import Record, unpack
from asynctune._machine.stimuli import Opened
from asynctune.errors import ConfigurationError, WireError
from asynctune.keras.metrics import MetricsTracker
from asynctune.objective import Goal
from asynctune.space import Parameter

__all__ = ["Kept"]


@frozen
class Kept:
    """A state.

    Args:
        records: what its search was told.
        metrics, best_steps: of its trials, by their ids.
        seed, width: of its ids.
    """

    records: tuple[Record, ...]
    metrics: Mapping[str, MetricsTracker]
    best_steps: Mapping[str, int | None]
    seed: int
    width: int

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Kept:
        """What is in a state.

        Raises:
            ConfigurationError: it is none.
        """
        try:
            return cls(
                records=tuple(unpack(bytes.fromhex(record)) for record in state["records"]),
                metrics={name: MetricsTracker.from_state(metrics) for name, metrics in state["metrics"].items()},
                best_steps=dict(state["best_steps"]),
                seed=int(state["seed"]),
                width=int(state["width"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, WireError) as error:
            message = f"set_state() takes what get_state() of an oracle has returned: {type(error).__name__}: {error}"
            raise ConfigurationError(message) from error

    def check(self, objective: Goal, space: Mapping[str, Parameter]) -> None:
        """Whether an oracle for this objective, and with this space, can stand there. What trials have named since may be more.

        Raises:
            ConfigurationError: it cannot; names what differs.
        """
        for settings in (record.stimulus.settings for record in self.records if isinstance(record.stimulus, Opened)):
            if settings.objective != objective:
                message = f"set_state(): the objective of this state is {settings.objective}, and this oracle's is {objective}"
                raise ConfigurationError(f"{message}: scores under different objectives cannot be mixed")
            for name, parameter in space.items():
                known = settings.space.get(name)
                if known != parameter:
                    found = "is not there" if known is None else f"is {known.describe()}"
                    told = f"{name!r} {found} in the space of this state, and is {parameter.describe()} in this oracle's"
                    raise ConfigurationError(f"set_state(): {told}")
