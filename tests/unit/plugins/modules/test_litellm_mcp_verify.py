"""What the proof takes for a dead address, and for a key's fault."""

from __future__ import annotations

import pytest
from ansible_collections.rhpds.litemaas.plugins.module_utils.client import LiteLLMError
from ansible_collections.rhpds.litemaas.plugins.modules.litellm_mcp_verify import Fault, clients, fault_of

URL = "https://litellm.example.com"


def looked_at(folder, text, url=URL, aliases=("fs",)):
    """Return what is wrong with a client's file that holds the text, or None."""
    (folder / "file").write_text(text)
    try:
        clients([str(folder / "file")], url, list(aliases))
    except Fault as fault:
        return fault.cause
    return None


@pytest.mark.parametrize(
    "text",
    [
        '{"url": "https://litellm.example.com/mcp/tools"}',
        '{"url": "https:\\/\\/litellm.example.com\\/mcp\\/tools"}',
        "url = 'HTTPS://LiteLLM.example.com:443/mcp/invoke/'",
        "curl litellm.example.com/v1/tools?x=1",
        "curl https://me@litellm.example.com//v1/tools",
        'curl "$LITELLM_URL/mcp/tools"',
        'curl "$LITELLM_URL"/mcp/tools',
        "curl ${litellm_api_url%/}/v1/tools",
        "curl https://${LITELLM_HOST}/v1/tools",
        '{"url": "${env:LITELLM_API_URL:-https://x.example.com}/mcp/tools"}',
        'TOOL_SERVER_CONNECTIONS=[{"type": "mcp", "url": "https://litellm.example.com/mcp/tools"}]',
    ],
)
def test_addresses_that_this_litellm_does_not_have(tmp_path, text):
    assert looked_at(tmp_path, text) == "dead_endpoint"


@pytest.mark.parametrize(
    "text",
    [
        '{"url": "https://github.com/acme/mcp/tools"}',
        '{"url": "https://api.example.com/v1/tools"}',
        '{"url": "https://my-litellm.example.com/mcp/tools"}',
        '{"url": "https://litellm.example.com:8443/mcp/tools"}',
        '{"url": "$VENDOR_URL/v1/tools"}',
        "curl https://litellm.example.com/v1/mcp/tools",
        "curl https://litellm.example.com/mcp/fs",
        "curl https://litellm.example.com/mcp/toolsmith",
        '{"projects": {"/src/mcp/tools": {}}}',
        '{"history": [{"display": "why is https://litellm.example.com/mcp/tools dead, and \\"tools\\": \\"auto\\"?"}]}',
        '{"history": [{"display": "would tools=\'auto\' help?"}]}',
    ],
)
def test_addresses_of_others_and_prompts_are_not_judged(tmp_path, text):
    assert looked_at(tmp_path, text) is None


def test_a_prompt_does_not_hide_what_follows_it(tmp_path):
    assert looked_at(tmp_path, f'{{"display": "a prompt", "url": "{URL}/mcp/tools", "last": "b c"}}') == "dead_endpoint"
    assert looked_at(tmp_path, '{"display": "a prompt", "tools": "auto"}') == "function_tools"


@pytest.mark.parametrize("url", ["http://localhost:4000", "http://localhost:4000/"])
def test_a_port_tells_litellm_from_its_neighbours(tmp_path, url):
    assert looked_at(tmp_path, "url = http://localhost:4000/v1/tools", url) == "dead_endpoint"
    assert looked_at(tmp_path, "url = http://localhost:8080/v1/tools", url) is None


def test_a_litellm_below_a_path_has_its_addresses_there(tmp_path):
    assert looked_at(tmp_path, f"url = {URL}/llm/mcp/tools", f"{URL}/llm/") == "dead_endpoint"
    assert looked_at(tmp_path, f"url = {URL}/mcp/tools", f"{URL}/llm") is None


def test_a_server_may_be_called_tools(tmp_path):
    assert looked_at(tmp_path, f"curl {URL}/mcp/tools", aliases=["tools"]) is None
    assert looked_at(tmp_path, f"curl {URL}/v1/tools", aliases=["tools"]) == "dead_endpoint"


@pytest.mark.parametrize(
    ("status", "text", "cause"),
    [
        (400, "api_key: the key has expired. Give LiteLLM's master key, or a new key of a proxy_admin.", "bad_key"),  # 1.81
        (401, "api_key: LiteLLM does not know this key, or it has expired.", "bad_key"),
        (403, "api_key: LiteLLM does not let this key do that (no).", "no_permission"),
        (400, "LiteLLM answered /mcp/ with HTTP 400: no", "gateway"),
        (None, "LiteLLM can't be reached", "gateway"),
    ],
)
def test_a_refusal_is_laid_to_the_key_or_the_gateway(status, text, cause):
    assert fault_of(LiteLLMError(text, status)).cause == cause
