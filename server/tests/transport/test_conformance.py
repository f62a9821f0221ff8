"""The conformance suite of the protocol, with the number of checks that each scenario makes: one that checks nothing passes nothing."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter

import pytest

from tests.support.node import npm_tool
from tests.support.tcp_proxy import TcpProxy

from .conftest import TOKEN

SUITE = "@modelcontextprotocol/conformance", "0.2.0-alpha.12", "conformance"

# Scenario: checks that succeed, and those that must fail because they need a tool of the suite's own fixture server.
SCENARIOS = {
    "server-initialize": (2, set()),
    "ping": (2, set()),
    "tools-list": (3, set()),
    "tools-call-error": (2, set()),
    "caching": (7, set()),
    "dns-rebinding-protection": (2, set()),
    "http-header-validation": (14, set()),
    # Five more are about subscription streams: skipped, since the server declares none.
    "server-stateless": (23, {"sep-2575-server-rejects-undeclared-capability", "sep-2575-missing-capability-http-400"}),
}


@pytest.fixture(scope="module")
def suite() -> list[str]:
    return npm_tool(*SUITE)


@pytest.fixture(scope="module", params=["litemaas", "litellm-admin"])
def open_door(request, stack):
    """The server's address for a client that sends no token: the suite's raw requests drop the query of the URL that it is given."""
    litemaas = request.param == "litemaas"
    server = request.getfixturevalue("server" if litemaas else "admin_server")
    token = TOKEN if litemaas else stack.litellm_master_key
    first_line = re.compile(rb"^([A-Z]+ \S+ HTTP/1\.1\r\n)", re.MULTILINE)
    authorization = rb"\1Authorization: Bearer " + token.encode() + b"\r\n"
    with TcpProxy("127.0.0.1", server.port, rewrite=lambda data: first_line.sub(authorization, data)) as proxy:
        yield f"http://127.0.0.1:{proxy.port}/mcp"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_conformance(suite, open_door, scenario, tmp_path):
    command = [*suite, "server", "--url", open_door, "--scenario", scenario, "--output-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    results = list(tmp_path.glob("*/checks.json"))
    assert results, done.stdout + done.stderr
    checks = json.loads(results[0].read_text())
    failed = {check["id"]: check.get("errorMessage") for check in checks if check["status"] in ("FAILURE", "WARNING")}
    succeed, need_a_fixture = SCENARIOS[scenario]
    assert failed.keys() == need_a_fixture, failed
    assert Counter(check["status"] for check in checks)["SUCCESS"] == succeed
