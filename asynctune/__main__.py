"""The command line: `asynctune show DIR`."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from asynctune._engine.journal import read_records
from asynctune._engine.lock import holder
from asynctune._engine.retelling import retold
from asynctune.errors import AsynctuneError
from asynctune.observers.console import table

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="asynctune", description="Look at searches.")
    commands = parser.add_subparsers(dest="command", required=True)
    show = commands.add_parser("show", help="print the table of a search, also of one that is running")
    show.add_argument("directory", type=Path, help="the storage= of the search")
    given = parser.parse_args(arguments)
    try:
        text = _show(given.directory)
    except AsynctuneError as error:
        sys.stderr.write(f"asynctune: {error}\n")
        return 1
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:  # `| head`: enough was seen
        sys.stdout = None  # or the interpreter tries to flush it once more
    return 0


def _show(directory: Path) -> str:
    # Whether somebody holds the search is asked before its records are read: if it ends in between, what was read is complete.
    held = holder(directory)
    said = retold(read_records(directory))
    if said.settings is None:
        return f"{directory}: nothing is recorded yet\n"
    counts = Counter(trial.state.value.lower() for trial in said.trials)
    listed = ", ".join(f"{count} {state}" for state, count in counts.items()) or "none"
    if held is not None:
        status = f"running in {held}"
    elif said.ended is None:
        status = "interrupted; start it again to go on"
    else:
        status = f"ended: {said.ended.reason.splitlines()[0]}" + ("; start it again to go on" if said.ended.error else "")
    head = f"{directory}: {len(said.trials)} trials ({listed}), {status}"
    return f"{head}\n{table(said.trials, said.settings.objective, live=held is not None)}\n"


if __name__ == "__main__":
    sys.exit(main())
