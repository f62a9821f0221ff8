"""The floor: applies (server-side) or deletes objects, one request each and one after the other, with nothing around them.

Reads {"url", "token", "method": "PATCH" or "DELETE", "objects": [[the list's path, the object], …]} from stdin.
"""

from __future__ import annotations

import json
import sys

import requests
import urllib3

urllib3.disable_warnings()  # of the stand-in's certificate
order = json.load(sys.stdin)
session = requests.Session()
session.verify, session.trust_env = False, False
session.headers.update({"Authorization": f"Bearer {order['token']}", "Content-Type": "application/apply-patch+yaml", "User-Agent": "bare"})
removing = order["method"] == "DELETE"
for path, wanted in reversed(order["objects"]) if removing else order["objects"]:
    url = f"{order['url']}{path}/{wanted['metadata']['name']}"
    if removing:
        session.delete(url, timeout=60).raise_for_status()
    else:
        session.patch(url, params={"fieldManager": "bare", "force": "true"}, json=wanted, timeout=60).raise_for_status()
