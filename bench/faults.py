"""What one fault costs: the same search of six trials, one of which misbehaves, or whose program is killed, or whose files
are damaged, in asynctune and in its peers.

    python -m bench.faults [--keras-tuner PYTHON] [--ray PYTHON] [--optuna PYTHON] [--only FAULT ...] [--loky PYTHON]

Each search is a program of its own, watched from outside; what stands in the table is what was seen: what the program said of
its trials, how it ended, what the trials noted in files, which processes are still there. Two trials run at a time where
a system has processes; KerasTuner and Optuna run them one after the other in their own. Nothing is retried anywhere. The status
is 1 if a fault cost anything in asynctune beyond the trial that it struck.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from attrs import Factory, define, frozen

from asynctune.testing.leftovers import marked
from bench.common import PEERS, headline, peers_environment, peers_parser, table
from bench.peers import faulty

# (row in docs/reliability.md, what is done) of each.
FAULTS = {
    "sigkill": (1, "a trial is killed (SIGKILL)"),
    "segfault": (2, "a trial crashes (SIGSEGV)"),
    "os_exit": (4, "a trial calls `os._exit(7)`"),
    "sys_exit": (4, "a trial calls `sys.exit(3)`"),
    "two_arguments": (21, "a trial raises an exception that cannot be unpickled"),
    "unpicklable_exception": (21, "a trial raises an exception that cannot be pickled"),
    "unpicklable_result": (21, "a trial returns what cannot be pickled"),
    "nan": (17, "a trial returns NaN"),
    "none": (17, "a trial returns None"),
    "loop": (5, "a trial never ends; a limit of 2 s, where there is any"),
    "stdout": (22, "a trial's C code writes to descriptor 1"),
    "descriptors": (22, "a trial closes every descriptor from 3 on"),
    "helper": (7, "a trial leaves a process behind"),
    "session": (7, "a trial leaves one in a session of its own behind"),
    "callback": (23, "a callback of the user's raises"),
    "orphans": (8, "the program is killed: what is left"),
    "killed": (8, "the program is killed, and started again"),
    "torn": (15, "killed during a write, and started again"),
    "cut": (15, "killed, the newest file loses its last 10 bytes, started again"),
    "flip": (15, "a digit of a stored score changes, started again"),
}
CONTROL = "nothing"  # goes wrong: a program that cannot even do that proves nothing
KEPT_IN_FILES = {"killed", "torn", "cut", "flip"}
QUIET = 30.0  # seconds without a trial that begins or ends, after which a search hangs
START_UP = 120.0  # seconds until the first trial begins
GRACE = 10.0  # seconds for what is on its way out; what is there later is an orphan
INNOCENTS = faulty.TRIALS - 1


@frozen
class System:
    """Who is measured: how its program is started, which files hold its state (none: it is kept
    in memory), and what the write that a crash breaks off
    leaves: half of a `line` or of a `frame` behind the rest, or of the whole file, or nothing (None)."""

    name: str
    command: Sequence[str]
    state: Sequence[str] = ()
    half: str | None = None
    repair: Sequence[str] | None = None


@frozen
class Outcome:
    """What is told of a fault, and whether anything was harmed that had no part in it."""

    words: str
    harmed: bool


@frozen
class Ended:
    """How a program ended. `status` is None if it hung and was killed; `told` is None if it could not say anything."""

    status: int | None
    told: Mapping[str, Any] | None

    @property
    def states(self) -> dict[int, tuple[str, float | None]]:
        """(state, score) of each trial."""
        return {int(n): (state, value) for n, (state, value) in (self.told or {"states": {}})["states"].items()}

    @property
    def trouble(self) -> str | None:
        """Why it did not end as it should, if it did not."""
        if self.status is None:
            return f"hangs (> {QUIET:g} s)" if self.told is None else f"never ends (> {QUIET:g} s)"
        if self.told is None:
            ended = f"of {signal.Signals(-self.status).name}" if self.status < 0 else f"with status {self.status}"
            return f"the program dies {ended}"
        raised = self.told["raised"]
        if raised:
            return f"{raised} escapes into the program" if self.told["escaped"] else f"the search ends by {raised}"
        return f"then cannot be read: {self.told['unseen']}" if "unseen" in self.told else None


@define
class Cell:
    """One fault in one system: a directory, and a mark that every process carries."""

    system: System
    fault: str
    place: Path
    mark: str = Factory(lambda: f"FAULTS_MARK={uuid.uuid4()}")

    def run(self, fault: str, until: Callable[[], bool] = lambda: False) -> Ended:
        """Run the program to its end, or until it hangs; or until a moment, and SIGKILL it then."""
        (self.place / "told.json").unlink(missing_ok=True)
        name, _, value = self.mark.partition("=")
        with (self.place / "out").open("ab") as out, (self.place / "err").open("ab") as err:
            program = subprocess.Popen(
                [*self.system.command, fault, str(self.place)],
                stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=peers_environment() | {name: value},
            )  # fmt: skip
            began = self.size()
            seen, deadline = began, time.monotonic() + START_UP
            while program.poll() is None and time.monotonic() < deadline and not until():
                if self.size() != seen:
                    seen, deadline = self.size(), time.monotonic() + QUIET
                time.sleep(0.02)
            hung = program.poll() is None
            program.kill()
            status = program.wait()
        told = self.place / "told.json"
        if status and not hung and not told.exists() and self.size() == began:
            raise RuntimeError(f"{self.system.name} does not begin at all:\n{(self.place / 'err').read_text()[-4000:]}")
        return Ended(None if hung else status, json.loads(told.read_text()) if told.exists() else None)

    def notes(self, what: str) -> list[int]:
        """The trials that began, or were done, in that order."""
        with suppress(FileNotFoundError):
            noted = [json.loads(line) for line in (self.place / "notes").read_text().splitlines()]
            return [number for kind, number, _ in noted if kind == what]
        return []

    def size(self) -> int:
        """How much was noted."""
        return (self.place / "notes").stat().st_size if (self.place / "notes").exists() else 0

    def left(self, within: float) -> set[int]:
        """The processes of the search that are still there after so many seconds."""
        deadline = time.monotonic() + within
        while (found := marked(self.mark)) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    def clean(self) -> None:
        """End whatever is left."""
        while found := marked(self.mark):
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)

    def files(self) -> list[Path]:
        """The files that hold the state, the one that was written last at the end."""
        named = [path for pattern in self.system.state for path in (self.place / "state").glob(pattern)]
        found = [path for path in named if path.is_file() and path.stat().st_size]
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)


# ------------------------------------------------------------------------------------------------------- the kinds of faults


def struck(cell: Cell) -> Outcome:
    """A search with a bad trial, or a bad callback, to its end."""
    ended = cell.run(cell.fault)
    left = cell.left(GRACE)
    states = ended.states
    completed = {n for n, (state, value) in states.items() if state == "completed"} if states else set(cell.notes("done"))
    lost = INNOCENTS - len({n for n in completed if n != faulty.BAD and n < faulty.TRIALS})
    words = [ended.trouble] if ended.trouble else []
    if lost:
        words.append(f"{lost} of {INNOCENTS} innocents get no result")
    if left and ended.status is not None:
        words.append("left an orphan" if len(left) == 1 else f"left {len(left)} orphans")
    if faulty.SPILLED in (cell.place / "out").read_text(errors="replace"):
        words.append("it stands in the program's output")
    last = _of_the_bad(states)
    return Outcome("; ".join([*words, *filter(None, [last])]) or "costs nothing", bool(words))


def _of_the_bad(states: Mapping[int, tuple[str, float | None]]) -> str:
    state, value = states.get(faulty.BAD, ("", None))
    if state == "running":
        return "that trial stays running for ever"
    if state == "failed":
        return "that trial fails"
    return f"that trial is completed with {value}" if state == "completed" and value != faulty.score(faulty.BAD) else ""


def orphaned(cell: Cell) -> Outcome:
    """A search whose program is killed while two trials run, or one."""
    cell.run(cell.fault, lambda: len(cell.notes("done")) > 0)
    killed = time.monotonic()
    left = cell.left(GRACE)
    if left:
        return Outcome(f"left {len(left)} orphan{'s' * (len(left) > 1)} (> {GRACE:g} s)", True)
    took = time.monotonic() - killed
    return Outcome(f"all gone within {next(bound for bound in (1, 2, 5, GRACE + 1) if took < bound):g} s", took > 1)


def interrupted(cell: Cell) -> Outcome:
    """A search whose program is killed, whose files may be damaged then, and which is started again."""
    cell.run(cell.fault, lambda: len(cell.notes("done")) >= faulty.TRIALS - 2)
    cell.left(GRACE)
    cell.clean()
    if cell.fault != "killed":
        damage = _break_off if cell.fault == "torn" else _cut
        if not cell.files():
            return Outcome("nothing had been saved", True)
        damage(cell)
    # The last two may have ended without anybody having heard of it.
    known, so_far = set(cell.notes("done")[:-2]), len(cell.notes("done"))
    ended, words = _again(cell)
    twice = known & set(cell.notes("done")[so_far:])
    running = sum(state == "running" for state, _ in ended.states.values())
    missing = faulty.TRIALS - sum(state == "completed" for state, _ in ended.states.values())
    costs = []
    if running:
        costs.append(f"{running} trial{'s stay' if running > 1 else ' stays'} running for ever")
    if ended.told is not None and not ended.trouble and missing > 0:
        costs.append(f"{missing} trials are missing")
    # What the disk has lost after it was written can only be told, and run again.
    told = bool(words) and words[0].endswith(_REPAIRED)
    harmed = bool(costs) or (not told and bool(words or twice))
    if twice:
        words.append(f"{len(twice)} of {len(known)} completed trials ran again")
    return Outcome("; ".join([*words, *costs]) or "goes on, nothing runs twice", harmed)


def flipped(cell: Cell) -> Outcome:
    """A search that is over, one of whose scores is changed on disk, and which is opened again."""
    cell.run(cell.fault)
    innocent = faulty.BAD - 1
    if not _flip(cell, faulty.score(innocent)):
        return Outcome("the score is not found in its files", True)
    ended, words = _again(cell)
    state, value = ended.states.get(innocent, ("unknown", None))
    if state == "completed" and value == faulty.score(innocent):
        return Outcome("; ".join(words) or "the right score is shown", bool(words) and not words[-1].endswith(_REPAIRED))
    return Outcome("; ".join([*words, f"not noticed: {value} is shown" if value else "the trial is gone"]), True)


# ------------------------------------------------------------------------------------------------------------ what is done

_REPAIRED = "goes on after `asynctune repair`"


def _again(cell: Cell) -> tuple[Ended, list[str]]:
    """Start the same search again; once more if that failed, after a repair where there is one."""
    ended = cell.run("again")
    cell.left(GRACE)
    cell.clean()
    if ended.trouble is None:
        return ended, []
    first = (ended.told or {}).get("raised") or ended.trouble
    if cell.system.repair:
        subprocess.run([*cell.system.repair, str(cell.place / "state")], check=False, capture_output=True)
    ended = cell.run("again")
    if ended.trouble is None:
        return ended, [f"{first} at first; goes on when started again" if not cell.system.repair else f"{first}; {_REPAIRED}"]
    return ended, [f"{first}; unreadable afterwards"]


def _break_off(cell: Cell) -> None:
    """What a crash in the middle of a write leaves."""
    newest = cell.files()[-1]
    data = newest.read_bytes()
    if cell.system.half == "file":  # is written anew, in its place
        newest.write_bytes(data[: len(data) // 2])
    elif cell.system.half == "line":
        last = data.splitlines(keepends=True)[-1]
        newest.write_bytes(data + last[: len(last) // 2])
    else:  # a frame of a write-ahead log: 24 bytes and a page
        log = newest.with_name("journal.sqlite-wal")
        log.write_bytes(log.read_bytes() + log.read_bytes()[-4120:-2060])


def _cut(cell: Cell) -> None:
    newest = cell.files()[-1]
    os.truncate(newest, newest.stat().st_size - 10)


def _flip(cell: Cell, score: float) -> int:
    """Change one digit, or bit, of a score wherever it is stored; in how many places."""
    text, packed = str(score).encode(), struct.pack(">d", score)
    other = bytes([*packed[:3], packed[3] ^ 1, *packed[4:]])
    changes = {text: text[:2] + b"9" + text[3:], packed: other, packed[::-1]: other[::-1]}
    count = 0
    for path in cell.files():
        data = path.read_bytes()
        for stored, changed in changes.items():
            count += data.count(stored)
            data = data.replace(stored, changed)
        path.write_bytes(data)
    return count


# --------------------------------------------------------------------------------------------------------------- the table


def outcome(system: System, fault: str) -> Outcome:
    """What one fault does to one system."""
    if (fault in KEPT_IN_FILES and not system.state) or (fault == "torn" and system.half is None):
        return Outcome("does not apply", False)
    kind = {"orphans": orphaned, "killed": interrupted, "torn": interrupted, "cut": interrupted, "flip": flipped}
    with _cell(system, fault) as cell:
        return kind.get(fault, struck)(cell)


@contextmanager
def _cell(system: System, fault: str) -> Iterator[Cell]:
    with ExitStack() as ended:
        # Short: the sockets of Ray's are in it. What is left may still write into it.
        place = Path(ended.enter_context(tempfile.TemporaryDirectory(prefix="f-", ignore_cleanup_errors=True)))
        cell = Cell(system, fault, place)
        ended.callback(cell.clean)
        yield cell


def systems(given: Any) -> list[System]:
    """Ourselves, and whoever is there."""
    here, modules = [sys.executable, "-m"], "bench.peers.faults_in_"
    peers = {
        "keras_tuner": System("KerasTuner", [f"{modules}keras_tuner"], state=("**/*.json",), half="file"),
        "optuna": System("Optuna", [f"{modules}optuna"], state=("journal.log",), half="line"),
        "ray": System("Ray Tune", [f"{modules}ray"], state=("faults/**/*.json",)),
    }
    found = [
        System("asynctune", [*here, "bench.faults_in_asynctune"], state=("journal.sqlite", "journal.sqlite-wal"), half="frame",
               repair=[*here, "asynctune", "repair"]),
    ]  # fmt: skip
    for name in PEERS:
        if getattr(given, name):
            peer = peers[name]
            found.append(System(peer.name, [getattr(given, name), "-m", *peer.command], peer.state, peer.half))
    found.append(System("concurrent.futures", [*here, f"{modules}pools", "concurrent.futures"]))
    return [*found, System("loky", [given.loky, "-m", f"{modules}pools", "loky"])]


def measure(measured: Sequence[System], faults: Sequence[str]) -> dict[tuple[str, str], Outcome]:
    """Every fault in every system. Ray, which takes longest to start, beside the others."""
    found: dict[tuple[str, str], Outcome] = {}

    def lane(part: Sequence[System]) -> None:
        for system in part:
            for fault in (CONTROL, *faults):
                began = time.monotonic()
                found[system.name, fault] = seen = outcome(system, fault)
                if fault == CONTROL and seen.harmed:
                    raise RuntimeError(f"{system.name} does not work here: {seen.words}")
                print(f"{system.name}: {fault}: {seen.words} ({time.monotonic() - began:.1f} s)", file=sys.stderr, flush=True)

    lanes = [[system for system in measured if (system.name == "Ray Tune") == ray] for ray in (False, True)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lane, lanes))
    return found


def main() -> int:
    """Measure, and print the table."""
    parser = peers_parser(__doc__)
    parser.add_argument(
        "--loky", metavar="PYTHON", default=sys.executable, help="an interpreter that has loky, if not this one"
    )
    parser.add_argument("--only", nargs="+", choices=FAULTS, default=list(FAULTS), metavar="FAULT", help=", ".join(FAULTS))
    given = parser.parse_args()
    measured = systems(given)
    found = measure(measured, given.only)
    headline()
    rows = [
        [str(FAULTS[fault][0]), FAULTS[fault][1], *(found[system.name, fault].words for system in measured)]
        for fault in given.only
    ]
    table(["row", "fault", *(system.name for system in measured)], rows)
    return int(any(found["asynctune", fault].harmed for fault in given.only))


if __name__ == "__main__":
    sys.exit(main())
