"""The command line: `asynctune show DIR`, `events DIR`, `doctor DIR`, `repair DIR`, `simulate CURVES`."""

from __future__ import annotations

import argparse
import errno
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from attrs import evolve

from asynctune._engine.checkup import checkup
from asynctune._engine.journal import read_records
from asynctune._engine.lock import holder
from asynctune._engine.record import event_of
from asynctune._engine.repair import repair
from asynctune._engine.retelling import FailedLaunch, Retold, retold
from asynctune.errors import AsynctuneError, StorageError
from asynctune.observers.console import clock, columns_of, lasted, legible, scored, shown, shown_values, table
from asynctune.records import State, TrialId, TrialView, log_name

__all__ = ["main"]

_REASON = 200  # characters of why a search ended
_BLOCK = 1024  # records that are read at once
_PAUSE = 0.2  # seconds between two looks at a journal that another process writes
_DIGITS = 18  # of a number that SQLite has


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    try:
        return _run(arguments)
    except AsynctuneError as error:
        said = str(error)
    except OSError as error:
        said = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    except KeyboardInterrupt:
        return 130
    _remark(said)
    return 1


def _run(arguments: Sequence[str] | None) -> int:
    code = 0
    try:
        for line in _lines(_parser().parse_args(arguments)):
            _print(line)
    except SystemExit as end:  # a mistake, --help, --version, and whoever read has seen enough: all is said
        code = end.code if isinstance(end.code, int) else 0
    if sys.stdout is not None:
        with _output():
            sys.stdout.flush()
    return code


def _lines(given: argparse.Namespace) -> Iterator[str]:
    if given.command == "events":
        yield from _events(given.directory, given.first, follow=given.follow)
    elif given.command == "doctor":
        yield from _doctor(given.directory)
    elif given.command == "repair":
        yield from _repair(given.directory)
    elif given.command == "simulate":
        # Not imported above: who only looks at a search must have nothing to unpickle with.
        yield from import_module("asynctune.testing.command").simulate(given)
    elif given.trial is None:
        yield _show(given.directory)
    else:
        yield _show_trial(given.directory, given.trial)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="asynctune", description="Look at searches, mend them, and replay their curves.")
    parser.add_argument("--version", action="version", version=f"asynctune {version('asynctune')}")
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("show", help="print the table of a search, also of one that is running")
    show.add_argument("--trial", type=int, metavar="N", help="print all that is known of one trial")
    events = commands.add_parser("events", help="print the events of a search, a line of JSON each")
    events.add_argument("--follow", action="store_true", help="go on until the search ends")
    events.add_argument("--from", type=_number, default=1, metavar="N", dest="first", help="begin with event number N")
    doctor = commands.add_parser("doctor", help="verify a search, and say what a resume would do; exits 1 if it is damaged")
    mend = commands.add_parser("repair", help="keep what is good of a damaged journal, and the original beside it")
    for command in (show, events, doctor, mend):
        command.add_argument("directory", type=Path, help="the storage= of the search")
    _add_simulate(commands.add_parser("simulate", help="compare schedulers on recorded curves, on a virtual clock"))
    return parser


def _add_simulate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("curves", type=Path, help="the storage= of a search, a folder with a curves.npz, or a table's .npz")
    parser.add_argument("--task", help="which of the tasks that are there; the first, if left out")
    schedulers = "a scheduler, such as \"ASHA(factor=4, form='promotion')\"; may be said again; if not, the usual ones"
    parser.add_argument("--scheduler", action="append", metavar="S", help=schedulers)
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="how many trials run at once (1)")
    parser.add_argument("--runs", type=int, default=10, metavar="N", help="how many runs of each scheduler (10)")
    parser.add_argument("--straggle", type=float, default=0.0, metavar="X", help="how uneven workers are (0)")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the regret against virtual time (needs Matplotlib)")


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise argparse.ArgumentTypeError(f"takes the number of an event (the first is number 1), not {text!r}")
    return int(text)


def _print(line: str) -> None:
    with _output():
        if sys.stdout is None:
            raise OSError(errno.EBADF, "it is closed")
        sys.stdout.write(f"{line}\n".encode(sys.stdout.encoding, "replace").decode(sys.stdout.encoding))
        sys.stdout.flush()


@contextmanager
def _output() -> Iterator[None]:
    """What standard output does not take is dropped: or the interpreter tries to flush it once more, and complains."""
    try:
        yield
    except BrokenPipeError:  # `| head`: enough was seen
        sys.stdout = None
        raise SystemExit(0) from None
    except (OSError, ValueError) as error:
        sys.stdout = None
        raise AsynctuneError(f"standard output cannot be written: {getattr(error, 'strerror', None) or error}") from error


def _remark(text: str) -> None:
    """Say something that is no part of the output."""
    try:
        if sys.stderr is not None:
            sys.stderr.write(f"asynctune: {text}\n")
            sys.stderr.flush()
    except (OSError, ValueError):
        sys.stderr = None


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
    rows = table(said.trials, said.settings.objective, live=held is not None, width=columns_of(sys.stdout))
    return f"{head}\n{rows}"


def _status(said: Retold, held: str | None) -> str:
    if held is not None:
        return f"running in {held}"
    if said.ended is None:
        return "interrupted; start it again to go on"
    reason = shown(said.ended.reason, _REASON) or "no reason was given"
    return f"ended: {reason}{'; start it again to go on' if said.ended.error else ''}"


def _show_trial(directory: Path, number: TrialId) -> str:
    held = holder(directory)
    said = retold(read_records(directory))
    trials = {trial.id: trial for trial in said.trials}
    if number not in trials:
        known = f"they are numbered from 0 to {max(trials)}" if trials else "there are none yet"
        raise StorageError(f"{directory} has no trial {number}: {known}")
    failed = said.failed.get(number, ())
    return legible("\n".join(_described(trials[number], failed, directory, live=held is not None)))


def _described(trial: TrialView, failed: Sequence[FailedLaunch], directory: Path, *, live: bool) -> Iterator[str]:
    state = "interrupted" if trial.state is State.RUNNING and not live else trial.state.value.lower()
    yield f"trial {trial.id}: {state}" + (f", score {found}" if (found := scored(trial.score, trial.scores)) else "")
    if trial.violates:
        yield f"breaks the constraint on {', '.join(trial.violates)}"
    times = (("created", trial.created), ("started", trial.started), ("ended", trial.ended))
    yield ", ".join(f"{name} {_span(at)}" for name, at in times if at is not None) + " into the search"
    yield f"attempt {trial.attempt}, launch {trial.launches}, step {trial.step}"
    if trial.parent is not None:
        yield f"parent: trial {trial.parent}"
    if trial.budget is not None:
        yield f"budget: {trial.budget} step{'' if trial.budget == 1 else 's'}"
    for name, reason in (("stopped", trial.stop_reason), ("waits", trial.hold)):
        if reason is not None:
            yield f"{name}: {reason}"
    yield "values:" if trial.values else "values: none"
    yield from (f"  {name} = {json.dumps(value)}" for name, value in trial.values.items())
    yield "reports (at h:m:s into the search):" if trial.reports else "reports: none"
    yield from (f"  {clock(report.at)}  step {report.step}: {shown_values(report.metrics)}" for report in trial.reports)
    if trial.metrics is not None:
        yield f"returned: {shown_values(trial.metrics)}"
    if failed:
        yield "what failed, or was lost (at h:m:s into the search):"
    for each in failed:
        yield from _failure(trial.id, each, directory)
    named = {log_name(trial.id, each.launch) for each in failed}
    logs = sorted((directory / "logs").glob(f"{trial.id}-*.log"), key=lambda path: path.stat().st_mtime)
    yield from (f"log: {path}" for path in logs if f"logs/{path.name}" not in named)


def _failure(trial: TrialId, failed: FailedLaunch, directory: Path) -> Iterator[str]:
    # The log is looked for where it must be, and not where the record says: a trial can say anything.
    name = log_name(trial, failed.launch)
    log = name if (directory / name).is_file() else None
    failure = evolve(failed.failure, log=log)
    first, *more = str(failure).splitlines()
    yield f"  {clock(failed.at)}  attempt {failed.attempt}, launch {failed.launch}: {first}"
    yield from (f"    {line}" for line in [*more, *failure.details(str(directory)).splitlines()])


def _span(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else lasted(seconds)


# -------------------------------------------------------------------------------------------------------------- events


def _events(directory: Path, first: int, *, follow: bool) -> Iterator[str]:
    after = first = max(0, first - 1)
    while True:
        # Asked before reading: when nobody writes, what is read then is all there is.
        held = holder(directory) if follow else None
        records = read_records(directory, after, _BLOCK)
        for record in records:
            yield json.dumps(event_of(record).to_dict())
            after = record.seq
        if not records and held is None:
            break
        if not records:
            time.sleep(_PAUSE)
    if after == first:
        _remark(_nothing_behind(directory))


def _nothing_behind(directory: Path) -> str:
    records = read_records(directory)
    if not records:
        return f"{directory}: nothing is recorded yet"
    ended = retold(records).ended is not None
    return f"there is nothing to print: {'the search ended at' if ended else 'the newest is'} event {records[-1].seq}"


# ----------------------------------------------------------------------------------------------------- doctor and repair


def _doctor(directory: Path) -> Iterator[str]:
    found = checkup(directory)
    yield f"{directory}: {'damaged' if found.problems else 'sound'}"
    yield from (legible(f"  {line}") for line in found.lines)
    if found.problems:
        raise SystemExit(1)


def _repair(directory: Path) -> Iterator[str]:
    done = repair(directory)
    if done is None:
        yield f"{directory}: there is nothing to repair"
        return
    yield f"it was damaged: {done.reason}"
    yield f"records 1 to {done.kept} are kept"
    if done.known > done.kept:
        yield f"records {done.kept + 1} to {done.known} are lost, with what trials, and whoever watched, were told of them"
    yield f"the original is kept as {done.original}; start the search again to go on"


if __name__ == "__main__":
    sys.exit(main())
