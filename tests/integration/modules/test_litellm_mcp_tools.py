"""litellm_mcp_server_info, litellm_mcp_tool_info and litellm_mcp_tool_call, with real servers of PyPI and npm behind the real LiteLLM."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from conftest import Stack
from tests.integration.modules.conftest import LiteLLM, name
from tests.support.http_stand_in import Asked, HttpStandIn
from tests.support.mcp_http import RawClient, message, request_parts
from tests.support.mcp_servers import fetch_server, filesystem_server, postgres_server


@dataclass
class Gateway:
    """What is behind the gateway: each server's alias and id, and the folder that the file server serves."""

    aliases: dict[str, str]
    ids: dict[str, str]
    folder: Path


@pytest.fixture(scope="module")
def gateway(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("files")
    (folder / "hello.txt").write_text("hello there")
    mark = uuid.uuid4().hex[:8]
    litellm = LiteLLM(stack)
    with ExitStack() as running:
        urls = {
            "fs": running.enter_context(filesystem_server(folder)).url,
            "web": running.enter_context(fetch_server()).url,
            "pg": running.enter_context(postgres_server(stack.database_url)).url,
            "own": stack.mcp_url,
        }
        headers = {"own": {"Authorization": f"Bearer {stack.mcp_token}"}}
        servers = [
            {"server_name": f"{each}_{mark}", "alias": f"{each}{mark}", "server_url": url, "static_headers": headers.get(each, {})}
            for each, url in urls.items()
        ]
        done = litellm.run("litellm_mcp_server", servers=servers)
        ids = dict(zip(urls, [each["server_id"] for each in done["servers"]], strict=True))
        yield Gateway({each: f"{each}{mark}" for each in urls}, ids, folder)
        litellm.run("litellm_mcp_server", servers=[{"server_name": each["server_name"], "state": "absent"} for each in servers])
        litellm.clean()


def call(litellm: LiteLLM, tool: str, key: Any = None, check: bool = False, **arguments: Any) -> dict[str, Any]:
    of = {} if key is None else {"api_key": key}
    return litellm.run("litellm_mcp_tool_call", check=check, name=tool, arguments=arguments, **of)


def key(litellm: LiteLLM, **permission: Any) -> str:
    """A key that may use just this."""
    done = litellm.run("litellm_key", key_alias=name("key"), object_permission=permission)
    litellm.later("/key/delete", keys=[done["key"]])
    return done["key"]


def test_every_server_executes_its_tools(litellm: LiteLLM, gateway: Gateway):
    of = gateway.aliases
    text = call(litellm, f"{of['fs']}-read_text_file", path=str(gateway.folder / "hello.txt"))
    assert (text["content"][0]["text"], text["is_error"]) == ("hello there", False)
    page = call(litellm, f"{of['web']}-fetch", url=f"{litellm.stack.stub_url}/v1/models")
    assert "granite-3-8b-instruct" in page["content"][0]["text"]
    asked = call(litellm, f"{of['pg']}-execute_sql", sql='select count(*) as people from "LiteLLM_UserTable"')
    [row] = litellm.rows('select count(*) as people from "LiteLLM_UserTable"')
    assert json.loads(asked["content"][0]["text"])["data"]["statements"][0]["rows"][0]["people"] in (row["people"], str(row["people"]))
    models = call(litellm, f"{of['own']}-list_models")
    assert "granite-3-8b-instruct" in models["content"][0]["text"]
    assert all(each["changed"] for each in (text, page, asked, models))


def test_a_tools_own_error_is_reported_in_its_words(litellm: LiteLLM, gateway: Gateway):
    refused = call(litellm, f"{gateway.aliases['fs']}-read_text_file", path="/etc/passwd")
    assert (refused["failed"], refused["is_error"]) == (True, True)
    assert f"{gateway.aliases['fs']}-read_text_file failed: Access denied - path outside allowed directories" in refused["msg"]
    unknown = call(litellm, f"{gateway.aliases['fs']}-no_such_tool")
    assert unknown["failed"]
    assert "no_such_tool" in unknown["msg"]


def test_check_mode_looks_and_does_not_call(litellm: LiteLLM, gateway: Gateway):
    tool = f"{gateway.aliases['fs']}-write_file"
    assert call(litellm, tool, check=True, path=str(gateway.folder / "new.txt"), content="x") == {"changed": True}
    assert not (gateway.folder / "new.txt").exists()
    assert f"there is no tool {tool}s that this key may use" in call(litellm, f"{tool}s", check=True)["msg"]


def test_a_key_sees_and_calls_what_it_was_granted(litellm: LiteLLM, gateway: Gateway):
    fs, own = gateway.ids["fs"], gateway.ids["own"]
    limited = key(litellm, mcp_servers=[fs, own], mcp_tool_permissions={own: ["list_models"]})
    tools = litellm.run("litellm_mcp_tool_info", api_key=limited)["tools"]
    assert {tool["server"] for tool in tools} == {gateway.aliases["fs"], gateway.aliases["own"]}
    assert [tool["name"] for tool in tools if tool["server"] == gateway.aliases["own"]] == [f"{gateway.aliases['own']}-list_models"]
    assert all(tool["description"] and tool["input_schema"]["type"] == "object" for tool in tools)

    only = key(litellm, mcp_servers=[fs])
    one = litellm.run("litellm_mcp_tool_info", api_key=only)["tools"]
    assert {tool["name"] for tool in one} == {tool["name"] for tool in tools if tool["server"] == gateway.aliases["fs"]}
    path = str(gateway.folder / "hello.txt")
    assert call(litellm, f"{gateway.aliases['fs']}-read_text_file", only, path=path)["content"][0]["text"] == "hello there"
    refused = call(litellm, f"{gateway.aliases['own']}-list_models", only)
    assert refused["failed"]
    assert "not allowed" in refused["msg"]
    assert litellm.stack.mcp_token not in json.dumps(refused)
    assert gateway.folder.name not in json.dumps(refused)  # 1.81 would tell where the servers are

    none = key(litellm)
    assert litellm.run("litellm_mcp_tool_info", api_key=none)["tools"] == []
    assert call(litellm, f"{gateway.aliases['fs']}-read_text_file", none, path=path)["failed"]


def test_a_key_that_may_not_list_servers_sees_its_tools_all_the_same(litellm: LiteLLM, gateway: Gateway):
    granted = {"mcp_servers": [gateway.ids["own"], gateway.ids["web"]]}
    free = key(litellm, **granted)
    routes = ["llm_api_routes"] if litellm.old else ["/mcp/"]  # the former includes the list since
    bound = litellm.post("/key/generate", key_alias=name("key"), object_permission=granted, allowed_routes=routes)["key"]
    litellm.later("/key/delete", keys=[bound])
    seen = litellm.run("litellm_mcp_tool_info", api_key=bound)
    if litellm.old:  # whose they are, its list does not tell
        assert seen["msg"].endswith("Add /v1/mcp/server to its allowed_routes.")
        litellm.post("/key/update", key=bound, allowed_routes=[*routes, "/v1/mcp/server"])
        assert {tool["server"] for tool in litellm.run("litellm_mcp_tool_info", api_key=bound)["tools"]} == {
            gateway.aliases["own"],
            gateway.aliases["web"],
        }
    else:
        assert seen["tools"] == litellm.run("litellm_mcp_tool_info", api_key=free)["tools"] != []
        web = litellm.run("litellm_mcp_tool_info", api_key=bound, servers=[gateway.aliases["web"]])["tools"]
        assert [tool["name"] for tool in web] == [f"{gateway.aliases['web']}-fetch"]


def test_a_key_has_what_its_team_was_granted(litellm: LiteLLM, gateway: Gateway):
    own = gateway.ids["own"]
    permission = {"mcp_servers": [own], "mcp_tool_permissions": {own: ["list_models", "list_users"]}}
    team = {"team_alias": name("team"), "object_permission": permission}
    made = litellm.run("litellm_team", **team)
    litellm.later("/team/delete", team_ids=[made["after"]["team_id"]])
    assert not litellm.run("litellm_team", **team)["changed"]
    members = litellm.run("litellm_key", key_alias=name("key"), team_id=made["after"]["team_id"])
    litellm.later("/key/delete", keys=[members["key"]])
    tools = litellm.run("litellm_mcp_tool_info", api_key=members["key"])["tools"]
    assert {tool["name"] for tool in tools} == {f"{gateway.aliases['own']}-{tool}" for tool in ("list_models", "list_users")}


def test_servers_narrow_the_catalogue_and_a_wrong_key_or_name_is_said(litellm: LiteLLM, gateway: Gateway):
    web = litellm.run("litellm_mcp_tool_info", servers=[gateway.aliases["web"]])["tools"]
    assert [tool["name"] for tool in web] == [f"{gateway.aliases['web']}-fetch"]
    assert "there is no nobody that this key may use" in litellm.run("litellm_mcp_tool_info", servers=["nobody"])["msg"]
    unknown = litellm.run("litellm_mcp_tool_info", api_key="sk-nobody-knows-this")
    assert unknown["msg"] == "api_key: LiteLLM does not know this key, or it has expired."
    refused = call(litellm, f"{gateway.aliases['web']}-fetch", "sk-nobody-knows-this", url="http://127.0.0.1:1")
    assert "a key that it does not know" in refused["msg"] or "does not know this key" in refused["msg"]


def test_health_is_asked_when_wanted(litellm: LiteLLM, gateway: Gateway):
    down = f"down_{uuid.uuid4().hex[:8]}"
    litellm.run("litellm_mcp_server", server_name=down, server_url="http://127.0.0.1:1/mcp")
    try:
        assert "health" not in litellm.run("litellm_mcp_server_info", server_name=down)["mcp_servers"][0]
        [unhealthy] = litellm.run("litellm_mcp_server_info", server_name=down, health=True)["mcp_servers"]
        [healthy] = litellm.run("litellm_mcp_server_info", server_id=gateway.ids["fs"], health=True)["mcp_servers"]
        assert (unhealthy["health"], healthy["health"]) == ("unhealthy", "healthy")
    finally:
        litellm.run("litellm_mcp_server", server_name=down, state="absent")


@pytest.fixture
def register(litellm: LiteLLM) -> Iterator[Callable[..., tuple[str, str]]]:
    """Registers a server, until the test ends; returns its alias and id."""
    names = []

    def register(url: str, **more: Any) -> tuple[str, str]:
        names.append(f"s{uuid.uuid4().hex[:8]}")
        return names[-1], litellm.run("litellm_mcp_server", server_name=names[-1], server_url=url, **more)["server_id"]

    yield register
    litellm.run("litellm_mcp_server", servers=[{"server_name": each, "state": "absent"} for each in names])


def listening(asked: Asked) -> tuple[int, Any]:
    """An MCP server whose one tool is `listen`, for what a real one does not tell: the headers that it got."""
    message = asked.json if asked.method == "POST" else {}
    results = {
        "initialize": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"}},
        "tools/list": {"tools": [{"name": "listen", "inputSchema": {"type": "object"}}]},
        "tools/call": {"content": [{"type": "text", "text": "heard"}]},
    }
    if "id" not in message:
        return (202 if message else 405), b""
    return 200, {"jsonrpc": "2.0", "id": message["id"], "result": results.get(message["method"], {})}


def test_the_server_gets_the_callers_headers_that_it_asks_for_and_no_others(litellm: LiteLLM, register: Callable[..., tuple[str, str]]):
    model = name("model")
    litellm.model(model_name=model)
    with HttpStandIn(listening) as upstream:

        def heard(path: str, headers: dict[str, str], **more: Any) -> dict[str, str]:
            """Call the tool with these headers; return those that the server got, with KEY in the place of the caller's key."""
            alias, server_id = register(f"{upstream.url}/mcp", **more)
            fields = {"models": [model], "object_permission": {"mcp_servers": [server_id]}}
            made = litellm.post("/key/generate", key_alias=name("key"), **fields)["key"]
            litellm.later("/key/delete", keys=[made])
            called = {"name": f"{alias}-listen", "arguments": {}}
            tool = {"type": "mcp", "server_label": "litellm", "server_url": f"litellm_proxy/mcp/{alias}", "require_approval": "never"}
            usual, body = request_parts("tools/call", called, "2025-06-18")
            bodies = {
                "/mcp/": body,
                "/mcp-rest/tools/call": json.dumps({**called, "server_id": server_id}),
                "/v1/responses": json.dumps({"model": model, "input": f"{alias}-listen {{}}", "tools": [tool]}),
            }
            headers = usual | {name: value.replace("KEY", made) for name, value in headers.items()}
            answer = httpx.post(litellm.stack.litellm_url + path, headers=headers, content=bodies[path], timeout=60)
            assert "heard" in answer.text, answer.text
            got = [asked.headers for asked in upstream.asked if asked.method == "POST" and asked.json["method"] == "tools/call"][-1]
            return {name: value.replace(made, "KEY") for name, value in got.items()}

        for path in ("/mcp/", "/mcp-rest/tools/call", "/v1/responses"):
            got = heard(path, {"Authorization": "Bearer KEY", "x-request-id": "17", "x-other": "18"}, extra_headers=["X-Request-ID"])
            assert (got["x-request-id"], "x-other" in got, "KEY" in str(got)) == ("17", False, False)
            own = {"x-litellm-api-key": "Bearer KEY", "Authorization": "Bearer mine"}
            got = heard(path, own, extra_headers=["Authorization"])
            assert (got["authorization"], "KEY" in str(got)) == ("Bearer mine", False)
        # What the module warns of; 1.106 takes the key out of other requests than models'.
        got = heard("/mcp/" if litellm.old else "/v1/responses", {"Authorization": "Bearer KEY"}, extra_headers=["Authorization"])
        assert got["authorization"] == "Bearer KEY"


def test_allow_all_keys_opens_a_server_to_a_key_without_a_grant(litellm: LiteLLM, register: Callable[..., tuple[str, str]]):
    none = key(litellm)
    headers = {"Authorization": f"Bearer {litellm.stack.mcp_token}"}
    shut, _ = register(litellm.stack.mcp_url, static_headers=headers)
    alias, _ = register(litellm.stack.mcp_url, static_headers=headers, allow_all_keys=True)
    assert {tool["server"] for tool in litellm.run("litellm_mcp_tool_info", api_key=none)["tools"]} == {alias}
    assert "granite-3-8b-instruct" in call(litellm, f"{alias}-list_models", none)["content"][0]["text"]
    assert call(litellm, f"{shut}-list_models", none)["failed"]


def test_a_server_that_speaks_sse_executes_its_tools(litellm: LiteLLM, register: Callable[..., tuple[str, str]], tmp_path: Path):
    (tmp_path / "hello.txt").write_text("hello by events")
    with filesystem_server(tmp_path) as server:  # the bridge speaks both
        alias, server_id = register(f"{server.origin}/sse", transport="sse")
        done = call(litellm, f"{alias}-read_text_file", key(litellm, mcp_servers=[server_id]), path=str(tmp_path / "hello.txt"))
        assert done["content"][0]["text"] == "hello by events"


def test_x_mcp_servers_narrows_what_a_client_sees(litellm: LiteLLM, gateway: Gateway):
    both = key(litellm, mcp_servers=[gateway.ids["fs"], gateway.ids["web"]])
    # 1.81 leaves the prefix out where there is one server only, and takes a server that the key may not use for no bound.
    cases = {("web",): {"web"}, ("fs", "web"): {"fs", "web"}, ("own",): {"fs", "web"} if litellm.old else set()}
    with RawClient(f"{litellm.stack.litellm_url}/mcp/", both, revision="2025-06-18") as client:
        for wanted, seen in cases.items():
            answer = message(client.request("tools/list", **{"x-mcp-servers": ",".join(gateway.aliases[each] for each in wanted)}))
            names = [tool["name"] for tool in answer.get("result", {}).get("tools", [])]
            if litellm.old and wanted == ("web",):
                assert names == ["fetch"]
            else:
                assert {each for each, alias in gateway.aliases.items() for name in names if name.startswith(f"{alias}-")} == seen, wanted


def test_what_a_call_costs_is_in_the_spend_log(litellm: LiteLLM, register: Callable[..., tuple[str, str]]):
    headers = {"Authorization": f"Bearer {litellm.stack.mcp_token}"}
    costs = {"default_cost_per_query": 0.25, "tool_name_to_cost_per_query": {"list_models": 0.5}}
    alias, server_id = register(litellm.stack.mcp_url, static_headers=headers, mcp_info={"mcp_server_cost_info": costs})
    payer = key(litellm, mcp_servers=[server_id])
    for tool in ("list_models", "list_users"):
        assert not call(litellm, f"{alias}-{tool}", payer).get("failed")
    query = 'select spend from "LiteLLM_SpendLogs" where api_key = %s and mcp_namespaced_tool_name is not null order by spend'
    deadline = time.monotonic() + 60
    while len(spent := litellm.rows(query, hashlib.sha256(payer.encode()).hexdigest())) < 2 and time.monotonic() < deadline:
        time.sleep(1)
    assert [row["spend"] for row in spent] == [0.25, 0.5]
