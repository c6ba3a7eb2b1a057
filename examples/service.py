"""Searches in a web service, all on one pool. One that was cancelled, or interrupted with the server, goes on when posted anew.

`python service.py 8000`; then `curl -X POST localhost:8000/searches/digits`, and `curl localhost:8000/searches/digits/events`.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from quickstart import train
from starlette import applications, requests
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

import asynctune as at


def application(trainable: object, executor: at.LocalExecutor) -> applications.Starlette:
    """The service. A task holds each search open: to cancel the task is to cancel the search."""
    searches: dict[str, tuple[at.Search, asyncio.Task[at.Result]]] = {}

    async def hold(search: at.Search) -> at.Result:
        async with search:
            return await search.result()

    async def leave(task: asyncio.Task[at.Result]) -> None:
        task.cancel()
        await asyncio.wait([task])

    async def start(request: requests.Request) -> Response:
        name, trials = request.path_params["name"], int(request.query_params.get("max_trials", 20))
        if not name.isidentifier() or (name in searches and not searches[name][1].done()):
            raise ValueError(f"{name!r} is no identifier, or runs already")
        search = at.Search(trainable, objective="val_accuracy", max_trials=trials, executor=executor, storage=f"runs/{name}")
        searches[name] = search, asyncio.create_task(hold(search))
        return Response(status_code=202)

    async def show(_: requests.Request) -> Response:
        return JSONResponse({name: "over" if search.over else "running" for name, (search, _) in searches.items()})

    async def cancel(request: requests.Request) -> Response:
        await leave(searches[request.path_params["name"]][1])
        return Response(status_code=204)

    async def lines(search: at.Search, task: asyncio.Task[at.Result], seen: int) -> AsyncIterator[str]:
        async for event in search.events(seen + 1):
            yield f"id: {event.seq}\ndata: {json.dumps(event.to_dict())}\n\n"
        await asyncio.wait([task])
        yield "event: end\ndata: {}\n\n"  # or a browser would take it for a lost connection, and ask again

    async def follow(request: requests.Request) -> Response:
        held, seen = searches[request.path_params["name"]], int(request.headers.get("last-event-id", 0))
        return StreamingResponse(lines(*held, seen), media_type="text/event-stream")

    async def result(request: requests.Request) -> Response:
        if not (search := searches[request.path_params["name"]][0]).over:
            raise at.errors.SearchError("it is running")
        return JSONResponse((await search.result()).to_dicts())

    async def refuse(_: requests.Request, e: Exception) -> Response:
        return JSONResponse({"error": str(e)}, 404 if isinstance(e, KeyError) else 400 if isinstance(e, ValueError) else 409)

    @asynccontextmanager
    async def lifespan(_: applications.Starlette) -> AsyncIterator[None]:
        async with executor:
            yield
            await asyncio.gather(*(leave(task) for _, task in searches.values()))

    post, delete = Route("/searches/{name}", start, methods=["POST"]), Route("/searches/{name}", cancel, methods=["DELETE"])
    routes = [Route("/searches", show), Route("/searches/{name}/events", follow), Route("/searches/{name}/result", result)]
    refusals = dict.fromkeys((KeyError, ValueError, at.AsynctuneError, at.FatalError), refuse)
    return applications.Starlette(routes=[post, delete, *routes], lifespan=lifespan, exception_handlers=refusals)


if __name__ == "__main__":
    uvicorn.run(application(train, at.LocalExecutor(2)), port=int(sys.argv[1]), timeout_graceful_shutdown=1)
