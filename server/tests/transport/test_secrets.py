"""No secret in any output: the server's own words at LOG_LEVEL=DEBUG after every path, failures included."""

from __future__ import annotations

import socket
import subprocess
from urllib.parse import quote, urlsplit

import psycopg

from tests.support.mcp_http import LEGACY, MODERN, RawClient
from tests.support.server import COMMAND, free_port

from .conftest import TOKEN

CALLS = (
    ("list_models", {}),
    ("get_model_health", {"live": False}),
    ("get_model_health", {"model": "no-such-model"}),
    ("list_users", {}),
    ("get_spend_summary", {"group_by": "key"}),
    ("get_daily_stats", {"days": 2}),
    ("get_pod_status", {}),
    ("list_virtual_keys", {"limit": 500}),
    ("list_virtual_keys", {"status": "expired"}),
    ("update_user_budget", {"user_id": "nobody-of-that-name", "max_budget": 5}),
)


def forms(secret: str) -> set[str]:
    """A secret as it is and as a URL carries it."""
    return {secret, quote(secret, safe=""), quote(secret)}


def walk_every_path(server, secrets: dict[str, str]) -> None:
    """Ask for everything, properly and improperly, in every revision; no answer may hold a secret."""
    said = []
    for revision in (*LEGACY, MODERN):
        with RawClient(server.url, TOKEN, revision=revision) as client:
            for tool, arguments in CALLS:
                said.append(client.request("tools/call", {"name": tool, "arguments": arguments}).text)
            for secret in secrets.values():
                # A secret where an argument belongs comes back to whoever sent it, but not in the log.
                client.request("tools/call", {"name": "get_daily_stats", "arguments": {"days": secret}})
                client.request("tools/call", {"name": "list_virtual_keys", "arguments": {"user": secret}})
                client.request("tools/call", {"name": secret, "arguments": {}})
    encoded = quote(TOKEN, safe="")
    for query in f"?token={encoded}", f"?token={encoded}wrong", f"?token=wrong&token={encoded}", f"?a=b&token={encoded}#x":
        with RawClient(server.url + query) as client:
            said.append(client.request("tools/list").text)
            said.append(client.http.get(client.url).text)
            said.append(client.http.post(client.url, content=b"not json").text)
            said.append(client.http.get(client.url.replace("/mcp", "/health")).text)
            said.append(client.http.get(client.url.replace("/mcp", "/nowhere")).text)
    for headers in (
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": f"Bearer {TOKEN}", "Host": "evil.example.com"},
    ):
        with RawClient(server.url) as client:
            said.append(client.request("tools/list", **headers).text)
    # A request that is no HTTP: uvicorn warns of those.
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
        raw.sendall(f"POST /mcp?token={TOKEN} HTTP/9.9\r\n\x00bad {TOKEN}\r\n\r\n".encode())
        raw.settimeout(2)
        said.append(raw.recv(65536).decode(errors="replace"))
    for name, secret in secrets.items():
        assert not [text for text in said if any(form in text for form in forms(secret))], f"{name} is in an answer"


def assert_silent(output: str, secrets: dict[str, str]) -> None:
    assert output.strip(), "the log says nothing at all: this test would pass for no reason"
    for name, secret in secrets.items():
        for form in forms(secret):
            at = output.find(form)
            assert at < 0, f"{name} is in the log: …{output[max(0, at - 300) : at]}"


def password(url: str) -> str:
    return urlsplit(url).password or ""


def test_working_secrets_appear_nowhere(start, stack, environment):
    secrets = {
        "MCP_API_KEY": TOKEN,
        "MCP_API_KEY_PREVIOUS": "canary-previous-8d1e",
        "LITELLM_API_KEY": stack.litellm_master_key,
        "database password": password(stack.database_readonly_url),
        "LiteMaaS database password": password(stack.litemaas_readonly_url),
    }
    server = start(MCP_API_KEY_PREVIOUS=secrets["MCP_API_KEY_PREVIOUS"])
    server.wait_for("/health")
    walk_every_path(server, secrets)
    server.stop()
    assert_silent(server.output, secrets)


def test_secrets_that_backends_refuse_appear_nowhere(start, stack):
    secrets = {
        "MCP_API_KEY": TOKEN,
        "LITELLM_API_KEY": "sk-canary-litellm-77aa01",
        "database password": "canary-database-90c2",
        "LiteMaaS database password": "canary-litemaas-41f7",
        "LITEMAAS_ADMIN_KEY": "ltm_admin_canary_63b8",
    }
    server = start(
        LITELLM_API_KEY=secrets["LITELLM_API_KEY"],
        DATABASE_URL=stack.database_readonly_url.replace(password(stack.database_readonly_url), secrets["database password"]),
        LITEMAAS_DATABASE_URL=stack.database_readonly_url.replace(
            password(stack.database_readonly_url), secrets["LiteMaaS database password"]
        ),
        LITEMAAS_API_URL=f"http://127.0.0.1:{free_port()}",
        LITEMAAS_ADMIN_KEY=secrets["LITEMAAS_ADMIN_KEY"],
    )
    server.wait_for("/livez")
    walk_every_path(server, secrets)
    server.stop()
    assert_silent(server.output, secrets)


def test_secrets_for_backends_that_are_gone_appear_nowhere(start):
    secrets = {
        "MCP_API_KEY": TOKEN,
        "LITELLM_API_KEY": "sk-canary-litellm-12bd90",
        "database password": "canary-database-a2/+%",
        "LiteMaaS database password": "canary-litemaas-c4",
    }
    gone = free_port()
    server = start(
        LITELLM_API_URL=f"http://127.0.0.1:{gone}",
        LITELLM_API_KEY=secrets["LITELLM_API_KEY"],
        DATABASE_URL=f"postgresql://reader:{quote(secrets['database password'], safe='')}@127.0.0.1:{gone}/litellm",
        LITEMAAS_DATABASE_URL=f"postgresql://reader:{secrets['LiteMaaS database password']}@127.0.0.1:{gone}/litemaas_db",
        KUBECONFIG=None,
    )
    server.wait_for("/livez")
    walk_every_path(server, secrets)
    server.stop()
    assert_silent(server.output, secrets)


def test_a_refused_start_and_a_failing_check_name_variables_and_never_their_values(environment):
    secrets = {
        "MCP_API_KEY": "canary-token-bad\x07",
        "LITELLM_API_KEY": "sk-canary-litellm-55fe",
        "DATABASE_URL": "mysql://reader:canary-database-7@127.0.0.1:1/x",
        "LITEMAAS_ADMIN_KEY": "ltm_admin_canary_99",
    }
    wrong = {**environment, **secrets, "PORT": "no-port-canary-1", "LITELLM_API_URL": "http://user:canary-url-3@127.0.0.1/"}
    unreachable = {
        **environment,
        "DATABASE_URL": "postgresql://reader:canary-database-7@127.0.0.1:1/x",
        "LITEMAAS_DATABASE_URL": "postgresql://reader:canary-database-8@127.0.0.1:1/x",
        "LITELLM_API_KEY": secrets["LITELLM_API_KEY"],
    }
    for command, variables in ("serve", wrong), ("check", wrong), ("check", unreachable):
        done = subprocess.run([COMMAND, command], env=variables, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode != 0
        said = done.stdout + done.stderr
        assert "DATABASE_URL" in said or "database" in said
        assert "canary" not in said
        assert "Traceback" not in said


def test_no_question_writes_a_secret_into_the_database(server, client, stack):
    """The query texts that PostgreSQL shows to other users hold placeholders."""
    client.call("list_virtual_keys", user="nobody-canary-user")
    with psycopg.connect(stack.database_url) as database:
        texts = database.execute("select query from pg_stat_activity where application_name like 'litemaas%'").fetchall()
    assert "canary" not in str(texts)


def test_the_command_line_of_the_process_holds_no_secret(server):
    with open(f"/proc/{server.process.pid}/cmdline") as command_line:
        assert TOKEN not in command_line.read()


def test_a_request_line_too_long_is_refused_without_its_token_in_the_log(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        raw.sendall(
            f"POST /mcp?token={quote(TOKEN, safe='')}{'x' * 100_000} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode()
        )
        assert raw.recv(65536).startswith(b"HTTP/1.1 4")
    assert_silent(server.output, {"MCP_API_KEY": TOKEN})
