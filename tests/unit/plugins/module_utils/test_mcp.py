"""What a server may do by the protocol, and LiteLLM does not here: pages, notes before an answer, sessions, streams that end early."""

from __future__ import annotations

import contextlib
import json

import pytest
from ansible_collections.rhpds.litemaas.plugins.module_utils.client import LiteLLMError
from ansible_collections.rhpds.litemaas.plugins.module_utils.mcp import McpSession


class Response:
    def __init__(self, answer, status=200, **headers):
        self.status_code, self.ok, self.is_redirect, self.reason = status, status < 400, 300 <= status < 400, "reason"
        self.answer, self.headers = answer, headers

    def json(self):
        return self.answer

    def iter_lines(self, chunk_size):
        yield from (line.encode() for line in self.answer)


class Client:
    """Answers each request with the next response, and keeps what was asked."""

    timeout = 5

    def __init__(self, *responses):
        self.responses, self.asked = list(responses), []

    @contextlib.contextmanager
    def opened(self, method, path, unsure="", key=None, headers=None, json=None):
        self.asked.append((method, json, dict(headers), key))
        yield self.responses.pop(0)

    def plain(self, text):
        return text

    def words(self, response):
        return str(response.answer)

    def stranger(self, path):
        return LiteLLMError(f"{path} is strange")


def result(number, **fields):
    return {"jsonrpc": "2.0", "id": number, "result": fields}


def stream(*messages):
    lines = [": ping"]
    for message in messages:
        lines += ["event: message", f"data: {json.dumps(message)}", ""]
    return Response(lines, **{"Content-Type": "text/event-stream"})


def test_a_session_is_kept_and_ended():
    begun = Response(result(1, protocolVersion="2025-03-26"), **{"Mcp-Session-Id": "s1"})
    client = Client(begun, Response(None, 202), Response(result(2, tools=[])), Response(None))
    with McpSession(client, key="sk-other", servers=["web", "fs"]) as session:
        assert session.tools() == []
    methods = [(method, body and body["method"]) for method, body, headers, key in client.asked]
    assert methods == [("POST", "initialize"), ("POST", "notifications/initialized"), ("POST", "tools/list"), ("DELETE", None)]
    assert {key for *ignored, key in client.asked} == {"sk-other"}
    assert [headers.get("Mcp-Session-Id") for method, body, headers, key in client.asked] == [None, "s1", "s1", "s1"]
    assert client.asked[2][2]["MCP-Protocol-Version"] == "2025-03-26"
    assert client.asked[0][2]["x-mcp-servers"] == "web,fs"


def test_every_page_of_tools_is_read_and_a_circle_ends():
    pages = [result(1, tools=[{"name": "a"}], nextCursor="2"), result(2, tools=[{"name": "b"}], nextCursor="2")]
    assert [tool["name"] for tool in McpSession(Client(*map(Response, pages))).tools()] == ["a", "b"]


def test_the_answer_is_found_among_notes_and_others():
    note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}
    asks = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    session = McpSession(Client(stream(note, asks, result(7), result(1, content=[{"type": "text", "text": "x"}]))))
    assert session.call("web-fetch", {})["content"][0]["text"] == "x"


@pytest.mark.parametrize(
    ("response", "says"),
    [
        (stream(result(7)), "LiteLLM ended its answer to tools/call at /mcp/ before the result"),
        (Response({"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "no such method"}}), "with an error: no such method"),
        (Response(["not", "mcp"]), "/mcp/ is strange"),
        (Response("no server", 404), "LiteLLM answered /mcp/ with HTTP 404: no server"),
        (Response("moved", 307), "LiteLLM answered /mcp/ with HTTP 307"),
        (Response("not you", 403), "LiteLLM does not let this key do that (not you)"),
        (Response("who", 401), "api_key: LiteLLM does not know this key, or it has expired."),
    ],
)
def test_what_went_wrong_is_said(response, says):
    with pytest.raises(LiteLLMError) as error:
        McpSession(Client(response)).call("web-fetch", {})
    assert says in str(error.value)


def test_secrets_that_1_81_adds_to_a_refusal_are_cut_off():
    said = "Error: User not allowed to call this tool. Allowed MCP servers: [MCPServer(authentication_token='hunter2')]"
    answer = Response(result(1, content=[{"type": "text", "text": said}], isError=True))
    assert McpSession(Client(answer)).call("web-fetch", {})["content"][0]["text"] == "Error: User not allowed to call this tool."
