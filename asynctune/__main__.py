"""The command line: `asynctune show DIR`, `asynctune events DIR`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from asynctune._engine.journal import read_records
from asynctune._engine.lock import holder
from asynctune._engine.record import event_of
from asynctune._engine.retelling import Retold, retold
from asynctune.errors import AsynctuneError, StorageError
from asynctune.observers.console import clock, shown_values, table
from asynctune.records import State, TrialId, TrialView

__all__ = ["main"]

_BLOCK = 1024  # records that are read at once
_PAUSE = 0.2  # seconds between two looks at a journal that another process writes


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    given = _parser().parse_args(arguments)
    return _written(_lines(given))


def _lines(given: argparse.Namespace) -> Iterator[str]:
    if given.command == "events":
        yield from _events(given.directory, given.first, follow=given.follow)
    elif given.trial is None:
        yield _show(given.directory)
    else:
        yield _show_trial(given.directory, given.trial)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="asynctune", description="Look at searches.")
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("show", help="print the table of a search, also of one that is running")
    show.add_argument("--trial", type=int, metavar="N", help="print all that is known of one trial")
    events = commands.add_parser("events", help="print the events of a search, a line of JSON each")
    events.add_argument("--follow", action="store_true", help="go on until the search ends")
    events.add_argument("--from", type=_positive, default=1, metavar="N", dest="first", help="begin with event number N")
    for command in (show, events):
        command.add_argument("directory", type=Path, help="the storage= of the search")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("events are numbered from 1")
    return number


def _written(lines: Iterator[str]) -> int:
    """Write them as they come; returns the exit code."""
    try:
        for line in lines:
            sys.stdout.write(f"{line}\n".encode(sys.stdout.encoding, "replace").decode(sys.stdout.encoding))
            sys.stdout.flush()
    except AsynctuneError as error:
        sys.stderr.write(f"asynctune: {error}\n")
        return 1
    except BrokenPipeError:  # `| head`: enough was seen
        sys.stdout = None  # or the interpreter tries to flush it once more
    except KeyboardInterrupt:
        return 130
    return 0


# ---------------------------------------------------------------------------------------------------------------- show


def _show(directory: Path) -> str:
    # Whether somebody holds the search is asked before its records are read: if it ends in between, what was read is complete.
    held = holder(directory)
    said = retold(read_records(directory))
    if said.settings is None:
        return f"{directory}: nothing is recorded yet"
    counts = Counter(trial.state.value.lower() for trial in said.trials)
    listed = ", ".join(f"{count} {state}" for state, count in counts.items()) or "none"
    head = f"{directory}: {len(said.trials)} trials ({listed}), {_status(said, held)}"
    return f"{head}\n{table(said.trials, said.settings.objective, live=held is not None)}"


def _status(said: Retold, held: str | None) -> str:
    if held is not None:
        return f"running in {held}"
    if said.ended is None:
        return "interrupted; start it again to go on"
    return f"ended: {said.ended.reason.splitlines()[0]}" + ("; start it again to go on" if said.ended.error else "")


def _show_trial(directory: Path, number: TrialId) -> str:
    held = holder(directory)
    trials = {trial.id: trial for trial in retold(read_records(directory)).trials}
    if number not in trials:
        known = f"they are numbered from 0 to {max(trials)}" if trials else "there are none yet"
        raise StorageError(f"{directory} has no trial {number}: {known}")
    return "\n".join(_described(trials[number], directory, live=held is not None))


def _described(trial: TrialView, directory: Path, *, live: bool) -> Iterator[str]:
    state = "interrupted" if trial.state is State.RUNNING and not live else trial.state.value.lower()
    yield f"trial {trial.id}: {state}" + (f", score {trial.score:.6g}" if trial.score is not None else "")
    times = (("created", trial.created), ("started", trial.started), ("ended", trial.ended))
    yield ", ".join(f"{name} {clock(at)}" for name, at in times if at is not None)
    yield f"attempt {trial.attempt}, launch {trial.launches}, step {trial.step}"
    for name, reason in (("stopped", trial.stop_reason), ("waits", trial.hold)):
        if reason is not None:
            yield f"{name}: {reason}"
    yield "values:" if trial.values else "values: none"
    yield from (f"  {name} = {json.dumps(value)}" for name, value in trial.values.items())
    yield "reports:" if trial.reports else "reports: none"
    yield from (f"  {clock(report.at)}  step {report.step}: {shown_values(report.metrics)}" for report in trial.reports)
    if trial.metrics is not None:
        yield f"returned: {shown_values(trial.metrics)}"
    if trial.failure is not None:
        yield f"failed ({trial.failure.kind.value}): {trial.failure.message}"
        if trial.failure.traceback:
            yield trial.failure.traceback.rstrip()
    logs = sorted((directory / "logs").glob(f"{trial.id}-*.log"), key=lambda path: path.stat().st_mtime)
    yield from (f"log: {path}" for path in logs)


# -------------------------------------------------------------------------------------------------------------- events


def _events(directory: Path, first: int, *, follow: bool) -> Iterator[str]:
    after = first - 1
    while True:
        # Asked before reading: when nobody writes, what is read then is all there is.
        held = holder(directory) if follow else None
        records = read_records(directory, after, _BLOCK)
        for record in records:
            yield json.dumps(event_of(record).to_dict())
            after = record.seq
        if not records and held is None:
            return
        if not records:
            time.sleep(_PAUSE)


if __name__ == "__main__":
    sys.exit(main())
