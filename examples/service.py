"""Searches in a web service, all on one pool: start them, list them, follow their events, cancel them.

`python service.py 8000`; then `curl -X POST localhost:8000/searches/digits`, and `curl localhost:8000/searches/digits/events`.
A search that was cancelled, or interrupted with the server, goes on where it was when it is posted again.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import uvicorn
from quickstart import train
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

import asynctune as at


def application(trainable: object, executor: at.LocalExecutor) -> Starlette:
    """The service. A task holds each search open: to cancel the task is to cancel the search."""
    searches: dict[str, tuple[at.Search, asyncio.Task[at.Result]]] = {}

    async def hold(search: at.Search) -> at.Result:
        async with search:
            return await search.result()

    async def leave(*tasks: asyncio.Task[at.Result]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def start(request: Request) -> Response:
        name, trials = request.path_params["name"], int(request.query_params.get("max_trials", 20))
        if not name.isidentifier() or (name in searches and not searches[name][1].done()):
            raise ValueError(f"{name!r} is no identifier, or runs already")
        search = at.Search(trainable, objective="val_accuracy", max_trials=trials, executor=executor, storage=f"runs/{name}")
        searches[name] = search, asyncio.create_task(hold(search))
        return Response(status_code=202)

    def standing(task: asyncio.Task[at.Result]) -> str:
        return "running" if not task.done() else "cancelled" if task.cancelled() else repr(task.exception() or task.result())

    async def show(_: Request) -> Response:
        return JSONResponse({name: standing(task) for name, (_, task) in searches.items()})

    async def cancel(request: Request) -> Response:
        await leave(searches[request.path_params["name"]][1])
        return Response(status_code=204)

    def sent(event: at.Event) -> str:
        happened = json.dumps([{"what": type(each).__name__, **attrs.asdict(each)} for each in event.happened], default=str)
        valid = json.dumps(json.loads(happened, parse_constant=str))  # metrics may be NaN, which JSON has not
        return f"id: {event.seq}\ndata: {valid}\n\n"

    async def follow(request: Request) -> Response:
        (search, _), seen = searches[request.path_params["name"]], int(request.headers.get("last-event-id", 0))
        return StreamingResponse((sent(each) async for each in search.events(seen + 1)), media_type="text/event-stream")

    async def refuse(_: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, 404 if isinstance(error, KeyError) else 400)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with executor:
            yield
            await leave(*(task for _, task in searches.values()))

    post, delete = Route("/searches/{name}", start, methods=["POST"]), Route("/searches/{name}", cancel, methods=["DELETE"])
    routes = [Route("/searches", show), post, delete, Route("/searches/{name}/events", follow)]
    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={KeyError: refuse, ValueError: refuse})


if __name__ == "__main__":
    uvicorn.run(application(train, at.LocalExecutor(2)), port=int(sys.argv[1]), timeout_graceful_shutdown=1)
