"""How a module reaches the real LiteLLM: keys that it refuses, addresses that are none, certificates."""

from __future__ import annotations

import threading
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.modules.conftest import LiteLLM, name
from tests.support.certificates import private_authority
from tests.support.http_stand_in import HttpStandIn
from tests.support.tcp_proxy import TcpProxy


def test_a_key_that_litellm_does_not_know(litellm: LiteLLM):
    done = litellm.run("litellm_key_info", api_key="sk-nobody-has-this-key")
    assert done["failed"]
    assert done["msg"].startswith("api_key: LiteLLM does not know this key.")


def test_a_key_that_is_no_administrators(litellm: LiteLLM):
    key = litellm.post("/key/generate", key_alias=name("plain"), user_id=litellm.user(user_role="internal_user"))
    litellm.later("/key/delete", keys=[key["token"]])
    budget = name("budget")
    for module, options in (("litellm_budget", {"budget_id": budget}), ("litellm_user_budget", {"user": "alopezme", "max_budget": 1})):
        done = litellm.run(module, api_key=key["key"], **options)
        assert done["failed"], module
        assert done["msg"].startswith("api_key: LiteLLM "), module
        assert done["msg"].endswith("Give its master key, or a key of a user whose role is proxy_admin."), module
        assert key["key"][-4:] not in done["msg"]


def test_a_key_that_has_expired(litellm: LiteLLM):
    key = litellm.post("/key/generate", key_alias=name("expired"), duration="1s")
    litellm.later("/key/delete", keys=[key["token"]])
    litellm.rows("update \"LiteLLM_VerificationToken\" set expires = now() - interval '1 day' where token = %s returning 1", key["token"])
    done = litellm.run("litellm_budget", api_key=key["key"], budget_id="x")
    assert "the key has expired" in done["msg"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://no-such-host.invalid"])
def test_an_address_where_nothing_listens(litellm: LiteLLM, url: str):
    done = litellm.run("litellm_key_info", url=url, retries=0)
    assert done["msg"].startswith(f"LiteLLM can't be reached at {url} (")
    assert done["msg"].endswith("Check url, and that LiteLLM runs.")


def test_an_address_of_something_else(litellm: LiteLLM):
    done = litellm.run("litellm_key_info", url=litellm.stack.stub_url)
    assert "does not answer /key/list as LiteLLM does" in done["msg"]


def test_a_litellm_that_goes_away_and_comes_back_is_asked_again(litellm: LiteLLM):
    address = httpx.URL(litellm.stack.litellm_url)
    with TcpProxy(address.host, address.port) as proxy:
        proxy.cut()
        timer = threading.Timer(1, proxy.heal)
        timer.start()
        done = litellm.run("litellm_key_info", url=f"http://127.0.0.1:{proxy.port}", key_alias="nobody")
        timer.join()
    assert done["total"] == 0


class Certified:
    """LiteLLM's answer to /key/list behind TLS; `authority` signs for 127.0.0.1."""

    def __init__(self, folder: Path) -> None:
        self.authority, context = private_authority(folder)
        self.stand_in = HttpStandIn(lambda _: (200, {"keys": [], "total_pages": 0}))
        server: ThreadingHTTPServer = self.stand_in._server
        server.socket = context.wrap_socket(server.socket, server_side=True)
        self.url = self.stand_in.url.replace("http:", "https:")


def test_certificates_are_verified(litellm: LiteLLM, tmp_path: Path):
    certified = Certified(tmp_path)
    no_pem = tmp_path / "no.pem"
    no_pem.write_text("not a certificate")

    def run(**options: Any) -> dict[str, Any]:
        return litellm.run("litellm_key_info", url=certified.url, retries=0, **options)

    with certified.stand_in:
        refused = run()
        assert refused["failed"]
        assert "the certificate is not trusted" in refused["msg"]
        assert "Name its authority's PEM file in ca_path." in refused["msg"]
        assert certified.stand_in.asked == []
        assert run(ca_path=str(certified.authority))["total"] == 0
        assert run(validate_certs=False)["total"] == 0
        assert "ca_path" in run(ca_path=str(no_pem))["msg"]
