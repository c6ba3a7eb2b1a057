"""The service, by a real client over HTTP: it trains and answers, a dropped stream misses nothing, and nothing is left."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest

from asynctune.testing.leftovers import gone, marked
from tests.examples.served import EXAMPLES, Server, followed, serving

pytestmark = pytest.mark.process

LIGHT = Path(__file__).with_name("light_service.py")
ENDLESS = {"max_trials": 1_000_000}
EVERY = 1 / 50  # seconds from one request to the next


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(LIGHT, tmp_path) as running:
        yield running
    gone(running.mark, 1.0)


@pytest.fixture
async def client(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.address, timeout=60) as one:
        yield one


async def start(client: httpx.AsyncClient, name: str, **options: int) -> None:
    answer = await client.post(f"/searches/{name}", params=options)
    assert answer.status_code == 202, answer.text


async def until_it_reports(client: httpx.AsyncClient, name: str) -> None:
    async with aclosing(followed(client, name)) as events:
        async for _, happened in events:
            if any(each["type"] == "Reported" for each in happened):
                return
    raise AssertionError("it ended without a report")


async def numbers(client: httpx.AsyncClient, name: str) -> list[int]:
    return [number async for number, _ in followed(client, name)]


async def answers_while_two_train(client: httpx.AsyncClient, trials: int) -> None:
    for name in ("one", "two"):
        await start(client, name, max_trials=trials)
    streams = [asyncio.create_task(numbers(client, name)) for name in ("one", "two")]
    seen = set[str]()
    while not all(stream.done() for stream in streams):
        seen |= set((await client.get("/searches")).json().values())
        await asyncio.sleep(EVERY)
    assert "running" in seen
    for stream in streams:
        got = await stream
        assert got == list(range(1, len(got) + 1))
    states = (await client.get("/searches")).json()
    assert states == {"one": "over", "two": "over"}
    for name in states:
        assert len((await client.get(f"/searches/{name}/result")).json()) == trials


async def test_it_answers_while_two_searches_train(client: httpx.AsyncClient) -> None:
    await answers_while_two_train(client, 4)


async def test_the_result_is_there_when_the_stream_has_ended_and_not_before(client: httpx.AsyncClient) -> None:
    await start(client, "one", max_trials=3)
    await until_it_reports(client, "one")
    early = await client.get("/searches/one/result")
    assert (early.status_code, early.json()) == (409, {"error": "it is running"})
    await numbers(client, "one")
    answer = await client.get("/searches/one/result")
    assert answer.status_code == 200
    assert [(trial["id"], trial["state"], trial["step"]) for trial in answer.json()] == [
        (number, "COMPLETED", 5) for number in range(3)
    ]


async def test_a_cancelled_search_has_no_result(client: httpx.AsyncClient) -> None:
    await start(client, "one", **ENDLESS)
    await until_it_reports(client, "one")
    await client.delete("/searches/one")
    answer = await client.get("/searches/one/result")
    assert answer.status_code == 409
    assert "the search was cancelled" in answer.json()["error"]


async def test_a_dropped_stream_goes_on_with_its_last_number(client: httpx.AsyncClient) -> None:
    await start(client, "one", max_trials=6)
    got = list[tuple[int, Any]]()
    dropped = 0
    while True:
        before = len(got)
        async with aclosing(followed(client, "one", got[-1][0] if got else 0)) as events:
            async for event in events:
                got.append(event)
                if len(got) == before + 5:
                    break
            else:
                break
        dropped += 1
    assert dropped > 1
    assert [number for number, _ in got] == list(range(1, len(got) + 1))
    assert got == [event async for event in followed(client, "one")]
    assert got[-1][1][-1]["type"] == "SearchEnded"


async def test_a_cancelled_search_leaves_nothing_and_goes_on_when_it_is_posted_again(
    client: httpx.AsyncClient, server: Server
) -> None:
    before = marked(server.mark)
    await start(client, "one", **ENDLESS)
    await until_it_reports(client, "one")
    assert marked(server.mark) > before
    stream = asyncio.create_task(numbers(client, "one"))
    assert (await client.delete("/searches/one")).status_code == 204
    assert marked(server.mark) == before
    got = await stream
    assert (await client.get("/searches")).json() == {"one": "over"}

    await start(client, "one", **ENDLESS)
    async with aclosing(followed(client, "one", got[-1])) as events:
        number, happened = await anext(events)
    assert number == got[-1] + 1
    assert happened[0] == {"type": "SearchOpened", "times": 2}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_stopping_the_server_leaves_nothing(client: httpx.AsyncClient, server: Server, how: signal.Signals) -> None:
    for name in ("one", "two"):
        await start(client, name, **ENDLESS)
        await until_it_reports(client, name)
    stream = asyncio.create_task(numbers(client, "one"))
    server.process.send_signal(how)
    _, said = await asyncio.to_thread(server.process.communicate)
    gone(server.mark, 1.0)
    assert b"Application shutdown complete" in said
    assert b"Traceback" not in said, said.decode()
    with pytest.raises((httpx.HTTPError, AssertionError)):  # the stream has no end, which a client mends by its last number
        await stream


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("POST", "/searches/one?max_trials=0", 400, "max_trials= takes an integer of at least 1"),
        ("POST", "/searches/one?max_trials=many", 400, "max_trials takes a whole number, not 'many'"),
        ("POST", "/searches/..%2Fother", 404, "Not Found"),
        ("POST", "/searches/a.b", 400, "named by letters, digits and underscores, not 'a.b'"),
        ("DELETE", "/searches/other", 404, "there is no search 'other'"),
        ("GET", "/searches/other/events", 404, "there is no search 'other'"),
        ("GET", "/searches/other/result", 404, "there is no search 'other'"),
    ],
)
async def test_what_it_refuses(client: httpx.AsyncClient, method: str, path: str, status: int, said: str) -> None:
    answer = await client.request(method, path)
    assert (answer.status_code, said in answer.text) == (status, True), answer.text


async def test_one_that_runs_is_not_started_again(client: httpx.AsyncClient) -> None:
    await start(client, "one", **ENDLESS)
    answer = await client.post("/searches/one")
    assert (answer.status_code, answer.json()["error"]) == (409, "'one' is running already: follow it, or DELETE it first")


async def test_an_event_that_the_client_cannot_have_seen(client: httpx.AsyncClient) -> None:
    await start(client, "one", max_trials=1)
    last = (await numbers(client, "one"))[-1]
    for seen, said in (("-5", "the number of an event, not '-5'"), ("x", "not 'x'"), (str(last + 1), f"no event {last + 1}")):
        answer = await client.get("/searches/one/events", headers={"Last-Event-ID": seen})
        assert (answer.status_code, said in answer.json()["error"]) == (400, True), answer.text
    assert [number async for number, _ in followed(client, "one", last)] == []


@pytest.mark.slow
@pytest.mark.keras
async def test_it_answers_while_two_keras_searches_train(tmp_path: Path) -> None:
    pytest.importorskip("keras", reason="needs Keras")
    with serving(EXAMPLES / "service.py", tmp_path) as server:
        async with httpx.AsyncClient(base_url=server.address, timeout=60) as client:
            await answers_while_two_train(client, 2)
        server.process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(server.process.wait)
        gone(server.mark, 1.0)
