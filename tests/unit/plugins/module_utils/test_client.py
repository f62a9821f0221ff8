"""The client against a server that answers as LiteLLM does: its three shapes of errors, its pages, and its bad days."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.rhpds.litemaas.plugins.module_utils import client as client_module
from ansible_collections.rhpds.litemaas.plugins.module_utils.client import Client, LiteLLMError, NotFound

KEY = "sk-the-admins-own-key"


class Gateway:
    """Gives the answers of `answers`, one after the other and the last for ever, and keeps what it was asked."""

    def __init__(self):
        self.answers = [(200, {})]
        self.asked = []
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def reply(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                gateway.asked.append((self.command, self.path, self.headers, json.loads(body) if body else None))
                answer = gateway.answers.pop(0) if len(gateway.answers) > 1 else gateway.answers[0]
                if answer is None:
                    self.close_connection = True
                    return
                status, content = answer
                content = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                if status in (301, 302, 307):
                    self.send_header("location", "https://elsewhere.example.com/login?next=secret")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = reply

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()


@pytest.fixture
def gateway(monkeypatch):
    monkeypatch.setattr(client_module.time, "sleep", lambda seconds: None)
    gateway = Gateway()
    yield gateway
    gateway.server.shutdown()
    gateway.server.server_close()


@pytest.fixture
def client(gateway):
    return Client(gateway.url + "/", KEY, timeout=5, retries=2)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"error": {"message": "Budget exists", "type": "bad_request_error", "code": "400"}}, "Budget exists"),
        ({"error": {"message": "{'error': 'User with id u1 already exists'}", "code": "409"}}, "User with id u1 already exists"),
        ({"error": {"message": '{"error": "not valid python: null"}'}}, "not valid python: null"),
        ({"detail": "No such thing"}, "No such thing"),
        ({"detail": {"error": "User not found, passed user_id=u1"}}, "User not found, passed user_id=u1"),
        ({"detail": [{"type": "missing", "loc": ["body", "user_ids"], "msg": "Field required"}]}, "body.user_ids: Field required"),
        ({"error": "plain"}, "plain"),
    ],
)
def test_each_shape_of_an_error_becomes_a_sentence(gateway, client, body, says):
    gateway.answers = [(400, body)]
    with pytest.raises(LiteLLMError) as caught:
        client.post("/budget/new", {})
    assert str(caught.value) == f"LiteLLM answered /budget/new with HTTP 400: {says}"
    assert caught.value.status == 400


def test_a_missing_record_has_an_error_of_its_own(gateway, client):
    gateway.answers = [(404, {"detail": {"error": "gone"}})]
    with pytest.raises(NotFound):
        client.get("/user/info", user_id="x")


def test_keys_and_stack_traces_are_not_shown(gateway, client):
    gateway.answers = [(400, {"detail": f"bad {KEY} and sk-another.key Traceback (most recent call last): File x"})]
    with pytest.raises(LiteLLMError) as caught:
        client.post("/key/generate", {})
    assert str(caught.value).endswith("bad *** and sk-***")
    gateway.answers = [(400, {"detail": "long " * 500})]
    with pytest.raises(LiteLLMError) as caught:
        client.post("/key/generate", {})
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"error": {"message": "Received API Key = sk-...k3y, Key Hash=9f8e", "type": "token_not_found_in_db"}}, "does not know this key"),
        ({"error": {"message": "Authentication Error, No api key passed in.", "type": "auth_error"}}, "does not know this key"),
        ({"error": {"message": "Authentication Error - Expired Key.", "type": "expired_key"}}, "has expired"),
        ({"error": {"message": "Authentication Error, Only proxy admin can be used to generate keys"}}, "only an administrator"),
        ({"detail": {"error": "Only proxy admins can list users"}}, "only an administrator"),
        (b"Unauthorized", "does not know this key"),
    ],
)
def test_a_refused_key_is_said_with_the_remedy_and_without_the_body(gateway, client, body, says):
    gateway.answers = [(401, body)]
    with pytest.raises(LiteLLMError) as caught:
        client.get("/user/list")
    assert str(caught.value).startswith("api_key: ")
    assert says in str(caught.value)
    assert "master key" in str(caught.value)
    assert "k3y" not in str(caught.value)
    assert "9f8e" not in str(caught.value)


def test_every_page_is_read(gateway, client):
    gateway.answers = [(200, {"keys": [{"token": page}], "total_pages": 3}) for page in (1, 2, 3)]
    assert [key["token"] for key in client.pages("/key/list", "keys", "size", key_alias="a b")] == [1, 2, 3]
    assert [path for __, path, *__ in gateway.asked] == [f"/key/list?page={page}&size=100&key_alias=a+b" for page in (1, 2, 3)]
    gateway.answers = [(200, {"users": [], "total_pages": 0})]
    assert list(client.pages("/user/list", "users")) == []


def test_a_list_that_changes_while_it_is_read_is_read_again_but_not_for_ever(gateway, client):
    def pages(*pages):
        return [(200, {"users": users, "total": total, "total_pages": 2}) for users, total in pages]

    gateway.answers = pages((["a", "b"], 4), (["d"], 3), (["b", "c"], 3), (["d"], 3))  # "a" was removed, and "c" slipped
    assert client.pages("/user/list", "users") == ["b", "c", "d"]
    gateway.answers = pages(*((["a"], total) for total in range(100)))
    assert client.pages("/user/list", "users") == ["a", "a"]
    assert len(gateway.asked) == 4 + 2 * client_module.READINGS


@pytest.mark.parametrize("bad", [None, (500, {}), (502, b"<html>"), (503, {}), (429, {})])
def test_a_read_is_tried_again(gateway, client, bad):
    gateway.answers = [bad, bad, (200, {"well": True})]
    assert client.get("/user/list") == {"well": True}
    assert len(gateway.asked) == 3


def test_a_read_is_not_tried_for_ever(gateway, client):
    gateway.answers = [(500, {"error": {"message": "Can't reach database server"}})]
    with pytest.raises(LiteLLMError, match="HTTP 500: Can't reach database server"):
        client.get("/user/list")
    assert len(gateway.asked) == 3


@pytest.mark.parametrize("bad", [None, (500, {}), (503, {}), (429, {})])
def test_a_write_is_sent_once(gateway, client, bad):
    gateway.answers = [bad]
    for write in (client.post, client.put, client.patch):
        with pytest.raises(LiteLLMError) as caught:
            write("/user/new", {"user_id": "x"})
        assert (client_module.UNSURE in str(caught.value)) == (bad is None)
    with pytest.raises(LiteLLMError):
        client.delete("/v1/mcp/server/x")
    assert [method for method, *__ in gateway.asked] == ["POST", "PUT", "PATCH", "DELETE"]


def test_a_write_that_never_left_is_not_called_unsure():
    with pytest.raises(LiteLLMError) as caught:
        Client("http://127.0.0.1:9", KEY).post("/user/new", {})
    assert str(caught.value) == "LiteLLM can't be reached at http://127.0.0.1:9 (connection refused). Check url, and that LiteLLM runs."


def test_the_key_is_sent_and_no_netrc_takes_its_place(gateway, client, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    client.get("/user/list")
    assert gateway.asked[0][2]["Authorization"] == f"Bearer {KEY}"


def test_a_redirect_is_not_followed(gateway, client):
    gateway.answers = [(302, b"")]
    with pytest.raises(LiteLLMError) as caught:
        client.get("/user/list")
    assert str(caught.value).startswith(f"url: {gateway.url} leads elsewhere (HTTP 302 to https://elsewhere.example.com)")
    assert len(gateway.asked) == 1


@pytest.mark.parametrize("answer", [(200, b"<html>a web page</html>"), (404, b"<html>no such page</html>"), (405, b"")])
def test_what_is_not_litellm_is_said(gateway, client, answer):
    gateway.answers = [answer]
    with pytest.raises(LiteLLMError, match="does not answer /user/list as LiteLLM does"):
        client.get("/user/list")
    gateway.answers = [(200, ["a", "list"])]
    with pytest.raises(LiteLLMError, match="as LiteLLM does"):
        list(client.pages("/user/list", "users"))


def test_a_slow_answer_is_said(gateway):
    class Slow(list):
        def __getitem__(self, index):
            threading.Event().wait(1.5)
            return super().__getitem__(index)

    gateway.answers = Slow([(200, {})])
    with pytest.raises(LiteLLMError, match="did not answer within 1 s"):
        Client(gateway.url, KEY, timeout=1, retries=0).get("/user/list")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"url": "litellm.example.com"}, "url: must be LiteLLM's address"),
        ({"url": "ftp://litellm.example.com"}, "url: must be LiteLLM's address"),
        ({"url": "http://:4000"}, "url: must be LiteLLM's address"),
        ({"url": "http://host:port"}, "url: must be LiteLLM's address"),
        ({"url": "https://me:pass@litellm.example.com"}, "url: must be an address without user"),
        ({"url": "https://litellm.example.com/?key=1"}, "url: must be an address without user"),
        ({"url": "https://litellm.example.com/v1/"}, "url: leave /v1 out"),
        ({"api_key": " "}, "api_key: is empty"),
        ({"api_key": "sk-ä"}, "api_key: is empty or holds characters"),
        ({"api_key": "sk-a\nb"}, "api_key: is empty or holds characters"),
        ({"ca_path": "/no/such.pem"}, "ca_path: there is no file /no/such.pem"),
        ({"timeout": 0}, "timeout: must be"),
        ({"retries": -1}, "retries: must be"),
    ],
)
def test_bad_options_are_named(options, says):
    with pytest.raises(LiteLLMError) as caught:
        Client(**{"url": "https://litellm.example.com", "api_key": KEY, **options})
    assert says in str(caught.value)
    assert "pass@" not in str(caught.value)
