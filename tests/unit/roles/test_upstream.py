"""The stack's stand-in for a model provider calls tools as a model would, so that what LiteLLM does with the calls can be seen."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from roles.litemaas_local.files.upstream import Upstream

QUESTION = 'Look with fs-read_file {"path": "/a b"} and then with fs-list.'
NAMED = [("fs-read_file", {"path": "/a b"}), ("fs-list", {})]
RESULTS = [{"role": "tool", "tool_call_id": f"call_{text[0]}", "content": text} for text in ("one  two", "three")]
OUTPUTS = [{"type": "function_call_output", "call_id": "call_1", "output": "one  two three"}]


def function(name: str) -> dict[str, Any]:
    return {"name": name, "description": "", "parameters": {"type": "object"}}


# "fs-read" is a part of a name that the question holds, and not named by it.
CHAT_TOOLS = [{"type": "function", "function": function(name)} for name in ("fs-list", "fs-read", "fs-read_file")]
RESPONSES_TOOLS = [{"type": "function", **function(name)} for name in ("fs-list", "fs-read", "fs-read_file")]


@pytest.fixture(scope="module")
def provider() -> Iterator[httpx.Client]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Upstream) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        with httpx.Client(base_url=f"http://127.0.0.1:{server.server_port}", trust_env=False, timeout=10) as client:
            yield client
        server.shutdown()


def chat(provider: httpx.Client, *messages: dict[str, Any] | str, **more: Any) -> dict[str, Any]:
    said = [{"role": "user", "content": each} if isinstance(each, str) else each for each in messages]
    answer = provider.post("/v1/chat/completions", json={"model": "m", "messages": said, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def named(calls: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    return [(call["name"], json.loads(call["arguments"])) for call in calls]


def test_offered_tools_that_the_question_names_are_called_in_its_order(provider: httpx.Client):
    (choice,) = chat(provider, QUESTION, tools=CHAT_TOOLS)["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert named([call["function"] for call in choice["message"]["tool_calls"]]) == NAMED
    assert len({call["id"] for call in choice["message"]["tool_calls"]}) == 2


def test_a_tool_that_is_offered_without_its_servers_name_is_called(provider: httpx.Client):
    tools = [{"type": "function", "function": function("read_file")}]
    (call,) = chat(provider, QUESTION, tools=tools)["choices"][0]["message"]["tool_calls"]
    assert named([call["function"]]) == [("read_file", {"path": "/a b"})]


def test_a_tool_that_is_not_offered_or_not_named_is_not_called(provider: httpx.Client):
    for tools in ([], CHAT_TOOLS[1:2]):
        (choice,) = chat(provider, QUESTION, tools=tools)["choices"]
        assert (choice["finish_reason"], "tool_calls" in choice["message"]) == ("stop", False)


def test_results_are_the_answer(provider: httpx.Client):
    calls = {"role": "assistant", "content": None, "tool_calls": []}
    answer = chat(provider, QUESTION, calls, *RESULTS, tools=CHAT_TOOLS)
    assert answer["choices"][0]["message"]["content"] == "one two three"
    assert answer["usage"]["completion_tokens"] == 3


def test_a_chat_streams_its_calls(provider: httpx.Client):
    request = {"model": "m", "messages": [{"role": "user", "content": QUESTION}], "tools": CHAT_TOOLS, "stream": True}
    chunks = events(provider.post("/v1/chat/completions", json=request))
    calls = [call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert [call["index"] for call in calls] == [0, 1]
    assert named([call["function"] for call in calls]) == NAMED
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_calls_tools_and_answers_with_their_results(provider: httpx.Client, stream: bool):
    def response(given: Any) -> dict[str, Any]:
        answer = provider.post("/v1/responses", json={"model": "m", "input": given, "tools": RESPONSES_TOOLS, "stream": stream})
        return events(answer)[-1]["response"] if stream else answer.json()

    assert named(response(QUESTION)["output"]) == NAMED
    asked = {"role": "user", "content": [{"type": "input_text", "text": QUESTION}]}
    called = {"type": "function_call", "call_id": "call_1", "name": "fs-list", "arguments": "{}"}
    (message,) = response([asked, called, *OUTPUTS])["output"]
    assert message["content"][0]["text"] == "one two three"


def test_arguments_that_are_no_json_are_refused(provider: httpx.Client):
    message = {"role": "user", "content": "fs-list {path}"}
    assert provider.post("/v1/chat/completions", json={"model": "m", "messages": [message], "tools": CHAT_TOOLS}).status_code == 400
