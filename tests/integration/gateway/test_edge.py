"""What the rules for Traefik pass on to a real LiteLLM: its UI and the way into it, and else only requests with a key."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import httpx
import pytest

from conftest import ROOT, Stack
from tests.integration.cluster.test_stack_role import Deployer
from tests.support.clusters import running
from tests.support.node import node_bin, npm_package
from tests.support.traefik import Edge, matches
from tests.unit.roles.test_ocp4_workload_litemaas import objects, one, refused, role, secrets

HOST = "litellm.apps.example.com"
SHUT = (
    "/key/list",
    "/v1/models",
    "/chat/completions",
    "/mcp/",
    "/mcp-rest/tools/list",
    "/metrics",
    "/routes",
    "/config/yaml",
    "/health",
    "/get/internal_user_settings",
    "/sso/debug/login",
    "/uix",
    "/docsx",
    "/ui/../key/list",
    "/ui/%2e%2e/key/list",
    "//key/list",
)


@pytest.fixture(scope="module")
def have() -> dict[str, dict[str, str]]:
    return secrets(role(openshift=False))


@pytest.fixture(scope="module")
def route(have: dict[str, dict[str, str]]) -> dict[str, Any]:
    return one(role(have, openshift=False, edge="traefik"), "IngressRoute", "litellm")


@pytest.fixture(scope="module")
def people(stack: Stack, route: dict[str, Any]) -> Iterator[httpx.Client]:
    """Somebody who has nothing yet but LiteLLM's address."""
    with (
        Edge(route, stack.litellm_url) as edge,
        httpx.Client(base_url=edge.url, headers={"Host": HOST}, timeout=60, trust_env=False) as client,
    ):
        yield client


def shut(answer: httpx.Response) -> bool:
    return answer.headers.get("x-from") == "edge"


def test_who_signs_in_gets_into_the_ui_and_what_it_asks_for(people: httpx.Client, stack: Stack):
    page = people.get("/ui/")
    assert page.status_code == 200
    assets = re.findall(r'(?:src|href)="(/[^"]+\.(?:js|css))"', page.text)
    assert assets
    assert {people.get(asset).status_code for asset in assets[:5]} == {200}
    assert people.get("/litellm/.well-known/litellm-ui-config").status_code == 200
    # From here on as the page does: it signs in, finds the key of its session in the cookie, and sends it with all that it asks for.
    signed_in = people.post("/v2/login", json={"username": "admin", "password": stack.litellm_master_key})
    assert signed_in.status_code == 200, signed_in.text
    token = signed_in.cookies["token"].split(".")[1]
    session = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    headers = {session["auth_header_name"]: f"Bearer {session['key']}"}
    for path in ("/key/list", "/user/info", "/schedule/model_cost_map_reload/status"):
        assert not shut(people.get(path, headers=headers)), path
    assert people.get("/key/list", headers=headers).status_code == 200
    people.cookies.clear()


@pytest.mark.long
def test_a_real_browser_signs_in_and_nothing_that_it_asks_for_is_shut(route: dict[str, Any], stack: Stack):
    rules = json.loads(json.dumps(route).replace(HOST, "127.0.0.1"))  # where a browser finds it
    node = str(node_bin() / "node")
    packages = [str(npm_package("@sparticuz/chromium", "153.0.0")), str(npm_package("playwright-core", "1.65.1"))]
    with Edge(rules, stack.litellm_url) as edge:
        command = [node, str(ROOT / "tests/support/sign_in.mjs"), *packages, edge.url]
        environment = os.environ | {"PASSWORD": stack.litellm_master_key}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 0, done.stderr.replace(stack.litellm_master_key, "***")
        found = json.loads(done.stdout)
        assert found["led"].startswith(f"{edge.url}/ui")
    assert found["shut"] == []


@pytest.mark.parametrize(
    "path", ["/", "/redoc", "/openapi.json", "/ui", "/sso/key/generate", "/fallback/login", "/get_image", "/.well-known/litellm-ui-config"]
)
def test_the_way_in_and_the_documentation_are_public(people: httpx.Client, path: str):
    answer = people.get(path)
    assert (shut(answer), answer.status_code in (200, 303, 307)) == (False, True)


@pytest.mark.parametrize("path", SHUT)
def test_everything_else_is_shut_without_a_key(people: httpx.Client, path: str):
    connection = HTTPConnection(people.base_url.host, people.base_url.port, timeout=60)  # httpx would resolve the dots itself
    connection.request("GET", path, headers={"Host": HOST})
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("x-from")) == (404, "edge")
    connection.close()


@pytest.mark.parametrize(
    "headers", [{"Authorization": ""}, {"Authorization": "Bearer"}, {"Authorization": "Basic eA=="}, {"X-Litellm-Api-Key": ""}]
)
def test_an_empty_key_is_none(people: httpx.Client, headers: dict[str, str]):
    assert shut(people.get("/key/list", headers=headers))


def test_either_header_lets_a_key_pass_and_litellm_judges_it(people: httpx.Client, stack: Stack):
    for header in ("Authorization", "x-litellm-api-key"):
        assert people.get("/key/list", headers={header: f"Bearer {stack.litellm_master_key}"}).status_code == 200
        answer = people.get("/key/list", headers={header: "Bearer sk-nobody-knows"})
        assert (shut(answer), answer.status_code) == (False, 401)


def test_another_hosts_requests_are_not_taken(people: httpx.Client):
    assert shut(people.get("/ui/", headers={"Host": "other.example.com"}))


def test_the_guard_takes_the_place_of_litellms_ingress_and_holds_no_secret(have: dict[str, dict[str, str]]):
    guarded, open_ = (role(have, openshift=False, edge=edge) for edge in ("traefik", "open"))

    def routes(rendered) -> set[str]:
        return {f"{each['kind']}/{each['metadata']['name']}" for each in objects(rendered) if each["kind"] in ("Ingress", "IngressRoute")}

    assert routes(open_) - routes(guarded) == {"Ingress/litellm"}
    assert routes(guarded) - routes(open_) == {"IngressRoute/litellm"}
    values = {value for secret in have.values() for value in secret.values() if len(value) > 10}
    for each in objects(guarded) + objects(open_):
        assert [value for value in values if value in json.dumps(each)] == [], each["metadata"]["name"]


@pytest.mark.long
def test_a_cluster_gets_the_guard_once_and_gives_it_up_again(tmp_path: Path):
    with running("stand-in", openshift=False) as plain:
        deployer = Deployer(plain, plain.new_namespace(), tmp_path)
        given = {"edge": "traefik", "oauth_enabled": False, "cluster_domain": "apps.example.com"}
        path = f"/apis/traefik.io/v1alpha1/namespaces/{deployer.namespace}/ingressroutes/litellm"
        assert deployer.succeeds(**given) > 0
        assert plain.get(path)["spec"]["entryPoints"] == ["websecure"]
        assert deployer.get("ingresses/litellm") is None
        assert deployer.succeeds(**given) == 0
        assert deployer.succeeds(**given | {"edge": "open"}) > 0
        assert (plain.get(path), deployer.get("ingresses/litellm") is None) == (None, False)


def test_it_is_refused_where_it_cannot_work(have: dict[str, dict[str, str]]):
    for rendered, remedy in (
        (role(have, edge="traefik"), "ocp4_workload_litemaas_edge: traefik is for clusters without Routes. Or set it to open."),
        (
            role(have, openshift=False, edge="traefik", unserved=("IngressRoute",)),
            "ocp4_workload_litemaas_edge: the cluster has no IngressRoute of traefik.io: install Traefik 3 with its "
            "CustomResourceDefinitions. Or set it to open.",
        ),
    ):
        assert [said for said in refused(rendered, "check_cluster") if "_edge" in said] == [remedy]
    assert [said for said in refused(role(have, openshift=False, edge="traefik"), "check_cluster") if "_edge" in said] == []


def test_the_rules_reader_refuses_what_it_does_not_know():
    assert matches("!Host(`a`) && (Path(`/x`) || PathPrefix(`/y/`))", "b", "/y/z?q=1", {})
    for rule in ("Query(`a`, `b`)", "Host(`a`) & Path(`/`)"):
        with pytest.raises((KeyError, ValueError)):
            matches(rule, "a", "/", {})
