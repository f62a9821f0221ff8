"""An OpenAI-compatible model provider that thinks of nothing: what the stack's LiteLLM talks to. Usage: upstream.py PORT

- GET /v1/models lists two models; POST /v1/chat/completions and /v1/responses answer any model, streaming or not.
- Offered tools are called when the user's message names them, each with the JSON object that follows its name, or with none:
  `look with fs-read_file {"path": "/a"}`. A tool without the server's name before it is meant too: LiteLLM 1.81 offers some so. Once the
  results are there, they are the answer.
- A model whose name starts with `broken` answers 500. A user message that contains `fail` answers 400.
- prompt_tokens is the number of words in all messages, plus 3 for each message. completion_tokens is 5 plus the prompt_tokens
  modulo 20, and no more than max_tokens (or max_completion_tokens). The answer has one word for each completion token; tools' results
  are as many tokens as they have words, calls are 5.
- Each completion has an id of its own: LiteLLM's spend logs are keyed by it.
"""

from __future__ import annotations

import json
import re
import sys
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORDS = ("granite", "flows", "beneath", "the", "quiet", "hill", "and", "answers", "every", "question", "with", "a", "stone")


def text_of(message: dict) -> str:
    """A message's text; content may be a string or a list of parts."""
    content = message.get("content") or ""
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)


def messages_of(items: str | list[dict]) -> list[dict]:
    """The input of the Responses API as messages of a chat: all that matters here is what was said, and which tools have answered."""
    if isinstance(items, str):
        return [{"role": "user", "content": items}]
    answered = {"function_call_output": "tool", "function_call": "assistant"}
    return [
        {"role": answered.get(item.get("type"), item.get("role", "user")), "content": item.get("content") or item.get("output")}
        for item in items
    ]


def calls_of(messages: list[dict], tools: list[dict]) -> list[dict]:
    """The tools that the last message names, if it is a user's, in its order: name and arguments (JSON) of each."""
    text = text_of(messages[-1]) if messages and messages[-1]["role"] == "user" else ""
    found = []
    for tool in tools:
        name = (tool.get("function") or tool).get("name")
        if name and (named := re.search(rf"(?<![\w-])(?:\w+-)?{re.escape(name)}(?![\w-])\s*", text)):
            rest = text[named.end() :]
            arguments = json.JSONDecoder().raw_decode(rest)[0] if rest.startswith("{") else {}
            found.append((named.start(), {"name": name, "arguments": json.dumps(arguments)}))
    return [call for _, call in sorted(found, key=lambda each: each[0])]


class Upstream(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if not self.path.endswith("/models"):
            return self.fail(404, "not found")
        models = [
            {"id": name, "object": "model", "created": 1700000000, "owned_by": "stack"} for name in ("granite-3-8b-instruct", "broken")
        ]
        return self.answer(200, {"object": "list", "data": models})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        chat = self.path.endswith("/chat/completions")
        if not chat and not self.path.endswith("/responses"):
            return self.fail(404, "not found")
        try:
            request = json.loads(body)
            model, messages = request["model"], request["messages"] if chat else messages_of(request["input"])
        except (ValueError, KeyError, TypeError):
            return self.fail(400, f"model and {'messages' if chat else 'input'} are required")
        if model.startswith("broken"):
            return self.fail(500, "the model is broken")
        if any(message["role"] == "user" and "fail" in text_of(message) for message in messages):
            return self.fail(400, "told to fail")
        try:
            calls = calls_of(messages, request.get("tools") or [])
        except ValueError:
            return self.fail(400, "what follows a tool's name is no JSON object")
        prompt = sum(len(text_of(message).split()) + 3 for message in messages)
        limit = request.get("max_completion_tokens") or request.get("max_tokens") or request.get("max_output_tokens")
        results = [text_of(message) for message in messages if message["role"] == "tool"]
        if messages and messages[-1]["role"] == "tool":
            words = " ".join(results).split()[:limit]
        else:
            words = [WORDS[number % len(WORDS)] for number in range(0 if calls else min(5 + prompt % 20, limit or 25))]
        send = self.as_chat if chat else self.as_response
        return send(request, words, calls, prompt, len(words) or 5)

    def as_chat(self, request: dict, words: list[str], calls: list[dict], prompt: int, completion: int) -> None:
        usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        head = {"id": f"chatcmpl-{uuid.uuid4()}", "created": int(time.time()), "model": request["model"]}
        named = [{"id": f"call_{uuid.uuid4().hex}", "type": "function", "function": call} for call in calls]
        reason = "tool_calls" if named else "stop"
        if not request.get("stream"):
            message = {"role": "assistant", "content": " ".join(words) or None} | ({"tool_calls": named} if named else {})
            choice = {"index": 0, "finish_reason": reason, "message": message}
            return self.answer(200, {**head, "object": "chat.completion", "choices": [choice], "usage": usage})
        deltas: list[dict] = [{"role": "assistant", "content": ""}, *({"content": word + " "} for word in words)]
        deltas += [{"tool_calls": [{"index": index, **call}]} for index, call in enumerate(named)]
        chunks = [[{"index": 0, "delta": delta, "finish_reason": None}] for delta in deltas]
        chunks.append([{"index": 0, "delta": {}, "finish_reason": reason}])
        events = [{**head, "object": "chat.completion.chunk", "choices": choices} for choices in chunks]
        if (request.get("stream_options") or {}).get("include_usage"):
            events.append({**head, "object": "chat.completion.chunk", "choices": [], "usage": usage})
        return self.stream([*map(json.dumps, events), "[DONE]"])

    def as_response(self, request: dict, words: list[str], calls: list[dict], prompt: int, completion: int) -> None:
        output: list[dict] = [
            {"type": "function_call", "id": f"fc_{uuid.uuid4().hex}", "call_id": f"call_{uuid.uuid4().hex}", "status": "completed", **call}
            for call in calls
        ]
        if not calls:
            text = {"type": "output_text", "text": " ".join(words), "annotations": []}
            message = {"type": "message", "id": f"msg_{uuid.uuid4().hex}", "role": "assistant", "status": "completed", "content": [text]}
            output.append(message)
        response = {
            "id": f"resp_{uuid.uuid4().hex}",
            "object": "response",
            "created_at": int(time.time()),
            "status": "completed",
            "model": request["model"],
            "output": output,
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": request.get("tools") or [],
            "usage": {"input_tokens": prompt, "output_tokens": completion, "total_tokens": prompt + completion},
        }
        if not request.get("stream"):
            return self.answer(200, response)
        events: list[dict] = [{"type": "response.created", "response": {**response, "status": "in_progress", "output": []}}]
        for index, item in enumerate(output):
            events.append({"type": "response.output_item.added", "output_index": index, "item": item})
            if not calls:
                part = {"item_id": item["id"], "output_index": index, "content_index": 0}
                events += [{"type": "response.output_text.delta", "delta": word + " ", **part} for word in words]
            events.append({"type": "response.output_item.done", "output_index": index, "item": item})
        events.append({"type": "response.completed", "response": response})
        return self.stream([json.dumps({**event, "sequence_number": number}) for number, event in enumerate(events)])

    def stream(self, events: list[str]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for event in events:
            self.wfile.write(f"data: {event}\n\n".encode())

    def fail(self, status: int, message: str) -> None:
        self.answer(
            status, {"error": {"message": message, "type": "server_error" if status == 500 else "invalid_request_error", "code": None}}
        )

    def answer(self, status: int, body: dict) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Silence: a line for each request would only fill the disk."""


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Upstream).serve_forever()
