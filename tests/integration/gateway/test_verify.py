"""The proof of MCP servers behind LiteLLM: green for real servers that work, and for each fault red with its cause."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from conftest import ROOT, Stack
from tests.integration.modules.conftest import LiteLLM, name
from tests.support.http_stand_in import Asked, HttpStandIn
from tests.support.mcp_servers import fetch_server, filesystem_server, postgres_server
from tests.support.server import free_port

USES = ["call", "unknown_tool", "failing_tool", "chat", "responses"]
EACH = ["health", "discovery", *USES, "denied"]


@dataclass
class Behind(LiteLLM):
    """The stack's LiteLLM with MCP servers, a model that calls tools, a key with grants and one without."""

    servers: list[dict[str, Any]] = field(default_factory=list)
    model_name: str = ""
    granted: str = field(default="", repr=False)
    denied: str = field(default="", repr=False)

    def register(self, url: str | None, **fields: Any) -> str:
        """Register a server past the modules; return its alias. It goes when the test ends."""
        alias = name("s").replace("-", "_")
        self.post("/v1/mcp/server", **{"server_id": alias, "server_name": alias, "alias": alias, "url": url, "transport": "http"} | fields)
        self.unregister.append(alias)
        return alias

    def own(self, **fields: Any) -> str:
        """Register the stack's own MCP server."""
        secret = {"auth_type": "bearer_token", "credentials": {"auth_value": self.stack.mcp_token}}
        return self.register(self.stack.mcp_url, **secret | fields)

    def key(self, *aliases: str, **fields: Any) -> str:
        """Make a key that may use these servers."""
        fields = {"models": [self.model_name], "object_permission": {"mcp_servers": list(aliases)}} | fields
        key = self.post("/key/generate", key_alias=name("key"), **fields)["key"]
        self.later("/key/delete", keys=[key])
        return key

    def answering(self, api_base: str) -> str:
        """A model of this provider, once LiteLLM serves it; return its name."""
        public = name("model")
        self.model(model_name=public, litellm_params={"model": f"openai/{public}", "api_base": api_base, "api_key": "none"})
        return public

    def verify(self, *servers: dict[str, Any], check: bool = False, **options: Any) -> dict[str, Any]:
        given = {
            "api_key": self.granted,
            "model": self.model_name,
            "admin_api_key": self.stack.litellm_master_key,
            "servers": list(servers),
        }
        done = self.run("litellm_mcp_verify", check=check, **given | options)
        assert not done.get("failed"), done
        assert done["changed"] is False
        return done

    def clean(self) -> None:
        for server_id in self.unregister:
            self.http.delete(f"/v1/mcp/server/{server_id}")
        super().clean()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.unregister: list[str] = []


def causes(done: dict[str, Any]) -> dict[str, str]:
    """What failed, and why; each with a remedy, and nothing that did not fail with one."""
    assert [each for each in done["checks"] if bool(each["remedy"]) is (each["ok"] is not False)] == []
    assert done["ok"] is all(each["ok"] is not False for each in done["checks"])
    print(*(each for each in done["checks"] if not each["ok"]), sep="\n")  # pytest shows it when the test fails
    return {each["check"]: each["cause"] for each in done["checks"] if each["ok"] is False}


def answer(asked: Any) -> tuple[int, dict[str, str]]:
    if "slow" in asked.path:
        time.sleep(12)
    return 200, {"page": "of the stub"}


@pytest.fixture(scope="module")
def behind(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    """Four real servers: files, pages and PostgreSQL over the bridge, and our own."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "a file").write_text("what the file holds")
    with ExitStack() as running:
        behind = Behind(stack)
        running.callback(behind.clean)
        page = running.enter_context(HttpStandIn(answer))
        files, pages, database = (
            running.enter_context(server) for server in (filesystem_server(folder), fetch_server(), postgres_server(stack.database_url))
        )
        wrong = {"sql": "select nothing from nowhere"}
        behind.servers = [
            {"alias": behind.register(files.url), "tool": "list_directory", "arguments": {"path": str(folder)}},
            {"alias": behind.register(pages.url), "tool": "fetch", "arguments": {"url": page.url}},
            {"alias": behind.register(database.url), "tool": "execute_sql", "arguments": {"sql": "select 6*7"}, "failing_arguments": wrong},
            {"alias": behind.own(), "tool": "get_spend_summary", "arguments": {}, "failing_arguments": {"date_from": "yesterday"}},
        ]
        behind.model_name = behind.answering(f"{stack.stub_url}/v1")
        behind.granted = behind.key(*(server["alias"] for server in behind.servers))
        behind.denied = behind.key()
        yield behind


@pytest.fixture
def files(behind: Behind) -> dict[str, Any]:
    return behind.servers[0]


def test_four_real_servers_are_proven(behind: Behind, tmp_path: Path):
    (tmp_path / "client.json").write_text('{"url": "https://litellm.example.com/mcp/fs"}')
    done = behind.verify(
        *behind.servers, denied_api_key=behind.denied, client_files=[str(tmp_path / "client.json"), str(tmp_path / "none")]
    )
    assert causes(done) == {}
    aliases = [server["alias"] for server in behind.servers]
    wanted = [(check, alias) for alias in aliases for check in EACH] + [("two_servers", "+".join(aliases[:2])), ("clients", "")]
    assert [(each["check"], each["server"]) for each in done["checks"]] == wanted
    assert [each for each in done["checks"] if each["ok"] is None] == []
    assert done["litellm_version"] == behind.stack.litellm_version
    reported = {each["detail"] for each in done["checks"] if each["check"] in ("responses", "two_servers")}
    assert "executed, as mcp_call_results says" in reported


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/responses"])
def test_a_streamed_answer_executes_too(behind: Behind, files: dict[str, Any], path: str):
    asked = f"{files['alias']}-{files['tool']} {json.dumps(files['arguments'])}"
    question = {"messages": [{"role": "user", "content": asked}]} if path == "/chat/completions" else {"input": asked}
    tool = {"type": "mcp", "server_label": "litellm", "server_url": f"litellm_proxy/mcp/{files['alias']}", "require_approval": "never"}
    body = {**question, "model": behind.model_name, "stream": True, "tools": [tool]}
    answer = behind.http.post(path, json=body, headers={"Authorization": f"Bearer {behind.granted}"})
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    said = "".join(choice["delta"].get("content") or "" for event in events for choice in event.get("choices", []))
    said += "".join(event["delta"] for event in events if event.get("type") == "response.output_text.delta")
    assert "a file" in said


def play(
    behind: Behind, folder: Path, *servers: dict[str, Any], variables: dict[str, Any] | None = None, **environment: str
) -> tuple[int, str, dict[str, Any]]:
    """Run the playbook as an operator would; return how it ended, what it said, and the report."""
    (folder / "ansible.cfg").touch()
    told = {"litemaas_mcp_servers": servers, "litemaas_mcp_model": behind.model_name} | (variables or {})
    (folder / "servers.json").write_text(json.dumps(told))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "LITELLM_"))}
    places = {"PWD": str(folder), "HOME": str(folder), "ANSIBLE_CONFIG": str(folder / "ansible.cfg"), "LC_ALL": "C.UTF-8"}
    keys = {"LITELLM_API_URL": behind.stack.litellm_url, "LITELLM_API_KEY": behind.granted} | environment
    given = clean | places | keys | {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".venv/ansible/collections")}
    command = [sys.executable, "-m", "ansible", "playbook", "-vvv", "rhpds.litemaas.verify_mcp_gateway", "-e", "@servers.json"]
    done = subprocess.run(command, cwd=folder, env=given, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert [value for name, value in keys.items() if name.endswith("KEY") and value in said] == []
    return done.returncode, said, json.loads((folder / "mcp-gateway-report.json").read_text())


def test_the_playbook_ends_with_a_table_and_a_report(behind: Behind, files: dict[str, Any], tmp_path: Path):
    keys = {"LITELLM_DENIED_API_KEY": behind.denied, "LITELLM_ADMIN_API_KEY": behind.stack.litellm_master_key}
    code, said, report = play(behind, tmp_path, *behind.servers, **keys)
    assert (code, report["ok"], report["litellm_version"]) == (0, True, behind.stack.litellm_version), said
    assert re.search(rf"ok   discovery     {files['alias']} .*is one of", said)
    assert "changed=0" in said

    (tmp_path / ".codex").mkdir()
    (tmp_path / ".codex/config.toml").write_text(f'[mcp_servers.x]\nurl = "{behind.stack.litellm_url}/mcp/tools"\n')
    code, said, report = play(behind, tmp_path, files | {"tool": "format_disk"}, **keys)
    assert (code, report["ok"]) == (2, False)
    assert {check["cause"] for check in report["checks"] if check["ok"] is False} == {"no_tool", "dead_endpoint"}
    assert re.search(rf"FAIL discovery     {files['alias']} .*but not {files['alias']}-format_disk", said)
    assert f"discovery {files['alias']}: no_tool. Give a tool that the server has" in said


def test_the_playbook_looks_at_open_webuis_file_too_and_at_those_that_it_is_told(behind: Behind, files: dict[str, Any], tmp_path: Path):
    nothing = files | {"tool": "format_disk"}
    (tmp_path / "open-webui.env").write_text(f'TOOL_SERVER_CONNECTIONS=[{{"url": "{behind.stack.litellm_url}/mcp/tools"}}]\n')
    _, _, report = play(behind, tmp_path, nothing)
    assert f"{tmp_path / 'open-webui.env'}, line 1: LiteLLM has no /mcp/tools." in seen(report, "clients")
    (tmp_path / "request.sh").write_text("\ncurl $LITELLM_URL/v1/tools\n")
    told = {"litemaas_mcp_client_files": [str(tmp_path / "request.sh")], "litemaas_mcp_report": str(tmp_path / "mcp-gateway-report.json")}
    _, _, report = play(behind, tmp_path, nothing, variables=told)
    assert seen(report, "clients") == f"{tmp_path / 'request.sh'}, line 2: LiteLLM has no /v1/tools."


def test_without_an_administrators_key_and_in_check_mode_it_sees_what_it_may(behind: Behind, files: dict[str, Any]):
    assert behind.verify(files, admin_api_key=None)["ok"]
    done = behind.verify(files, check=True, denied_api_key=behind.denied)
    assert {each["check"]: each["ok"] for each in done["checks"]} == {
        "health": True,
        "discovery": True,
        **dict.fromkeys(USES),
        "denied": True,
        "clients": None,
    }


def seen(done: dict[str, Any], check: str) -> str:
    return next(each["detail"] for each in done["checks"] if each["check"] == check)


def test_a_server_that_is_down(behind: Behind):
    alias = behind.register(f"http://127.0.0.1:{free_port()}/mcp")
    done = behind.verify({"alias": alias, "tool": "fetch"}, api_key=behind.key(alias), denied_api_key=behind.key(alias))
    assert causes(done) == {"health": "upstream_down"}
    [denied] = [check for check in done["checks"] if check["check"] == "denied"]
    assert denied["ok"] is None  # that a key can't call what is down proves nothing: this one has the grant


def test_a_wrong_transport(behind: Behind):
    alias = behind.own(transport="sse")
    done = behind.verify({"alias": alias, "tool": "list_models"}, api_key=behind.key(alias))
    if behind.old:  # 1.81 tries another transport without the server's credentials, and says little of what went wrong
        assert causes(done) == {"health": "upstream_down"}
    else:
        assert causes(done) == {"health": "wrong_transport"}
        assert done["checks"][0]["remedy"] == "Set the server's transport to http."


def test_a_server_that_wants_credentials_which_litellm_does_not_have(behind: Behind):
    alias = behind.register(behind.stack.mcp_url)
    done = behind.verify({"alias": alias, "tool": "list_models"}, api_key=behind.key(alias))
    assert causes(done) == {"health": "upstream_down" if behind.old else "upstream_refuses"}  # 1.81 does not say why


def test_a_name_with_a_dash(behind: Behind):
    alias = behind.own()
    # LiteLLM's API refuses it; older ones did not.
    behind.execute('update "LiteLLM_MCPServerTable" set alias = %s, server_name = %s where server_id = %s', "our-own", "our-own", alias)
    done = behind.verify({"alias": "our-own", "tool": "list_models"}, api_key=behind.key(alias))
    assert causes(done) == {"health": "dash_in_name"}


def test_stdio_that_is_off(behind: Behind):
    alias = behind.own()
    # As it is when LITELLM_ENABLE_MCP_STDIO was true once: without, LiteLLM's API takes no such server.
    stdio = "transport = 'stdio', url = null, command = 'npx', auth_type = null, updated_at = now()"
    behind.execute(f'update "LiteLLM_MCPServerTable" set {stdio} where server_id = %s', alias)
    key = behind.key(alias)
    done = wait(lambda: behind.verify({"alias": alias, "tool": "x"}, api_key=key), lambda done: not done["checks"][0]["ok"])
    # 1.81 knows no such switch, and starts what it is given.
    assert causes(done) == {"health": "upstream_down" if behind.old else "stdio_off"}


def wait(read: Callable[[], Any], enough: Callable[[Any], bool], seconds: float = 60) -> Any:
    """LiteLLM takes what changes in its database some seconds later."""
    deadline = time.monotonic() + seconds
    while not enough(found := read()) and time.monotonic() < deadline:
        time.sleep(1)
    return found


def test_a_server_that_is_not_registered(behind: Behind):
    assert causes(behind.verify({"alias": "nobody", "tool": "x"})) == {"health": "not_registered"}
    assert causes(behind.verify({"alias": "nobody", "tool": "x"}, admin_api_key=None)) == {"health": "no_permission"}


def test_a_key_without_permission(behind: Behind, files: dict[str, Any]):
    assert causes(behind.verify(files, api_key=behind.denied)) == {"discovery": "no_permission"}


def test_a_key_that_may_use_servers_but_not_list_them(behind: Behind, files: dict[str, Any]):
    # The former includes the list since.
    routes = ["llm_api_routes"] if behind.old else ["/mcp/", "/chat/completions", "/v1/responses"]
    key = behind.key(files["alias"], allowed_routes=routes)
    other = behind.key(behind.servers[1]["alias"], allowed_routes=routes)
    done = behind.verify(files, api_key=key, denied_api_key=other)
    if behind.old:  # its list of tools does not tell whose they are
        assert causes(done) == {"discovery": "no_permission"}
        assert "Add /v1/mcp/server to its allowed_routes" in seen(done, "discovery")
        return
    assert causes(done) == {}
    assert [each["check"] for each in done["checks"] if each["ok"] is None] == ["clients"]
    assert causes(behind.verify(files, api_key=key, denied_api_key=key)) == {"denied": "too_much_permission"}
    done = behind.verify(files, api_key=key, admin_api_key=None, check=True)
    assert causes(done) == {}
    assert "Give admin_api_key" in seen(done, "health")


def test_a_key_that_may_use_one_tool_of_a_server(behind: Behind, files: dict[str, Any]):
    permission = {"mcp_servers": [files["alias"]], "mcp_tool_permissions": {files["alias"]: [files["tool"]]}}
    key = behind.key(object_permission=permission)
    done = behind.verify(files, api_key=key, denied_api_key=behind.denied)
    assert causes(done) == {}
    assert "is one of 1 tools" in seen(done, "discovery")
    assert causes(behind.verify(files | {"tool": "write_file"}, api_key=key)) == {"discovery": "no_tool"}


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/responses"])
def test_an_address_without_an_alias_offers_every_server_of_the_key(behind: Behind, path: str):
    files, pages, *_ = behind.servers
    asked = " and ".join(f"{each['alias']}-{each['tool']} {json.dumps(each['arguments'])}" for each in (files, pages))
    question = {"messages": [{"role": "user", "content": asked}]} if path == "/chat/completions" else {"input": asked}
    tool = {"type": "mcp", "server_label": "litellm", "server_url": "litellm_proxy", "require_approval": "never"}
    headers = {"Authorization": f"Bearer {behind.key(files['alias'], pages['alias'])}"}
    answer = behind.http.post(path, json={**question, "model": behind.model_name, "tools": [tool]}, headers=headers)
    assert [word for word in ("a file", "of the stub") if word not in answer.text] == []


def test_keys_that_litellm_does_not_know(behind: Behind, files: dict[str, Any]):
    assert causes(behind.verify(files, api_key="sk-unknown-to-litellm")) == {"discovery": "bad_key"}
    assert causes(behind.verify(files, denied_api_key="sk-unknown-to-litellm", check=True)) == {"denied": "bad_key"}


def test_a_key_that_has_expired(behind: Behind, files: dict[str, Any]):
    key = behind.key(files["alias"], duration="1s")
    time.sleep(2)
    assert causes(behind.verify(files, api_key=key)) == {"discovery": "bad_key"}
    assert causes(behind.verify(files, denied_api_key=key, check=True)) == {"denied": "bad_key"}


def test_a_key_with_a_grant_that_it_should_not_have(behind: Behind, files: dict[str, Any]):
    assert causes(behind.verify(files, denied_api_key=behind.granted)) == {"denied": "too_much_permission"}


def test_a_call_without_an_answer_proves_nothing(behind: Behind):
    pages = behind.servers[1]
    slow = pages | {"failing_arguments": {"url": pages["arguments"]["url"] + "/slow"}}
    assert causes(behind.verify(slow, timeout=8)) == {"failing_tool": "gateway"}


def test_a_litellm_that_is_gone_is_reported_too(behind: Behind, files: dict[str, Any]):
    done = behind.verify(files, url=f"http://127.0.0.1:{free_port()}", retries=0, client_files=[])
    assert causes(done) == {"health": "gateway"}


def test_a_tool_that_the_server_does_not_have(behind: Behind, files: dict[str, Any]):
    assert causes(behind.verify(files | {"tool": "format_disk"})) == {"discovery": "no_tool"}


def test_a_tool_that_fails(behind: Behind):
    broken = behind.servers[2] | {"arguments": {"sql": "select nothing"}}
    done = behind.verify(broken)
    assert causes(done)["call"] == "tool_failed"
    assert "does not exist" in seen(done, "call")


def test_a_failure_that_looks_like_a_success(behind: Behind):
    done = behind.verify(behind.servers[2] | {"failing_arguments": {"sql": "select 1"}})
    assert causes(done) == {"failing_tool": "swallowed_error"}


def test_a_model_that_fails_and_one_that_does_not_call_tools(behind: Behind, files: dict[str, Any]):
    def text(asked: Asked) -> tuple[int, Any]:
        if asked.path.endswith("/responses"):
            part = {"type": "output_text", "text": "No.", "annotations": []}
            message = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": [part]}
            return 200, {"id": "r", "object": "response", "created_at": 1, "status": "completed", "model": "m", "output": [message]}
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "No."}}
        return 200, {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}

    with HttpStandIn(text) as provider:
        model = behind.answering(f"{provider.url}/v1")
        done = behind.verify(files, model=model, api_key=behind.key(files["alias"], models=[model]))
        told = {} if behind.old else {"chat": "model_did_not_call"}  # 1.81 does not tell in a chat what it executed
        assert causes(done) == {**told, "responses": "model_did_not_call"}
    done = behind.verify(files, model=name("no-model"))
    assert causes(done) == {"chat": "model_failed", "responses": "model_failed"}


class AsFunctions(BaseHTTPRequestHandler):
    """What stands before LiteLLM and means well: it makes functions of MCP tools, as most clients once did."""

    litellm = ""

    def do(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if self.path.endswith(("/completions", "/responses")):
            request = json.loads(body)
            function = {"name": request["tools"][0]["allowed_tools"][0], "parameters": {"type": "object"}}
            chat = self.path.endswith("/completions")
            body = json.dumps({**request, "tools": [{"type": "function", **({"function": function} if chat else function)}]}).encode()
        headers = {key: value for key, value in self.headers.items() if key.lower() not in ("host", "content-length", "accept-encoding")}
        answer = httpx.request(self.command, self.litellm + self.path, headers=headers, content=body, timeout=60, trust_env=False)
        self.send_response(answer.status_code)
        for key in ("content-type", "mcp-session-id"):
            if key in answer.headers:
                self.send_header(key, answer.headers[key])
        self.send_header("content-length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = do_DELETE = do

    def log_message(self, *_: object) -> None:
        pass


def test_function_tools_instead_of_mcp_tools(behind: Behind, files: dict[str, Any]):
    handler = type("Handler", (AsFunctions,), {"litellm": behind.stack.litellm_url})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as between:
        Thread(target=between.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        done = behind.verify(files, url=f"http://127.0.0.1:{between.server_port}")
        between.shutdown()
    assert causes(done) == {"chat": "function_tools", "responses": "function_tools"}
    assert f"litellm_proxy/mcp/{files['alias']}" in done["checks"][5]["remedy"]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ('{"mcpServers": {"x": {\n"url": "LITELLM/mcp/tools"}}}', "dead_endpoint"),
        ("curl LITELLM/v1/tools", "dead_endpoint"),
        ('curl … -d \'{"tools": "auto"}\'', "function_tools"),
        ('{"tools": [{"type": "function", "function": {}}]}', "function_tools"),
        ('[mcp_servers.a]\nurl = "LITELLM/mcp/toolsmith"', None),
        ('{"projects": {"/src/mcp/tools": {}}}', None),
        ("curl https://vendor.example.com/v1/tools", None),
    ],
)
def test_what_clients_have_in_their_files(behind: Behind, files: dict[str, Any], tmp_path: Path, text: str, cause: str | None):
    (tmp_path / "file").write_text(text.replace("LITELLM", behind.stack.litellm_url))
    done = behind.verify(files, check=True, client_files=[str(tmp_path / "file")])
    assert causes(done) == ({"clients": cause} if cause else {})


def test_a_client_file_that_is_no_text_is_named(behind: Behind, files: dict[str, Any], tmp_path: Path):
    (tmp_path / "file").write_bytes(b"\xff\xfe")
    done = behind.verify(files, check=True, client_files=[str(tmp_path / "file")])
    assert causes(done) == {"clients": "unreadable"}
    assert str(tmp_path / "file") in seen(done, "clients")


def test_bad_input_is_refused_with_a_remedy(behind: Behind, files: dict[str, Any]):
    given = {"api_key": behind.granted, "model": behind.model_name}
    for servers in ([], [files, files]):
        done = behind.run("litellm_mcp_verify", servers=servers, **given)
        assert (done["failed"], done["msg"]) == (True, "servers: must name at least one server, and each only once.")
    done = behind.run("litellm_mcp_verify", servers=[files], admin_api_key="sk-nobody-knows-this", **given)
    assert done["failed"]
    assert done["msg"].startswith("admin_api_key: LiteLLM does not know this key.")
