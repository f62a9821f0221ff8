"""An OpenAI-compatible model provider that thinks of nothing: what the stack's LiteLLM talks to. Usage: upstream.py PORT

- GET /v1/models lists two models; POST /v1/chat/completions answers any model, streaming or not.
- A model whose name starts with `broken` answers 500. A user message that contains `fail` answers 400.
- prompt_tokens is the number of words in all messages, plus 3 for each message. completion_tokens is 5 plus the prompt_tokens
  modulo 20, and no more than max_tokens (or max_completion_tokens). The answer has one word for each completion token.
- Each completion has an id of its own: LiteLLM's spend logs are keyed by it.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WORDS = ("granite", "flows", "beneath", "the", "quiet", "hill", "and", "answers", "every", "question", "with", "a", "stone")


def text_of(message: dict) -> str:
    """A message's text; content may be a string or a list of parts."""
    content = message.get("content") or ""
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)


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
        if not self.path.endswith("/chat/completions"):
            return self.fail(404, "not found")
        try:
            request = json.loads(body)
            model, messages = request["model"], request["messages"]
        except (ValueError, KeyError, TypeError):
            return self.fail(400, "model and messages are required")
        if model.startswith("broken"):
            return self.fail(500, "the model is broken")
        if any(message["role"] == "user" and "fail" in text_of(message) for message in messages):
            return self.fail(400, "told to fail")
        prompt = sum(len(text_of(message).split()) + 3 for message in messages)
        limit = request.get("max_completion_tokens") or request.get("max_tokens") or 25
        completion = min(5 + prompt % 20, limit)
        usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        words = [WORDS[number % len(WORDS)] for number in range(completion)]
        head = {"id": f"chatcmpl-{uuid.uuid4()}", "created": int(time.time()), "model": model}
        if request.get("stream"):
            return self.stream(head, words, usage if (request.get("stream_options") or {}).get("include_usage") else None)
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": " ".join(words)}}
        return self.answer(200, {**head, "object": "chat.completion", "choices": [choice], "usage": usage})

    def stream(self, head: dict, words: list[str], usage: dict | None) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()

        def event(choices: list[dict], **more: object) -> None:
            self.wfile.write(
                b"data: " + json.dumps({**head, "object": "chat.completion.chunk", "choices": choices, **more}).encode() + b"\n\n"
            )

        event([{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])
        for word in words:
            event([{"index": 0, "delta": {"content": word + " "}, "finish_reason": None}])
        event([{"index": 0, "delta": {}, "finish_reason": "stop"}])
        if usage:
            event([], usage=usage)
        self.wfile.write(b"data: [DONE]\n\n")

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
