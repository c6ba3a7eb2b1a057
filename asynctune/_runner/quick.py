"""The messages that every trial pays for, packed and read by hand.

After a fork, each page that is written to is copied first, and Python writes to whatever it looks at. The converter of
`asynctune.wire` looks at a hundred pages where these few lines look at ten; for a trial of a millisecond that is a tenth of
what it costs. What is packed here is what `wire.encode` makes, and the search reads it as strictly as everything else. What is
read here comes from the search, which a runner has no reason to distrust.
"""

from __future__ import annotations

from typing import Any

import msgpack

from asynctune.messages import Answer, FromRunner, MetricsReported, ToRunner, TrialReturned, What
from asynctune.records import CheckpointKey
from asynctune.wire import decode, encode

__all__ = ["pack", "unpack"]

_WHAT = {what.value: what for what in What}


def pack(message: FromRunner) -> bytes:
    """The same bytes as `encode(message, FromRunner)`. Raises what that does."""
    kind = type(message)
    try:
        if kind is MetricsReported:
            return _packed(_report(message))  # type: ignore[arg-type]
        if kind is TrialReturned:
            return _packed(_returned(message))  # type: ignore[arg-type]
    except Exception:  # noqa: BLE001, S110 -- it cannot be packed, and the converter will say why
        pass
    return encode(message, FromRunner)


def unpack(body: bytes) -> ToRunner:
    """The same message as `decode(body, ToRunner)`. Raises what that does, for less."""
    raw: Any = msgpack.unpackb(body, raw=False, strict_map_key=False)
    if raw["type"] != "Answer":
        message: ToRunner = decode(body, ToRunner)
        return message
    return Answer(
        trial=raw["trial"],
        launch=raw["launch"],
        step=raw["step"],
        what=_WHAT[raw["what"]],
        save=raw["save"],
        reason=raw["reason"],
    )


def _packed(raw: dict[str, Any]) -> bytes:
    packed: bytes = msgpack.packb(raw, use_bin_type=True)
    return packed


def _report(message: MetricsReported) -> dict[str, Any]:
    return {
        "trial": message.trial,
        "launch": message.launch,
        "step": message.step,
        "metrics": message.metrics,
        "clock": message.clock,
        "checkpoint": _key(message.checkpoint),
        "type": "MetricsReported",
    }


def _returned(message: TrialReturned) -> dict[str, Any]:
    return {
        "trial": message.trial,
        "launch": message.launch,
        "metrics": message.metrics,
        "executions": message.executions,
        "step": message.step,
        "checkpoint": _key(message.checkpoint),
        "type": "TrialReturned",
    }


def _key(key: CheckpointKey | None) -> dict[str, int] | None:
    return None if key is None else {"trial": key.trial, "step": key.step, "launch": key.launch}
