"""What trials are given as a `Secret` is in nothing that is recorded or shown of them, however they fail."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import os
import pickle
import signal
import sqlite3
import sys
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

import asynctune as at
from asynctune.__main__ import main
from asynctune.errors import ConfigurationError, SpaceError, WireError
from asynctune.events import TrialAdded
from asynctune.observers import CSV, Display, JSONLines, Logging, TensorBoard
from asynctune.wire import encode

pytestmark = pytest.mark.fault(40)

LOSS = at.Objective("loss", "min")
CANARY = "can4ry/of the+mine'"
LINES = "-----BEGIN KEY-----\nC0ALMINEC0ALMINE\n-----END KEY-----\n"
PLAIN = "pl4in-canary"  # no Secret: only its key tells
# What must be nowhere: each in the forms in which a text can have it. PLAIN is given to keys only.
TRACES = ("can4ry", "C0ALMINE", PLAIN)


@frozen
class Access:
    """Something of the user's own, with a secret inside."""

    key: at.Secret


def given() -> dict[str, Any]:
    return {"api_key": at.Secret(CANARY), "deep": [{"access": Access(at.Secret(LINES))}]}


# ------------------------------------------------------------------------------------------------- ways in which to tell it


def raises(key: str, _: str) -> None:
    raise ValueError(f"{key} was refused")


def raises_its_repr(key: str, lines: str) -> None:
    raise KeyError((key, [lines]))


def raises_with_a_note(key: str, lines: str) -> None:
    error = RuntimeError("refused")
    error.add_note(f"with {key}")
    error.add_note(lines)
    raise error


def raises_a_group(key: str, lines: str) -> None:
    raise ExceptionGroup("several", [ValueError(key), ExceptionGroup("more", [KeyError(lines), OSError(5, lines)])])


def raises_from(key: str, lines: str) -> None:
    try:
        try:
            raise ConnectionError(f"GET /?q={lines}")
        except ConnectionError as error:
            raise OSError(key) from error
    except OSError:
        raise ValueError(json.dumps({"body": [key, lines]}))  # noqa: B904 -- what it came from is told, too


def raises_at_great_length(key: str, _: str) -> None:
    # Wherever a text is cut, it is cut in the middle of the secret, or just beside it.
    raise ValueError(f"{key}, " * 10_000)


def raises_pairs(_key: str, _lines: str) -> None:
    pairs = [
        f"token={PLAIN}, GITHUB_TOKEN: {PLAIN}; client_secret = '{PLAIN} {PLAIN}'",
        json.dumps({"Password": PLAIN, "api_key": f"{PLAIN} {PLAIN}", "db.passwd": PLAIN}),
        repr(json.dumps({"nested": json.dumps({"password": PLAIN})})),
        f"https://me:@host/?x=1&access_token={PLAIN}&y=2 Authorization: Bearer {PLAIN}",
        str({"headers": {"authorization": f"Basic {PLAIN}", "X-Api-Key": PLAIN}}),
    ]
    raise ConnectionError("\n".join(pairs))


def exits_with_words(key: str, _: str) -> None:
    sys.exit(key)


def returns_what_is_no_result(key: str, _: str) -> Any:
    return {"loss": key}


def returns_too_much(key: str, _: str) -> Any:
    return {f"{key}{number}": 1.0 for number in range(500_000)}


def says_that_it_cannot_be(key: str, lines: str, trial: Any) -> None:
    trial.infeasible(f"no {key}, nor {lines}")


def prints_and_dies(key: str, lines: str) -> None:
    print(f"connecting with {key} and password={PLAIN}\n{lines}", file=sys.stderr, flush=True)
    os._exit(7)


def prints_without_end_and_is_killed(key: str, _: str) -> None:
    os.write(2, (f"{key}, " * 10_000).encode())
    os.kill(os.getpid(), signal.SIGKILL)


def prints_and_is_lost(key: str, _: str, trial: Any) -> None:
    print(key, flush=True)
    if trial.launch == 1:
        os.kill(os.getppid(), signal.SIGKILL)
        os.abort()
    raise ValueError(key)


RAISED: list[Callable[..., Any]] = [
    *(raises, raises_its_repr, raises_with_a_note, raises_a_group, raises_from, raises_at_great_length, raises_pairs),
    *(returns_what_is_no_result, says_that_it_cannot_be),
]
WAYS: list[Callable[..., Any]] = [
    *(*RAISED, exits_with_words, returns_too_much),
    *(prints_and_dies, prints_without_end_and_is_killed, prints_and_is_lost),
]


def tell(way: Callable[..., Any], trial: Any) -> Any:
    words = trial.data["api_key"].reveal(), trial.data["deep"][0]["access"].key.reveal()
    assert words == (CANARY, LINES)
    if trial.id % 2:
        trial.data.clear()  # what was handed over is known, whatever becomes of it
    return way(*words, trial) if way.__code__.co_argcount == 3 else way(*words)


def train(trial: at.Trial) -> Any:
    trial.hp.Float("x", 0.0, 1.0)
    return tell(WAYS[trial.id], trial)


async def train_inline(trial: at.AsyncTrial) -> Any:
    trial.hp.Float("x", 0.0, 1.0)
    return tell(RAISED[trial.id % len(RAISED)], trial)


# ---------------------------------------------------------------------------------------------------------------- where it is


def files(directory: Path) -> dict[str, bytes]:
    """Every file, but the logs of trials: what these print is theirs."""
    found = {str(path.relative_to(directory)): path for path in directory.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith("search/logs/")}


def leaks(text: str | bytes) -> list[str]:
    data = text if isinstance(text, bytes) else text.encode()
    return [trace for trace in TRACES if trace.encode() in data]


def observers(directory: Path) -> list[at.Observer]:
    written: list[at.Observer] = [CSV(directory / "table.csv"), JSONLines(directory / "events.jsonl"), Logging("canary")]
    written += [Display(verbose=2), Display(verbose=2, style="keras")]
    try:
        written.append(TensorBoard(directory / "board"))
    except ConfigurationError:
        logging.getLogger(__name__).info("no TensorBoard here")
    return written


@pytest.mark.process
@pytest.mark.parametrize("start", ["fork", "spawn"])
async def test_a_canary_is_in_nothing_that_is_recorded_or_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, start: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    async with at.Search(
        train, objective=LOSS, max_trials=len(WAYS), storage=tmp_path / "search", data=given(), seed=0,
        executor=at.LocalExecutor(2, start_method=start), observers=observers(tmp_path),
        failure=at.FailurePolicy(max_consecutive_failed_trials=None),
    ) as search:  # fmt: skip
        events = [event async for event in search.events()]
        result = await search.result()
    # Each has failed as it was to; and what they said is there but for the secret.
    told = {way.__name__: result.trials[number] for number, way in enumerate(WAYS)}
    assert [name for name, trial in told.items() if trial.failure is None] == ["says_that_it_cannot_be"]
    assert told["says_that_it_cannot_be"].stop_reason == "infeasible: no ***, nor ***\n"
    failed = {name: trial.failure for name, trial in told.items() if trial.failure is not None}
    assert failed["raises"].message == "ValueError: *** was refused"
    assert "with ***" in str(failed["raises_with_a_note"].traceback)
    assert failed["exits_with_words"].message.endswith(": ***")
    assert failed["prints_and_dies"].tail.startswith("connecting with *** and password=***\n***")
    assert set(failed["prints_without_end_and_is_killed"].tail.splitlines()[0]) <= set("*, ")
    assert told["prints_and_is_lost"].launches == 2

    assert main(["show", str(tmp_path / "search")]) == 0
    for number in result.trials:
        assert main(["show", str(tmp_path / "search"), "--trial", str(number)]) == 0
    assert main(["events", str(tmp_path / "search")]) == 0
    printed = capsys.readouterr()
    with closing(sqlite3.connect(f"file:{tmp_path}/search/journal.sqlite?mode=ro", uri=True)) as journal:
        tables = "\n".join(journal.iterdump())
    assert "was refused" in tables
    found = {name: leaks(data) for name, data in files(tmp_path).items()}
    assert {"search/journal.sqlite", "table.csv", "events.jsonl"} <= set(found)
    found |= {f"event {event.seq}": leaks(json.dumps(event.to_dict()) + repr(event)) for event in events}
    found |= {"printed": leaks(printed.out + printed.err), "tables": leaks(tables)}
    found |= {"logged": leaks(caplog.text), "results": leaks(f"{result.to_dicts()} {result!r}")}
    assert {place: traces for place, traces in found.items() if traces} == {}
    # The log is the trial's own: what it printed is there.
    died = [way.__name__ for way in WAYS].index("prints_and_dies")
    assert CANARY in (tmp_path / "search" / "logs" / f"{died}-1.log").read_text()


async def test_a_canary_in_a_trial_of_the_same_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    result = await at.search(
        train_inline, objective=LOSS, max_trials=len(RAISED), storage=tmp_path / "search", data=given(), seed=0,
        executor=at.InlineExecutor(1), observers=observers(tmp_path),
        failure=at.FailurePolicy(max_consecutive_failed_trials=None),
    )  # fmt: skip
    assert result.trials[0].failure is not None
    assert result.trials[0].failure.message == "ValueError: *** was refused"
    found = {name: leaks(data) for name, data in files(tmp_path).items()}
    printed = capsys.readouterr()
    found |= {"printed": leaks(printed.out + printed.err), "logged": leaks(caplog.text)}
    assert {place: traces for place, traces in found.items() if traces} == {}


@pytest.mark.process
async def test_a_canary_around_the_function_and_in_what_ends_a_search(tmp_path: Path) -> None:
    key = at.Secret(CANARY)

    def ends_it(trial: at.Trial) -> None:
        print(key.reveal(), flush=True)
        raise at.FatalValueError(f"no entry with {key.reveal()}")

    def fails(trial: at.Trial) -> None:
        raise ValueError(key.reveal())

    async def ended(trainable: Any, name: str) -> str:
        with pytest.raises(at.errors.AsynctuneError if trainable is fails else at.FatalValueError) as caught:
            await at.search(trainable, objective=LOSS, max_trials=3, storage=tmp_path / name, executor=at.LocalExecutor(1))
        return "".join(traceback.format_exception(caught.value))

    assert "it raised FatalValueError: no entry with ***" in (said := await ended(ends_it, "fatal"))
    assert "ValueError: ***" in (more := await ended(fails, "fails"))
    assert leaks(said + more) == []
    assert {name: leaks(data) for name, data in files(tmp_path).items() if "/logs/" not in name and leaks(data)} == {}


@pytest.mark.process
async def test_a_canary_in_what_cannot_be_loaded_or_proposed(tmp_path: Path) -> None:
    class Unloadable:
        def __init__(self, key: at.Secret) -> None:
            self.key = key

        def __setstate__(self, state: dict[str, Any]) -> None:
            raise ValueError(f"no {state['key'].reveal()}")

    with pytest.raises(at.errors.TrainableError, match=r"no \*\*\*") as caught:
        await at.search(
            len, objective=LOSS, max_trials=1, data={"it": Unloadable(at.Secret(CANARY))}, executor=at.LocalExecutor(1),
        )  # fmt: skip
    assert leaks("".join(traceback.format_exception(caught.value))) == []

    class Asks(at.Oracle):
        def populate_space(self, trial_id: int, space: at.Space) -> at.Suggestion:
            raise ConnectionError(f"401 for {key.reveal()}")

    class Judges(at.Scheduler):
        def on_trial_result(self, trial: at.TrialView, report: at.Report) -> None:
            raise ConnectionError(f"401 for {key.reveal()}")

    async def reports(trial: at.AsyncTrial) -> None:
        await trial.report(loss=1.0)

    key = at.Secret(CANARY)
    plugged: list[dict[str, Any]] = [{"oracle": Asks()}, {"scheduler": Judges()}]
    for number, plugins in enumerate(plugged):
        options: dict[str, Any] = {
            "storage": tmp_path / str(number),
            "executor": at.InlineExecutor(1),
            "max_trials": 1,
            **plugins,
        }
        with pytest.raises(at.errors.PluginError, match=r"401 for \*\*\*"):
            await at.search(reports, objective=LOSS, **options)
    assert {name: leaks(data) for name, data in files(tmp_path).items() if leaks(data)} == {}


@pytest.mark.process
async def test_neither_the_environment_nor_local_variables_are_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # No Secret here, and no key that tells: what nobody writes down needs no redaction. The source is shown, and has none.
    canary = str(os.getpid())
    monkeypatch.setenv("HARMLESS_NAME", f"env-{canary}")

    def fails(trial: at.Trial) -> None:
        local = f"local-{canary}"
        os.environ["ANOTHER_NAME"] = f"trial-{canary}"
        if trial.id == 0:
            os.abort()
        raise ValueError("no entry", len(local))

    await at.search(
        fails, objective=LOSS, max_trials=2, storage=tmp_path / "search", executor=at.LocalExecutor(1),
        observers=observers(tmp_path),
    )  # fmt: skip
    for number in ("0", "1"):
        assert main(["show", str(tmp_path / "search"), "--trial", number]) == 0
    everything = b"".join(files(tmp_path).values()) + capsys.readouterr().out.encode()
    assert b"no entry" in everything
    assert [name for name in ("env", "local", "trial") if f"{name}-{canary}".encode() in everything] == []


# -------------------------------------------------------------------------------------------------------------- the value


def test_a_secret_is_shown_nowhere() -> None:
    key = at.Secret(CANARY)
    shown = [repr(key), str(key), f"{key}", f"{key:>30}", f"{key!s}", "%s" % key, f"{[key]} {Access(key)}"]  # noqa: UP031
    assert shown[:6] == ["Secret(***)"] * 6
    assert not any(leaks(text) for text in shown)
    assert key.reveal() == CANARY
    assert copy.copy(key) is key
    assert copy.deepcopy([key])[0] is key
    with pytest.raises(TypeError, match="vars"):
        vars(key)


@pytest.mark.parametrize("write", [pickle.dumps, lambda it: pickle.dumps({"a": [it]}), json.dumps])
def test_a_secret_is_written_nowhere(write: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="Secret"):
        write(at.Secret(CANARY))
    with pytest.raises(WireError, match="Secret") as caught:
        encode(TrialAdded(trial=0, values={"x": at.Secret(CANARY)}), TrialAdded)  # type: ignore[dict-item]
    assert leaks(str(caught.value)) == []


@pytest.mark.parametrize("wrong", [None, 5, b"12345678", "", "abc", "  abc\n"])
def test_what_is_no_secret_is_refused_unseen(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"Secret\(\.\.\.\) takes a string") as caught:
        at.Secret(wrong)
    assert not wrong or str(wrong) not in str(caught.value)


@pytest.mark.parametrize(
    "make",
    [
        at.Fixed,
        lambda key: at.Choice([key, "b"]),
        lambda key: at.Choice(["a", "b"], default=key),
        lambda key: at.Float(key, 1.0),
        lambda key: at.Int(0, 9, default=key),
        lambda key: at.Space.of({"group": {"key": key}}),
        lambda key: at.HyperParameters().Fixed("key", key),
        lambda key: at.HyperParameters().Choice("key", [key]),
    ],
)
def test_a_secret_is_no_value_of_a_parameter(make: Callable[[Any], Any]) -> None:
    with pytest.raises(SpaceError, match=r"not Secret\(\*\*\*\): values are recorded, and a Secret is not.*data=") as caught:
        make(at.Secret(CANARY))
    assert leaks(str(caught.value)) == []


async def test_a_secret_cannot_be_enqueued() -> None:
    async def idle(trial: at.AsyncTrial) -> None:
        await asyncio.get_running_loop().create_future()

    space = {"x": at.Choice(["a", "b"])}
    async with at.Search(idle, space, objective=LOSS, max_trials=1, executor=at.InlineExecutor(1)) as search:
        with pytest.raises(ConfigurationError, match="Secret") as caught:
            await search.enqueue({"x": at.Secret(CANARY)})
    assert leaks(str(caught.value)) == []
