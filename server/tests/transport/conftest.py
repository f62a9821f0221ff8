"""The real server, started with the stack's backends and reached over real sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.support.mcp_http import RawClient
from tests.support.server import ServerProcess
from tests.support.tcp_proxy import TcpProxy

TOKEN = "canary-token-5f2b/+ &%=x"  # with every character that a URL must encode

Start = Callable[..., ServerProcess]


def address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 0


def through(proxy: TcpProxy, url: str) -> str:
    """The URL with the proxy in place of its host and port."""
    host, port = address(url)
    return url.replace(f"{host}:{port}", f"127.0.0.1:{proxy.port}")


@pytest.fixture(scope="session")
def environment(stack) -> dict[str, str]:
    """What the server needs to reach every backend of the stack."""
    return {
        "MCP_API_KEY": TOKEN,
        "LITELLM_API_URL": stack.litellm_url,
        "LITELLM_API_KEY": stack.litellm_master_key,
        "DATABASE_URL": stack.database_readonly_url,
        "LITEMAAS_DATABASE_URL": stack.litemaas_readonly_url,
        "KUBECONFIG": stack.kubeconfig,
        "NAMESPACE": stack.namespace,
        "ALLOWED_HOSTS": "litemaas-mcp.apps.example.com",
        "LOG_LEVEL": "DEBUG",
    }


@pytest.fixture(scope="session")
def server(environment) -> Iterator[ServerProcess]:
    """A healthy server for every test that only asks."""
    with ServerProcess(environment) as process:
        process.wait_for("/health")
        yield process


@pytest.fixture
def client(server) -> Iterator[RawClient]:
    with RawClient(server.url, TOKEN) as client:
        yield client


@pytest.fixture
def start(environment) -> Iterator[Start]:
    """Start a server of the test's own: `start(READ_ONLY="true")`. A variable set to None is left out."""
    with ExitStack() as processes:

        def start(**changes: str | None) -> ServerProcess:
            merged = {**environment, **changes}
            return processes.enter_context(ServerProcess({name: value for name, value in merged.items() if value is not None}))

        yield start


@pytest.fixture
def database_proxy(stack) -> Iterator[TcpProxy]:
    """The way to PostgreSQL, to be cut, hung and healed."""
    with TcpProxy(*address(stack.database_readonly_url)) as proxy:
        yield proxy


@pytest.fixture
def litellm_proxy(stack) -> Iterator[TcpProxy]:
    """The way to LiteLLM, to be cut, hung and healed."""
    with TcpProxy(*address(stack.litellm_url)) as proxy:
        yield proxy


@pytest.fixture
def far_backends(stack, database_proxy, litellm_proxy) -> dict[str, str]:
    """The part of the environment that leads to the backends through both proxies."""
    return {
        "DATABASE_URL": through(database_proxy, stack.database_readonly_url),
        "LITEMAAS_DATABASE_URL": through(database_proxy, stack.litemaas_readonly_url),
        "LITELLM_API_URL": through(litellm_proxy, stack.litellm_url),
    }


class Lock:
    """A table that nobody can read: every query of it waits inside PostgreSQL, as a slow one would."""

    def __init__(self, connection: psycopg.Connection, table: str):
        self._connection, self._table = connection, table
        connection.execute(f'lock table "{table}" in access exclusive mode')

    def waiting(self) -> int:
        """How many sessions wait for the table."""
        query = "select count(*) from pg_locks where relation = %s::regclass and not granted"
        return self._connection.execute(query, (f'"{self._table}"',)).fetchone()[0]

    def release(self) -> None:
        self._connection.rollback()


@pytest.fixture
def locked(stack) -> Callable[[str], Lock]:
    """Lock one of LiteLLM's tables for a block: `with locked("LiteLLM_DailyUserSpend") as lock:`."""

    @contextmanager
    def locked(table: str) -> Iterator[Lock]:
        with psycopg.connect(stack.database_url) as connection:
            lock = Lock(connection, table)
            try:
                yield lock
            finally:
                lock.release()

    return locked
