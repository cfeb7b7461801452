"""The demo's app: it answers every request with JSON of what it saw, so that one can see what the proxy let through."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Final, Self

from aiohttp import web

START_LIMIT: Final = 10.0
"""Seconds until the app must listen: it only has to bind a port."""


class Origin:
    """The app in a thread of its own, on a free port of 127.0.0.1, for as long as the ``with`` block lasts.

    ``port`` is set on entry. Raises the listening socket's OSError on entry where it cannot listen.
    """

    port: int

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="demo-origin", daemon=True)

    def __enter__(self) -> Self:
        """Start to listen."""
        self._thread.start()
        try:
            started = asyncio.run_coroutine_threadsafe(self._start(), self._loop)
            self._runner, self.port = started.result(START_LIMIT)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections and end the thread."""
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(START_LIMIT)
        self._end()

    async def _start(self) -> tuple[web.AppRunner, int]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner, runner.addresses[0][1]

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def answer(request: web.Request) -> web.Response:
    """Return method, path and header fields exactly as they arrived; field values as Latin-1."""
    fields = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.raw_headers]
    seen = {"app": "demo origin", "method": request.method, "path": request.raw_path, "headers": fields}
    return web.json_response(seen, headers={"Cache-Control": "no-store"})
