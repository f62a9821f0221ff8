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
from litemaas_mcp.auth import RequireToken
from litemaas_mcp.backends import Backends
from litemaas_mcp.health import Health
from litemaas_mcp.settings import Settings
from litemaas_mcp.tools import Tool, keys, models, pods, spend, users
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

INSTRUCTIONS = """\
LiteMaaS is a Models-as-a-Service platform: a LiteLLM gateway in front of language models, with users, budgets and virtual keys.
Dates are UTC days and inclusive; money is US dollars. Answers say when they are cut and how to get the rest.
A user may be named by id, e-mail or user name. Before changing a budget on behalf of somebody, name the user and both amounts."""

MAX_BODY = 1024 * 1024  # bytes; the largest question is a few hundred


def build(settings: Settings) -> tuple[ASGIApp, Health]:
    """Return the ASGI application and its health, which `serve` tells when it drains."""
    backends = Backends.of(settings)
    health = Health(backends)
    server = Server(settings, backends)
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
    tokens = [token.get_secret_value() for token in (settings.mcp_api_key, settings.mcp_api_key_previous) if token]
    # From the outside in.
    entry = RequireToken(OneMessage(transport), tokens, settings.allow_query_token)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette):
        await backends.start()
        async with health.watching(), server.session_manager.run():
            yield
        await backends.stop()

    probes = Starlette(routes=health.routes(), lifespan=lifespan)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] in ("/mcp", "/mcp/"):
            # "/mcp/" is served, not redirected: a redirect would carry the token in its Location.
            scope["path"] = "/mcp"
            await entry(scope, receive, send)
        else:
            await probes(scope, receive, send)

    return app, health


class Server(MCPServer):
    """The SDK's server with our tools, and with errors that name the argument and the remedy."""

    def __init__(self, settings: Settings, backends: Backends) -> None:
        self.bound = {tool.name: tool.bind(backends, settings.tool_timeout) for tool in TOOLS if not (settings.read_only and tool.writes)}
        super().__init__(
            "litemaas",
            title="LiteMaaS",
            version=__version__,
            instructions=INSTRUCTIONS,
            log_level=settings.log_level,
            tools=list(self.bound.values()),
            # Stateless: there is nothing to subscribe to, and an open stream would hold up a shutdown.
            subscriptions=False,
        )

    async def call_tool(self, name: str, arguments: dict[str, Any], context: Context | None = None) -> CallToolResult | InputRequiredResult:
        tool = self.bound.get(name)
        if tool is None:
            switched_off = any(name == known.name for known in TOOLS)
            raise ToolError(f"{name} is switched off: this server is read-only." if switched_off else _unknown("tool", name, self.bound))
        # A misspelt filter must not quietly answer another question.
        for argument in arguments:
            if argument not in tool.parameters["properties"]:
                raise ToolError(_unknown("argument", argument, tool.parameters["properties"]))
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            if isinstance(error.__cause__, ValidationError):
                raise ToolError("\n".join(_complaint(problem) for problem in error.__cause__.errors())) from None
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
