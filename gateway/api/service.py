"""The API as one part of the daemon: listens, serves until cancelled, and closes in time."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from gateway import __version__
from gateway.api.access import Access, Caller
from gateway.api.endpoint import Call, Endpoint
from gateway.api.listen import listen_local, listen_tcp, remove_socket
from gateway.api.live import LIVE_ENDPOINTS
from gateway.api.media import MEDIA_ENDPOINTS
from gateway.api.openapi import describe
from gateway.api.patience import Patience
from gateway.api.problem import HANDLERS
from gateway.api.protocol import HEADER_BYTES, KEEP_ALIVE, Connection
from gateway.api.pull import PULL_ENDPOINTS
from gateway.api.state import STATE_ENDPOINTS
from gateway.api.status_page import PAGE_ENDPOINTS
from gateway.contract import Clock, Draft
from gateway.settings import Settings

if TYPE_CHECKING:
    from gateway.commands import Commands
    from gateway.store import Store

ENDPOINTS: tuple[Endpoint, ...] = (
    *PULL_ENDPOINTS,
    *MEDIA_ENDPOINTS,
    *LIVE_ENDPOINTS,
    *STATE_ENDPOINTS,
    *PAGE_ENDPOINTS,
)
FINISH_SECONDS = 1.0  # for answers on their way when the API is stopped
ABORT_SECONDS = 0.5

ANYONE = Caller("anyone", consumer="")
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

log = logging.getLogger("linli.api")


@dataclass(slots=True)
class Context:
    """What endpoints work with. ``health`` returns a sentence when the core does not turn, else None."""

    settings: Settings
    store: "Store"
    commands: "Commands"
    clock: Clock
    health: Callable[[], str | None]
    description: Mapping[str, Any]
    closing: asyncio.Event = field(default_factory=asyncio.Event)


class Api:
    """HTTP on ``[api] listen`` for consumers and on ``<state>/linli.sock`` for this machine's users."""

    def __init__(
        self,
        settings: Settings,
        store: "Store",
        commands: "Commands",
        clock: Clock,
        health: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.address = settings.api.listen
        self._context = Context(settings, store, commands, clock, health, describe(ENDPOINTS, __version__))
        patience = Patience(settings.gateway.id, clock, self._tell)
        self._access = Access(settings.api.consumer, patience)
        commands.strangers = patience.strangers
        self._state = ServerState()
        self.listening = asyncio.Event()

    async def run(self) -> None:
        """Serve until cancelled; ConfigError or LinkError when it cannot listen.

        From ``listening`` on, ``address`` is the real ``host:port``, also for port 0.
        """
        settings = self._context.settings
        config = _uvicorn_config(self._application())

        def connection() -> Connection:
            return Connection(config, self._state, {})

        servers: list[asyncio.Server] = []
        self._context.closing.clear()
        try:
            servers.append(await listen_tcp(settings.api, connection))
            host, port = servers[0].sockets[0].getsockname()[:2]
            self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            local, socket = await listen_local(settings.gateway.state, connection)
            servers += [local] if local else []
            log.info("listening on %s://%s", "https" if settings.api.tls_cert else "http", self.address)
            self.listening.set()
            await asyncio.get_running_loop().create_future()
        finally:
            self.listening.clear()
            for server in servers:
                server.close()
            if len(servers) > 1:
                remove_socket(socket)
            await self._finish()

    async def _tell(self, draft: Draft) -> None:
        # Urgent, for such a put never waits: whoever guesses must not gather answers that wait for a slow disk.
        await self._context.store.put([draft], urgent=True)

    async def _finish(self) -> None:
        """Let answers end, then cut connections, then cancel what still works for them."""
        self._context.closing.set()
        for connection in self._connections():
            connection.shutdown()
        await self._ended(FINISH_SECONDS)
        for connection in self._connections():
            connection.transport.abort()
        await self._ended(ABORT_SECONDS)
        left = list(self._state.tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _ended(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for connection in self._connections():
                    await connection.lost.wait()
                if self._state.tasks:
                    await asyncio.wait(self._state.tasks)

    def _connections(self) -> list[Connection]:
        return [connection for connection in self._state.connections if isinstance(connection, Connection)]

    def _application(self) -> ASGIApp:
        routes = [Route(endpoint.path, self._serve(endpoint), methods=[endpoint.method]) for endpoint in ENDPOINTS]
        app = Starlette(routes=routes, exception_handlers=HANDLERS)
        app.router.redirect_slashes = False
        return _Dressed(app, self._context.clock)

    def _serve(self, endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            if endpoint.local and request.scope["state"].get("uid") is None:
                raise HTTPException(404)
            caller = ANYONE if endpoint.open else await self._access.caller(request)
            return await endpoint.work(self._context, Call(request, caller, endpoint.arguments(request)))

        return serve


class _Dressed:
    """Adds the headers that every answer has, unless the answer sets its own."""

    def __init__(self, app: ASGIApp, clock: Clock) -> None:
        self._app = app
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers["date"] = formatdate(self._clock.wall() / 1e9, usegmt=True)
            await send(message)

        await self._app(scope, receive, dressed)


def _uvicorn_config(app: ASGIApp) -> Config:
    config = Config(
        app,
        http=Connection,
        ws="none",
        loop="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        h11_max_incomplete_event_size=HEADER_BYTES,
    )
    config.load()
    return config
