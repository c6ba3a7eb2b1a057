"""The messages that every trial pays for, packed and read by hand.

After a fork, each page that is written to is copied first, on both sides, and Python writes to whatever it looks at. The
converter of `asynctune.wire` looks at a hundred pages where these few lines look at ten; for a trial of a millisecond that is a
tenth of what it costs. What is packed here is what `wire.encode` makes, and the search reads it as strictly as everything else.
What is read here comes from the search, which a runner and its zygote have no reason to distrust.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgpack

from asynctune._runner.orders import End, Signal, StartRunner, ToSearch, Weigh
from asynctune.messages import Answer, Fill, FillRule, FromRunner, MetricsReported, RunTrial, ToRunner, TrialReturned, What
from asynctune.policies import Resources
from asynctune.records import CheckpointKey
from asynctune.space.conditions import Parameter
from asynctune.wire import decode, encode, typed

__all__ = ["pack", "pack_ended", "unpack", "unpack_order"]

_WHAT = {what.value: what for what in What}
_RULE = {rule.value: rule for rule in FillRule}
# Nearly every trial of a search has the same.
_resources: dict[tuple[float, float], Resources] = {}


def pack(message: FromRunner) -> bytes:
    """The same bytes as `encode(message, FromRunner)`. Raises what that does."""
    raw: dict[str, Any] | None = None
    if isinstance(message, MetricsReported):
        raw = {
            "trial": message.trial,
            "launch": message.launch,
            "step": message.step,
            "metrics": message.metrics,
            "clock": message.clock,
            "checkpoint": _key(message.checkpoint),
            "type": "MetricsReported",
        }
    elif isinstance(message, TrialReturned):
        raw = {
            "trial": message.trial,
            "launch": message.launch,
            "metrics": message.metrics,
            "executions": message.executions,
            "step": message.step,
            "checkpoint": _key(message.checkpoint),
            "type": "TrialReturned",
        }
    try:
        return _packed(raw) if raw is not None else encode(message, FromRunner)
    except (OverflowError, TypeError, ValueError):
        return encode(message, FromRunner)  # which says what is wrong with it


def pack_ended(runner: int, exit_code: int | None, signum: int | None, out_of_memory: bool = False) -> bytes:
    """The same bytes as `encode(RunnerEnded(...), FromSearch)`."""
    ended = {
        "runner": runner,
        "exit_code": exit_code,
        "signal": signum,
        "out_of_memory": out_of_memory,
        "type": "RunnerEnded",
    }
    return _packed(ended)


def unpack(body: bytes) -> ToRunner:
    """The same message as `decode(body, ToRunner)`."""
    raw = _unpacked(body)
    if raw["type"] == "Answer":
        return Answer(
            trial=raw["trial"],
            launch=raw["launch"],
            step=raw["step"],
            what=_WHAT[raw["what"]],
            save=raw["save"],
            reason=raw["reason"],
        )
    if raw["type"] == "RunTrial":
        return _order(raw)
    message: ToRunner = decode(body, ToRunner)
    return message


def unpack_order(body: bytes) -> StartRunner | Signal | End | Weigh:
    """The same message as `decode(body, ToSearch)`."""
    raw = _unpacked(body)
    if raw["type"] == "StartRunner":
        order = raw["order"]
        return StartRunner(runner=raw["runner"], gpus=raw["gpus"], order=None if order is None else _order(order))
    message: ToSearch = decode(body, ToSearch)
    return message


def _order(raw: dict[str, Any]) -> RunTrial:
    cpu_gpu = raw["resources"]["cpu"], raw["resources"]["gpu"]
    if cpu_gpu not in _resources:
        _resources[cpu_gpu] = Resources(cpu=cpu_gpu[0], gpu=cpu_gpu[1])
    restore = raw["restore"]
    return RunTrial(
        trial=raw["trial"],
        launch=raw["launch"],
        attempt=raw["attempt"],
        values=raw["values"],
        space=_Space(raw["space"]),
        fill=Fill(_RULE[raw["fill"]["rule"]], raw["fill"]["seed"]),
        seed=raw["seed"],
        resources=_resources[cpu_gpu],
        restore=None if restore is None else CheckpointKey(restore["trial"], restore["step"], restore["launch"]),
        step=raw["step"],
        parent=raw.get("parent"),
        budget=raw.get("budget"),
        found=tuple(raw.get("found", ())),
    )


class _Space(Mapping[str, Parameter]):
    """Parameters that are read when somebody looks at them: many trials never do."""

    __slots__ = ("_raw", "_read")

    def __init__(self, raw: dict[str, Any]) -> None:
        self._raw = raw
        self._read: Mapping[str, Parameter] | None = None

    def _parameters(self) -> Mapping[str, Parameter]:
        if self._read is None:
            self._read = {name: typed(parameter, Parameter) for name, parameter in self._raw.items()}  # type: ignore[arg-type]
        return self._read

    def __getitem__(self, name: str) -> Parameter:
        return self._parameters()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)

    def __repr__(self) -> str:
        return repr(self._parameters())


def _packed(raw: dict[str, Any]) -> bytes:
    packed: bytes = msgpack.packb(raw, use_bin_type=True)
    return packed


def _unpacked(body: bytes) -> dict[str, Any]:
    raw: dict[str, Any] = msgpack.unpackb(body, raw=False, strict_map_key=False)
    return raw


def _key(key: CheckpointKey | None) -> dict[str, int] | None:
    return None if key is None else {"trial": key.trial, "step": key.step, "launch": key.launch}
