"""What TensorBoard's own readers find in a directory."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from attrs import frozen

__all__ = ["Board", "Row"]

pytest.importorskip("tensorboard", reason="needs tensorboard")
# Its readers look for TensorFlow, unless this is there.
sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))


@frozen
class Row:
    """A row of the HParams tab."""

    status: str
    values: dict[str, Any]
    metrics: dict[str, float]


class Board:
    """A directory, as TensorBoard reads it."""

    def __init__(self, directory: Path) -> None:
        from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
        from tensorboard.plugins import base_plugin
        from tensorboard.plugins.hparams import backend_context

        self.directory = directory
        runs = plugin_event_multiplexer.EventMultiplexer().AddRunsFromDirectory(str(directory))
        runs.Reload()
        self._provider = data_provider.MultiplexerDataProvider(runs, str(directory))
        self._context = backend_context.Context(base_plugin.TBContext(data_provider=self._provider, logdir=str(directory)))

    def scalars(self, run: str) -> dict[str, list[tuple[int, float]]]:
        """The points of each scalar of a run: of the two readers of TensorBoard, which agree."""
        points = {tag: [(each.step, each.value) for each in found] for tag, found in self._points(run).items()}
        served = {tag: [(each.step, each.value) for each in found] for tag, found in self._served(run).items()}
        assert repr(points) == repr(served)  # not a number is not equal to itself
        return points

    def times(self, run: str) -> list[float]:
        """The wall times of all points of a run, in the order of the file's tags."""
        return [each.wall_time for points in self._points(run).values() for each in points]

    def _points(self, run: str) -> dict[str, Any]:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        read = EventAccumulator(str(self.directory / run), size_guidance={"scalars": 0})
        read.Reload()
        return {tag: read.Scalars(tag) for tag in read.Tags()["scalars"]}

    def _served(self, run: str) -> dict[str, Any]:
        from tensorboard.context import RequestContext
        from tensorboard.data.provider import RunTagFilter

        wanted = RunTagFilter(runs=[run])
        read = self._provider.read_scalars(
            RequestContext(), experiment_id="", plugin_name="scalars", downsample=1000, run_tag_filter=wanted
        )
        found: dict[str, Any] = read.get(run, {})
        return found

    def experiment(self) -> Any:
        """The experiment, as a protobuf message."""
        from tensorboard.context import RequestContext

        found = self._context.hparams_metadata(RequestContext(), "")
        return self._context.experiment_from_metadata(RequestContext(), "", True, found, [])

    def rows(self) -> dict[str, Row]:
        """The HParams tab: its table, as it is sent to the browser."""
        from google.protobuf import json_format
        from tensorboard.context import RequestContext
        from tensorboard.plugins.hparams import api_pb2, list_session_groups

        statuses = api_pb2.Status.values()
        columns = [api_pb2.ColParams(hparam=each.name, include_in_result=True) for each in self.experiment().hparam_infos]
        asked = api_pb2.ListSessionGroupsRequest(slice_size=1000, allowed_statuses=statuses, col_params=columns)
        handler = list_session_groups.Handler(
            request_context=RequestContext(), backend_context=self._context, experiment_id="", request=asked
        )
        answer = json_format.MessageToDict(handler.run())
        return {group["name"]: _row(group) for group in answer["sessionGroups"]}


def _row(group: dict[str, Any]) -> Row:
    (session,) = group["sessions"]
    metrics = {each["name"]["tag"]: float(each.get("value", 0.0)) for each in group.get("metricValues", [])}
    return Row(session.get("status", "STATUS_UNKNOWN"), group.get("hparams", {}), metrics)


def same(one: float, other: float) -> bool:
    """Whether these are the same number, as far as 32 bits tell."""
    return math.isclose(one, other, rel_tol=1e-6) or (math.isnan(one) and math.isnan(other))
