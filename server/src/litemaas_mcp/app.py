"""The server put together: tools, routes, middleware, lifespan."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import CallToolResult, InputRequiredResult
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from litemaas_mcp import __version__
from litemaas_mcp.auth import PassKey, RequireToken
from litemaas_mcp.backends import Backends
from litemaas_mcp.backends.admin import Admin
from litemaas_mcp.errors import Failure
from litemaas_mcp.health import Alive, Health
from litemaas_mcp.settings import AdminSettings, ServeSettings, Settings, SettingsError
from litemaas_mcp.tools import Tool, keys, models, pods, spend, users
from litemaas_mcp.tools.admin import keys as admin_keys
from litemaas_mcp.tools.admin import usage as admin_usage
from litemaas_mcp.tools.admin import users as admin_users
from litemaas_mcp.transport import OneMessage

TOOLS: tuple[Tool, ...] = (
    models.list_models,
    models.get_model_health,
    users.list_users,
    spend.get_spend_summary,
    spend.get_daily_stats,
    pods.get_pod_status,
    users.update_user_budget,
    keys.list_virtual_keys,
)

ADMIN_TOOLS: tuple[Tool, ...] = (
    admin_users.litellm_user_list,
    admin_users.litellm_user_create,
    admin_users.litellm_user_update,
    admin_users.litellm_user_delete,
    admin_users.litellm_user_info,
    admin_keys.litellm_key_list,
    admin_keys.litellm_key_generate,
    admin_keys.litellm_key_update,
    admin_keys.litellm_key_delete,
    admin_keys.litellm_key_info,
    admin_usage.litellm_usage_spend_logs,
)

INSTRUCTIONS = """\
LiteMaaS is a Models-as-a-Service platform: a LiteLLM gateway in front of language models, with users, budgets and virtual keys.
Dates are UTC days and inclusive; money is US dollars. Answers say when they are cut and how to get the rest.
A user may be named by id, e-mail or user name. Before changing a budget on behalf of somebody, name the user and both amounts."""

ADMIN_INSTRUCTIONS = """\
These tools administer a LiteLLM gateway with the key of whoever asks: its internal users, virtual keys and spend logs.
Every answer is {"success": true, "data": …} or {"success": false, "error": {"status", "message", "detail"}}.
Money is US dollars, dates and times are UTC. Before deleting, call with dry_run and name what would go."""

MAX_BODY = 1024 * 1024  # bytes; the largest question is a few hundred


def build(settings: Settings | AdminSettings) -> tuple[ASGIApp, Alive]:
    """Return the ASGI application and its health, which `serve` tells when it drains."""
    return build_litemaas(settings) if isinstance(settings, Settings) else build_admin(settings)


def build_litemaas(settings: Settings) -> tuple[ASGIApp, Health]:
    """The profile litemaas, with litellm-admin beside it where that is wanted."""
    backends = Backends.of(settings)
    health = Health(backends)
    server = Server("litemaas", "LiteMaaS", INSTRUCTIONS, TOOLS, backends, settings, offered=[tool.name for tool in TOOLS])
    tokens = [token.get_secret_value() for token in (settings.mcp_api_key, settings.mcp_api_key_previous) if token]
    doors = {"/mcp": RequireToken(_transport(server, settings), tokens, settings.allow_query_token)}
    admin = _admin(settings) if settings.admin_mcp else None
    if admin:
        doors["/admin/mcp"] = PassKey(_transport(admin, settings))

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette):
        async with contextlib.AsyncExitStack() as running:
            for each in filter(None, (server, admin)):
                await running.enter_async_context(each.running())
            await running.enter_async_context(health.watching())
            yield

    return _behind(doors, Starlette(routes=health.routes(), lifespan=lifespan)), health


def build_admin(settings: AdminSettings) -> tuple[ASGIApp, Alive]:
    """The profile litellm-admin alone."""
    alive = Alive()
    server = _admin(settings)
    doors = {"/mcp": PassKey(_transport(server, settings))}

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette):
        async with server.running():
            yield

    return _behind(doors, Starlette(routes=alive.routes(), lifespan=lifespan)), alive


def _admin(settings: Settings | AdminSettings) -> Server:
    names = [tool.name for tool in ADMIN_TOOLS]
    if unknown := [name for name in settings.admin_tools if name not in names]:
        raise SettingsError(f"ADMIN_TOOLS: {_unknown('tool', unknown[0], names)}")
    offered = settings.admin_tools or names
    return Server("litellm-admin", "LiteLLM administration", ADMIN_INSTRUCTIONS, ADMIN_TOOLS, Admin(settings), settings, offered)


def _transport(server: Server, settings: ServeSettings) -> ASGIApp:
    hosts = ["localhost", "127.0.0.1", "[::1]", *settings.allowed_hosts]
    transport = server.streamable_http_app(
        stateless_http=True,
        json_response=False,  # with true a client's disconnect would cancel nothing
        max_request_body_size=MAX_BODY,
        transport_security=TransportSecuritySettings(
            allowed_hosts=[form for host in hosts for form in (host, f"{host}:*")],
            allowed_origins=[f"{scheme}://{form}" for scheme in ("http", "https") for host in hosts for form in (host, f"{host}:*")],
        ),
    )
    return OneMessage(transport)


def _behind(doors: dict[str, ASGIApp], others: ASGIApp) -> ASGIApp:
    """Return an application that leads to these doors by their paths, and everywhere else to the others."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        # A trailing slash is served, not redirected: a redirect would carry the token in its Location.
        door = doors.get(scope["path"].removesuffix("/")) if scope["type"] == "http" else None
        if door:
            scope["path"] = "/mcp"
        await (door or others)(scope, receive, send)

    return app


class Server(MCPServer):
    """The SDK's server with our tools, and with errors that name the argument and the remedy.

    Args:
        tools: what there is; of these are listed and served the `offered`, and in read-only mode those that only read.
        backends: what every tool's `source` makes its first parameter of; started and stopped with the server.
    """

    def __init__(
        self,
        name: str,
        title: str,
        instructions: str,
        tools: tuple[Tool, ...],
        backends: Backends | Admin,
        settings: ServeSettings,
        offered: Iterable[str],
    ) -> None:
        self.known = {tool.name: tool for tool in tools}
        self.read_only = settings.read_only
        self.bound = {
            tool.name: tool.bind(backends, settings.tool_timeout)
            for tool in tools
            if tool.name in offered and not (settings.read_only and tool.writes)
        }
        self.backends = backends
        super().__init__(
            name,
            title=title,
            version=__version__,
            instructions=instructions,
            log_level=settings.log_level,
            tools=list(self.bound.values()),
            # Stateless: there is nothing to subscribe to, and an open stream would hold up a shutdown.
            subscriptions=False,
        )

    @contextlib.asynccontextmanager
    async def running(self):
        """Serve for as long as the context is open."""
        await self.backends.start()
        async with self.session_manager.run():
            yield
        await self.backends.stop()

    async def call_tool(self, name: str, arguments: dict[str, Any], context: Context | None = None) -> CallToolResult | InputRequiredResult:
        known, bound = self.known.get(name), self.bound.get(name)
        if known is None:
            # Any of them knows how this profile's failures look.
            return next(iter(self.known.values())).failed(Failure(_unknown("tool", name, self.bound), 404))
        if bound is None:
            why = "this server is read-only" if self.read_only and known.writes else "this server does not offer it"
            return known.failed(Failure(f"{name} is switched off: {why}.", 403))
        # A misspelt filter must not quietly answer another question.
        for argument in arguments:
            if argument not in bound.parameters["properties"]:
                return known.failed(Failure(_unknown("argument", argument, bound.parameters["properties"])))
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            if isinstance(error.__cause__, ValidationError):
                return known.failed(Failure("\n".join(_complaint(problem) for problem in error.__cause__.errors())))
            raise


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    name = name[:80]
    near = difflib.get_close_matches(name, known, n=1)
    remedy = f"did you mean {near[0]}?" if near else f"there is {', '.join(known) or 'none'}."
    return f"There is no {kind} {name!r}: {remedy}"


def _complaint(problem: ErrorDetails) -> str:
    field = ".".join(map(str, problem["loc"])) or "arguments"
    got = "" if problem["type"] == "missing" else f" (got {problem['input']!r:.80})"
    return f"{field}: {problem['msg'].removeprefix('Value error, ')}{got}"
