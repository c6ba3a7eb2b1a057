"""The records of TensorBoard's event files, and the words of its HParams plugin, as bytes to append.

Of the `tensorboard` package we take the protobuf messages and nothing else. Its own writers bring NumPy and, wherever that is
installed, TensorFlow: seconds of imports, in a process whose event loop has requests to answer. The framing around a message
(TFRecord: length, its checksum, the message, its checksum) is a few lines.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from typing import Any

from attrs import define, field, frozen

from asynctune.errors import ConfigurationError
from asynctune.records import Metrics, Value, Values
from asynctune.space.conditions import Parameter, cases_of
from asynctune.space.domains import Float, Int, Normal

__all__ = ["Metric", "Records", "Run"]

_START, _END, _EXPERIMENT = (f"_hparams_/{name}" for name in ("session_start_info", "session_end_info", "experiment"))


@frozen
class Metric:
    """A metric of the experiment: the scalars that it is read from, and what the table calls it."""

    tag: str
    name: str


@define
class Run:
    """What a run's file says so far, and what is to be appended to it.

    Attributes:
        step: the last step that was written; 0 if none was.
        start: the step that a launch goes on from which has written nothing yet; None if there is none.
        begun: whether its hyperparameters were written.
        new: what is to be appended.
    """

    step: int = 0
    start: int | None = None
    begun: bool = False
    new: bytearray = field(factory=bytearray)


class Records:
    """Makes records, and reads them back. Every method that makes one returns its bytes. Times are in seconds since the epoch.

    Raises:
        ConfigurationError: the messages of the `tensorboard` package cannot be imported.
    """

    def __init__(self) -> None:
        try:
            self._events: Any = import_module("tensorboard.compat.proto.event_pb2")
            self._summaries: Any = import_module("tensorboard.compat.proto.summary_pb2")
            self._tensors: Any = import_module("tensorboard.compat.proto.tensor_pb2")
            self._shapes: Any = import_module("tensorboard.compat.proto.tensor_shape_pb2")
            self._types: Any = import_module("tensorboard.compat.proto.types_pb2")
            self._api: Any = import_module("tensorboard.plugins.hparams.api_pb2")
            self._plugin: Any = import_module("tensorboard.plugins.hparams.plugin_data_pb2")
        except ImportError as error:
            raise ConfigurationError(f'TensorBoard() needs "asynctune[tensorboard]", as it is now: {error}') from error

    # ------------------------------------------------------------------------------------------------------------ a file

    def head(self, wall: float) -> bytes:
        """The first records of every file. Some readers take the first start for no restart, so there is one."""
        return self._framed(self._events.Event(wall_time=wall, file_version="brain.Event:2")) + self.restart(wall, 0)

    def scalars(self, wall: float, step: int, metrics: Metrics) -> bytes:
        """Numbers at a step, each by its name. They are kept as 32-bit floats; what is too large for one becomes infinite."""
        values = [self._summaries.Summary.Value(tag=name, simple_value=value) for name, value in metrics.items()]
        return self._framed(self._events.Event(wall_time=wall, step=step, summary=self._summaries.Summary(value=values)))

    def restart(self, wall: float, step: int) -> bytes:
        """The run goes on from before this step: readers forget what was written for it and for those behind it."""
        log = self._events.SessionLog(status=self._events.SessionLog.START)
        return self._framed(self._events.Event(wall_time=wall, step=step, session_log=log))

    def launch(self, wall: float, step: int) -> bytes:
        """A launch goes on from this step. Readers do not look at it; it is a note to ourselves: what the launch replaces is
        said with its first report, which may come when nobody remembers how it began.
        """
        log = self._events.SessionLog(status=self._events.SessionLog.CHECKPOINT)
        return self._framed(self._events.Event(wall_time=wall, step=step, session_log=log))

    def read(self, data: bytes) -> Run:
        """What a file of ours says.

        Raises:
            ConfigurationError: it is none, or was torn.
        """
        run = Run()
        for each in self._read(data):
            if each.HasField("session_log"):
                if each.session_log.status == self._events.SessionLog.CHECKPOINT:
                    run.start = each.step
                else:
                    run.step = max(0, each.step - 1)
            elif any(value.HasField("metadata") for value in each.summary.value):
                run.begun = True
            elif each.HasField("summary"):
                run.step, run.start = each.step, None
        return run

    def _read(self, data: bytes) -> Iterator[Any]:
        start = 0
        while start < len(data):
            length, checksum = data[start : start + 8], data[start + 8 : start + 12]
            end = start + 16 + int.from_bytes(length, "little")
            if checksum != _checksum(length) or end > len(data):
                raise ConfigurationError(f"not a file of events: there is no record at byte {start}")
            try:
                event = self._events.Event.FromString(data[start + 12 : end - 4])
            except Exception as error:  # protobuf's own
                raise ConfigurationError(f"not a file of events: {error}") from error
            yield event
            start = end

    # --------------------------------------------------------------------------------------------------------- HParams

    def session_start(self, wall: float, values: Values, space: Mapping[str, Parameter]) -> bytes:
        """The hyperparameters of a run."""
        info = self._plugin.SessionStartInfo(start_time_secs=wall)
        for name, value in values.items():
            exact = _as_hyperparameter(value, _kind([value] if name not in space else _all_values(space[name])))
            kind = "bool" if isinstance(exact, bool) else "string" if isinstance(exact, str) else "number"
            setattr(info.hparams[name], f"{kind}_value", exact)
        return self._hparams(wall, _START, session_start_info=info)

    def session_end(self, wall: float, *, failed: bool) -> bytes:
        """How a run ended."""
        status = self._api.STATUS_FAILURE if failed else self._api.STATUS_SUCCESS
        info = self._plugin.SessionEndInfo(status=status, end_time_secs=wall)
        return self._hparams(wall, _END, session_end_info=info)

    def experiment(self, wall: float, space: Mapping[str, Parameter], metrics: Iterable[Metric]) -> bytes:
        """What all runs have in common: the parameters with their domains, and the metrics."""
        experiment = self._api.Experiment(
            time_created_secs=wall,
            hparam_infos=[self._parameter(name, domain) for name, domain in space.items()],
            metric_infos=[
                self._api.MetricInfo(name=self._api.MetricName(tag=each.tag), display_name=each.name) for each in metrics
            ],
        )
        return self._hparams(wall, _EXPERIMENT, experiment=experiment)

    def _parameter(self, name: str, parameter: Parameter) -> Any:
        domains = [case.domain for case in cases_of(parameter)]
        info = self._api.HParamInfo(name=name, differs=parameter != domains[0] or domains[0].size != 1)
        ranges = [domain for domain in domains if isinstance(domain, Int | Float)]
        if len(ranges) == len(domains):
            info.type = self._api.DATA_TYPE_FLOAT64
            info.domain_interval.min_value = min(each.min_value for each in ranges)
            info.domain_interval.max_value = max(each.max_value for each in ranges)
        elif all(isinstance(domain, Int | Float | Normal) for domain in domains):  # there are no bounds to show
            info.type = self._api.DATA_TYPE_FLOAT64
        else:
            values = _all_values(parameter)
            kind = _kind(values)
            types = {bool: self._api.DATA_TYPE_BOOL, float: self._api.DATA_TYPE_FLOAT64, str: self._api.DATA_TYPE_STRING}
            info.type = types[kind]
            # Two values that are one to TensorBoard (1 and 1.0) are listed once.
            info.domain_discrete.extend(dict.fromkeys(_as_hyperparameter(value, kind) for value in values))
        return info

    def _hparams(self, wall: float, tag: str, **said: Any) -> bytes:
        # The plugin reads what stands in the metadata; the value itself is the smallest that there is.
        shape = self._shapes.TensorShapeProto(dim=[self._shapes.TensorShapeProto.Dim(size=0)])
        empty = self._tensors.TensorProto(dtype=self._types.DT_FLOAT, tensor_shape=shape)
        content = self._plugin.HParamsPluginData(version=0, **said).SerializeToString()
        plugin = self._summaries.SummaryMetadata.PluginData(plugin_name="hparams", content=content)
        metadata = self._summaries.SummaryMetadata(plugin_data=plugin)
        value = self._summaries.Summary.Value(tag=tag, metadata=metadata, tensor=empty)
        return self._framed(self._events.Event(wall_time=wall, summary=self._summaries.Summary(value=[value])))

    def _framed(self, event: Any) -> bytes:
        data = event.SerializeToString()
        length = struct.pack("<Q", len(data))
        return b"".join((length, _checksum(length), data, _checksum(data)))


def _all_values(parameter: Parameter) -> list[Value]:
    """Those that it can have, in all of its cases; of a range one stands for all."""
    domains = [case.domain for case in cases_of(parameter)]
    each = ([domain.default] if isinstance(domain, Int | Float | Normal) else domain.values for domain in domains)
    return [value for values in each for value in values]


def _kind(values: Iterable[Value]) -> type[bool | float | str]:
    """What these are to TensorBoard, whose parameters are of one type each; what has no other is text."""
    kinds = {bool if isinstance(value, bool) else float if isinstance(value, int | float) else str for value in values}
    return kinds.pop() if len(kinds) == 1 else str


def _as_hyperparameter(value: Value, kind: type) -> bool | float | str:
    if kind is str or value is None:
        return str(value)
    return value


def _table() -> Iterator[int]:
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)  # the Castagnoli polynomial, bits in reverse
        yield crc


_TABLE = tuple(_table())


def _checksum(data: bytes) -> bytes:
    """TFRecord's: CRC-32C, turned by 15 bits, plus a constant."""
    table, crc = _TABLE, 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
