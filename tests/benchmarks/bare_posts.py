"""The floor: sends LiteLLM calls, so many at a time, with nothing around them.

Reads {"url", "key", "concurrency", "phases": [[[path, body], …], …]} from stdin and prints the seconds that sending took.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import requests

order = json.load(sys.stdin)
session = requests.Session()
session.headers["Authorization"] = f"Bearer {order['key']}"
session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=order["concurrency"]))


def send(call: tuple[str, dict]) -> None:
    path, body = call
    session.post(order["url"] + path, json=body, timeout=60).raise_for_status()


with ThreadPoolExecutor(order["concurrency"]) as pool:
    started = time.perf_counter()
    for phase in order["phases"]:
        list(pool.map(send, phase))
    print(time.perf_counter() - started)
