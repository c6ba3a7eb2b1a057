"""Searches in a web service, all on one pool. One that was cancelled, or interrupted with the server, goes on when posted anew.

`python service.py 8000`; then `curl -X POST localhost:8000/searches/digits`, and `curl localhost:8000/searches/digits/events`.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import server_sent
import uvicorn
from quickstart import train
from starlette import applications, requests
from starlette.responses import JSONResponse, Response
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
        name, asked = request.path_params["name"], request.query_params.get("max_trials", "20")
        if not name.isidentifier():
            raise ValueError(f"a search is named by letters, digits and underscores, not {name!r}")
        if not asked.isdecimal():
            raise ValueError(f"max_trials takes a whole number, not {asked!r}")
        if name in searches and not searches[name][1].done():
            raise at.errors.SearchError(f"{name!r} is running already: follow it, or DELETE it first")
        trials = int(asked)
        search = at.Search(trainable, objective="val_accuracy", max_trials=trials, executor=executor, storage=f"runs/{name}")
        searches[name] = search, asyncio.create_task(hold(search))
        return Response(status_code=202)

    async def show(_: requests.Request) -> Response:
        return JSONResponse({name: "over" if search.over else "running" for name, (search, _) in searches.items()})

    async def cancel(request: requests.Request) -> Response:
        await leave(searches[request.path_params["name"]][1])
        return Response(status_code=204)

    async def follow(request: requests.Request) -> Response:
        return await server_sent.follow(request, *searches[request.path_params["name"]])

    async def result(request: requests.Request) -> Response:
        if not (search := searches[request.path_params["name"]][0]).over:
            raise at.errors.SearchError("it is running")
        return JSONResponse((await search.result()).to_dicts())

    async def refuse(_: requests.Request, e: Exception) -> Response:
        if isinstance(e, KeyError):
            return JSONResponse({"error": f"there is no search {e}: POST to where it would be starts it"}, 404)
        return JSONResponse({"error": str(e)}, 400 if isinstance(e, ValueError) else 409)

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
