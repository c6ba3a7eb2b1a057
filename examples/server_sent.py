"""The events of a search as server-sent events, for Starlette: one function, which `service.py` uses."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette import requests
from starlette.responses import StreamingResponse

import asynctune as at


class Stream(StreamingResponse):
    """A stream that ends when the server does: a server that stops cancels what is open, and logs what comes of it."""

    media_type = "text/event-stream"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer."""
        try:
            await super().__call__(scope, receive, send)
        except asyncio.CancelledError:
            await send({"type": "http.response.body"})  # the client sees a lost connection, and asks again


async def follow(request: requests.Request, search: at.Search, task: asyncio.Task[at.Result]) -> Stream:
    """What happens in the search that `task` holds, behind the event that the client has seen last.

    Raises:
        ValueError: the client says that it has seen what there is not.
    """
    said = request.headers.get("last-event-id", "0")
    if not said.isdecimal():
        raise ValueError(f"Last-Event-ID is the number of an event, not {said!r}")
    seen = int(said)
    if seen and search.over and await anext(search.events(seen), None) is None:
        raise ValueError(f"Last-Event-ID: the search is over, and there was no event {seen}")

    async def lines() -> AsyncIterator[str]:
        async for event in search.events(seen + 1):
            yield f"id: {event.seq}\ndata: {json.dumps(event.to_dict())}\n\n"
        await asyncio.wait([task])
        yield "event: end\ndata: {}\n\n"  # or a browser would take it for a lost connection, and ask again

    return Stream(lines())
