"""litellm_mcp_server against the real LiteLLM; the state is read from its database, grants by what a key then sees."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.rhpds.litemaas.plugins.module_utils.mcp_servers import server_id_of

from tests.integration.modules.conftest import LiteLLM, name
from tests.integration.roles.test_gateway import litellm as another_litellm
from tests.support.http_stand_in import HttpStandIn

ROOT = Path(__file__).parents[3]
MODULE = "litellm_mcp_server"
TABLE = '"LiteLLM_MCPServerTable"'


def rows(litellm: LiteLLM, server_name: str) -> list[dict[str, Any]]:
    return litellm.rows(f"select * from {TABLE} where server_name = %s order by created_at", server_name)


def listed(litellm: LiteLLM, server_name: str) -> list[dict[str, Any]]:
    return [server for server in litellm.http.get("/v1/mcp/server").json() if server["server_name"] == server_name]


@pytest.fixture
def server(litellm: LiteLLM) -> Iterator[str]:
    """A server's name; whatever has it, or begins with it, goes when the test ends."""
    server_name = f"s{uuid.uuid4().hex[:10]}"
    yield server_name
    for row in litellm.rows(f"select server_id from {TABLE} where server_name like %s", f"{server_name}%"):
        litellm.http.delete(f"/v1/mcp/server/{row['server_id']}")


def options(litellm: LiteLLM, server_name: str, **more: Any) -> dict[str, Any]:
    """Our own server, as it is registered."""
    headers = {"Authorization": f"Bearer {litellm.stack.mcp_token}"}
    return {"server_name": server_name, "server_url": litellm.stack.mcp_url, "static_headers": headers} | more


def test_create_again_change_absent_again(litellm: LiteLLM, server: str):
    costs = {"default_cost_per_query": "0.01", "tool_name_to_cost_per_query": {"list_models": 0.02}}
    wanted = options(
        litellm,
        server,
        alias=f"{server}a",
        description="LiteMaaS",
        extra_headers=["x-request-id"],
        allowed_tools=["list_models", "list_users"],
        mcp_access_groups=["lab"],
        mcp_info={"logo_url": "https://example.com/logo.png", "mcp_server_cost_info": costs},
    )
    predicted = litellm.run(MODULE, check=True, **wanted)
    assert rows(litellm, server) == []
    made = litellm.run(MODULE, **wanted)
    assert made.get("changed"), made
    assert predicted == made
    assert made["after"]["secrets_sent"] == ["static_headers.Authorization"]
    [row] = rows(litellm, server)
    assert row["server_id"] == made["server_id"] == made["after"]["server_id"]
    assert (row["alias"], row["transport"], row["description"]) == (f"{server}a", "http", "LiteMaaS")
    assert (row["extra_headers"], row["mcp_access_groups"], row["allow_all_keys"]) == (["x-request-id"], ["lab"], False)
    assert row["mcp_info"]["mcp_server_cost_info"] == {
        "default_cost_per_query": 0.01,
        "tool_name_to_cost_per_query": {"list_models": 0.02},
    }

    again = litellm.run(MODULE, **wanted)
    assert not again["changed"], again["diff"]
    assert rows(litellm, server) == [row]

    change = {"server_name": server, "description": "changed", "allowed_tools": [], "mcp_info": {"logo_url": None}}
    predicted = litellm.run(MODULE, check=True, **change)
    assert rows(litellm, server) == [row]
    changed = litellm.run(MODULE, **change)
    assert changed["changed"], changed
    assert predicted == changed
    [now] = rows(litellm, server)
    assert (now["description"], now["allowed_tools"]) == ("changed", [])
    assert set(now["mcp_info"]) == {"mcp_server_cost_info"}
    kept = ("server_id", "alias", "url", "transport", "extra_headers", "mcp_access_groups", "auth_type")
    assert {field: now[field] for field in kept} == {field: row[field] for field in kept}
    [seen] = listed(litellm, server)
    assert seen["static_headers"] == wanted["static_headers"]
    assert not litellm.run(MODULE, **change)["changed"]

    absent = {"server_name": server, "state": "absent"}
    assert litellm.run(MODULE, check=True, **absent)["changed"]
    assert len(rows(litellm, server)) == 1
    removed = litellm.run(MODULE, **absent)
    assert (removed["changed"], removed["after"], removed["grants_removed"]) == (True, None, [])
    assert rows(litellm, server) == []
    assert listed(litellm, server) == []
    assert not litellm.run(MODULE, **absent)["changed"]


def test_several_in_one_task_and_a_fault_in_one_names_it(litellm: LiteLLM, server: str):
    names = [f"{server}_{number}" for number in range(3)]
    wanted = [options(litellm, each) for each in names]
    predicted = litellm.run(MODULE, check=True, servers=wanted)
    assert listed(litellm, names[0]) == []
    made = litellm.run(MODULE, servers=wanted)
    assert [each["after"]["server_name"] for each in made["servers"]] == names
    assert predicted == made
    assert not litellm.run(MODULE, servers=wanted)["changed"]
    for wrong, says in (
        (
            [*wanted, {"server_name": "a-b", "server_url": "http://x/mcp"}],
            "servers, entry 4 (a-b): server_name: must be of letters, digits and _",
        ),
        ([*wanted, wanted[0]], f"servers: {names[0]} is there twice"),
    ):
        done = litellm.run(MODULE, servers=[{**each, "state": "absent"} for each in wrong])
        assert says in done["msg"]
        assert len(listed(litellm, names[0])) == 1  # nothing was begun
    late = [{"server_name": names[0], "state": "absent"}, {"server_name": f"{server}_new"}]
    done = litellm.run(MODULE, servers=late)
    assert f"servers, {server}_new: server_url: is needed" in done["msg"]
    assert (done["changed"], [each["server_id"] for each in done["servers"]]) == (True, [made["servers"][0]["server_id"]])
    gone = litellm.run(MODULE, servers=[{"server_name": each, "state": "absent"} for each in names])
    assert [each["changed"] for each in gone["servers"]] == [False, True, True]


def stored_credentials(litellm: LiteLLM, server_name: str) -> Any:
    [row] = rows(litellm, server_name)
    credentials = row["credentials"]
    return json.loads(credentials) if isinstance(credentials, str) else credentials


def test_credentials_are_sent_on_creation_and_then_only_when_asked(litellm: LiteLLM, server: str):
    wanted = {"server_name": server, "server_url": litellm.stack.mcp_url, "auth_type": "bearer_token"}
    made = litellm.run(MODULE, **wanted, authentication_token=litellm.stack.mcp_token)
    assert made["after"]["secrets_sent"] == ["credentials.auth_value"]
    assert litellm.stack.mcp_token not in json.dumps(made)
    first = stored_credentials(litellm, server)
    assert litellm.stack.mcp_token not in json.dumps(first)
    assert litellm.run("litellm_mcp_tool_info", servers=[server])["tools"]  # LiteLLM got in

    again = litellm.run(MODULE, **wanted, authentication_token="wrong-token-1")
    assert not again["changed"]
    assert stored_credentials(litellm, server) == first

    wrong = wanted | {"credentials": {"auth_value": "wrong-token-1"}, "update_secret": "always"}
    predicted = litellm.run(MODULE, check=True, **wrong)
    assert stored_credentials(litellm, server) == first
    done = litellm.run(MODULE, **wrong)
    assert (done["changed"], predicted) == (True, done)
    assert stored_credentials(litellm, server) != first
    assert litellm.run("litellm_mcp_tool_info", servers=[server]).get("tools") == []
    assert litellm.run(MODULE, **wrong)["changed"]  # LiteLLM can't be asked

    changed = litellm.run(MODULE, **wanted | {"auth_type": "api_key"}, authentication_token="wrong-token-2")
    assert changed["after"]["secrets_sent"] == ["credentials.auth_value"]


def test_headers_are_compared_and_not_shown(litellm: LiteLLM, server: str):
    headers = {"Authorization": "Bearer hunter2-first", "X-Mode": "1"}
    litellm.run(MODULE, **options(litellm, server, static_headers=headers))
    done = litellm.run(MODULE, server_name=server, static_headers={"Authorization": "Bearer hunter2-second", "X-Mode": None})
    assert (done["changed"], done["after"]["secrets_sent"]) == (True, ["static_headers.Authorization"])
    assert done["before"]["static_headers"] == {"Authorization": "***", "X-Mode": "***"}
    assert done["after"]["static_headers"] == {"Authorization": "***"}
    [seen] = listed(litellm, server)
    assert seen["static_headers"] == {"Authorization": "Bearer hunter2-second"}
    url = f"{litellm.stack.mcp_url}?token=hunter2-in-url"
    moved = litellm.run(MODULE, server_name=server, server_url=url)
    assert moved["after"]["server_url"] == "***"
    assert not litellm.run(MODULE, server_name=server, server_url=url)["changed"]
    info = litellm.run("litellm_mcp_server_info", server_name=server)
    assert info["mcp_servers"][0]["server_url"] == "***"
    assert "hunter2" not in json.dumps([done, moved, info])


def test_what_is_no_secret_is_not_blanked_out_of_results(litellm: LiteLLM, server: str):
    credentials = {"client_id": "c-hunter2", "client_secret": "s-hunter2", "scopes": ["repo", "list"], "aws_region_name": "us-east-1"}
    texts = {"description": "repositories in us-east-1, s-hunter2", "allowed_tools": ["search_repositories", "list_models"]}
    wanted = options(litellm, server, auth_type="oauth2", credentials=credentials, token_url="http://127.0.0.1:1/token", **texts)
    made = litellm.run(MODULE, **wanted)
    assert made["after"]["allowed_tools"] == texts["allowed_tools"], made
    assert made["after"]["description"] == "repositories in us-east-1, ********"
    several = litellm.run(MODULE, servers=[wanted])
    assert several["servers"][0]["after"]["allowed_tools"] == texts["allowed_tools"], several
    assert "hunter2" not in json.dumps([made, several])


def test_ansible_shows_no_secret_at_the_highest_verbosity(litellm: LiteLLM, server: str):
    secret = {
        "static_headers": {"Authorization": "Bearer hunter2-header"},
        "auth_type": "bearer_token",
        "credentials": {"auth_value": "hunter2-credential"},
        "server_url": f"{litellm.stack.mcp_url}?token=hunter2-url",
    }
    servers = [{"server_name": server, "description": "public", **secret}]
    shown = "".join(litellm.shown_by_ansible(MODULE, *more, servers=servers) for more in (["--check"], []))
    assert '"description": "public"' in shown
    assert "hunter2" not in shown
    assert litellm.stack.litellm_master_key not in shown
    assert len(rows(litellm, server)) == 1


AUTH_TYPES = {
    "none": {},
    "api_key": {"auth_value": "x-secret-x"},
    "bearer_token": {"auth_value": "x-secret-x"},
    "basic": {"auth_value": "x-secret-x"},
    "authorization": {"auth_value": "x-secret-x"},
    "oauth2": {"client_id": "c", "client_secret": "x-secret-x", "scopes": ["read"]},
    "token": {"auth_value": "x-secret-x"},
    "oauth2_token_exchange": {"client_id": "c", "client_secret": "x-secret-x"},
    "oauth2_id_jag": {"client_id": "c", "client_secret": "x-secret-x", "id_jag_resource_token_endpoint": "http://127.0.0.1:1/token"},
    "aws_sigv4": {"aws_access_key_id": "a", "aws_secret_access_key": "x-secret-x", "aws_region_name": "us-east-1"},
    "true_passthrough": {},
    "oauth_delegate": {},
}
NEW = list(AUTH_TYPES)[6:]  # since 1.81
PLACES = {"oauth2": {"token_url": "http://127.0.0.1:1/token"}, "oauth2_token_exchange": {"token_exchange_endpoint": "http://127.0.0.1:1/t"}}


@pytest.mark.parametrize("auth_type", AUTH_TYPES)
def test_every_way_to_sign_in_is_kept(litellm: LiteLLM, server: str, auth_type: str):
    wanted = options(litellm, server, auth_type=auth_type, credentials=AUTH_TYPES[auth_type], **PLACES.get(auth_type, {}))
    made = litellm.run(MODULE, **wanted)
    if litellm.old and auth_type in NEW:
        assert made["failed"]
        assert "auth_type" in made["msg"]
        assert rows(litellm, server) == []
        return
    assert made.get("changed"), made
    [row] = rows(litellm, server)
    assert row["auth_type"] == (None if auth_type == "none" else auth_type)
    assert set(AUTH_TYPES[auth_type]) <= set(stored_credentials(litellm, server) or {})
    again = litellm.run(MODULE, **wanted)
    assert not again["changed"], again["diff"]


def test_what_oauth_needs_outlives_a_move(litellm: LiteLLM, server: str):
    """LiteLLM 1.106 forgets it when the server's address or the issuer changes."""
    places = {"token_url": "http://127.0.0.1:1/token", "registration_url": "http://127.0.0.1:1/register"}
    newer = {} if litellm.old else {"issuer": "http://127.0.0.1:1", "oauth2_flow": "client_credentials", "audience": "lab"}
    client = {"client_id": "c-hunter2", "client_secret": "s-hunter2", "scopes": ["read"]}
    wanted = options(litellm, server, auth_type="oauth2", credentials=client, **places, **newer)
    assert litellm.run(MODULE, **wanted).get("changed")
    moves = [{"server_url": f"{litellm.stack.mcp_url}?a=1"}, {"server_url": litellm.stack.mcp_url, "token_url": "http://127.0.0.1:1/t2"}]
    moves += [] if litellm.old else [{"issuer": "http://127.0.0.1:2"}]
    for move in moves:
        wanted |= move
        predicted = litellm.run(MODULE, check=True, **wanted)
        moved = litellm.run(MODULE, **wanted)
        assert moved.get("changed"), moved
        assert predicted == moved
        assert moved["after"]["secrets_sent"] == ["credentials.client_id", "credentials.client_secret", "credentials.scopes"]
        assert set(client) <= set(stored_credentials(litellm, server))
        [row] = rows(litellm, server)
        kept = ("token_url", "registration_url", *newer)
        assert {field: row[field] for field in kept} == {field: wanted[field] for field in kept}
        assert not litellm.run(MODULE, **wanted)["changed"]
    if not litellm.old:  # what the task does not give is gone, as check mode says
        bare = {"server_name": server, "server_url": f"{litellm.stack.mcp_url}?a=2"}
        predicted = litellm.run(MODULE, check=True, **bare)
        assert litellm.run(MODULE, **bare) == predicted
        assert (predicted["before"]["token_url"], predicted["after"]["token_url"]) == (wanted["token_url"], None)


def test_a_field_that_1_81_does_not_have_is_refused_there(litellm: LiteLLM, server: str):
    wanted = options(litellm, server, auth_type="oauth2", oauth2_flow="authorization_code", audience="lab")
    made = litellm.run(MODULE, **wanted, credentials={"client_id": "c", "client_secret": "x-secret-x"})
    if litellm.old:
        assert "LiteLLM 1.81.0 did not take oauth2_flow = authorization_code: it is None." in made["msg"]
        assert "The MCP server was not kept." in made["msg"]
        assert rows(litellm, server) == []
    else:
        assert rows(litellm, server)[0]["audience"] == made["after"]["audience"] == "lab"
        cleared = litellm.run(MODULE, server_name=server, audience="")
        assert (cleared["changed"], rows(litellm, server)[0]["audience"]) == (True, None)


@pytest.mark.parametrize("transport", ["sse", "stdio"])
def test_the_other_transports(litellm: LiteLLM, server: str, transport: str):
    program = {"command": "npx", "args": ["-y", "postgres://bob:hunter2@db/x"], "env": {"LEVEL": "1", "TOKEN": "hunter2-env"}}
    wanted = {"server_name": server, "transport": transport, **(program if transport == "stdio" else {"server_url": litellm.stack.mcp_url})}
    made = litellm.run(MODULE, **wanted)
    assert "hunter2" not in json.dumps(made)
    if transport == "stdio" and not litellm.old:
        assert "LITELLM_ENABLE_MCP_STDIO" in made["msg"]
        assert rows(litellm, server) == []
        return
    assert made["after"]["transport"] == transport
    again = litellm.run(MODULE, **wanted)
    assert not again["changed"], again["diff"]
    changed = litellm.run(MODULE, server_name=server, description="x")  # 1.81 would set the rest back
    assert changed["changed"], changed
    [row] = rows(litellm, server)
    assert (row["transport"], row["args"]) == (transport, wanted.get("args", []))
    assert not litellm.run(MODULE, **wanted)["changed"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"server_name": "my-server"}, "server_name: must be of letters, digits and _, such as my_server. It is 'my-server'."),
        ({"alias": "a b"}, "alias: must be of letters, digits and _, such as a_b"),
        ({"server_url": ...}, "server_url: is needed for a server whose transport is http"),
        ({"transport": "stdio"}, "command: is needed for a server whose transport is stdio"),
        ({"server_name": ..., "server_id": "no-such-id"}, "server_name: is needed, since LiteLLM has no MCP server with the id no-such-id"),
        ({"server_id": " "}, "server_id: must not be empty"),
        ({"mcp_info": {"description": "x"}}, "mcp_info: description is filled in by LiteLLM: leave it out"),
        ({"mcp_info": {"mcp_server_cost_info": {"default_cost_per_query": "free"}}}, "must be a number of US dollars, 0 or more"),
        ({"static_headers": {"X-A": True}}, "static_headers: X-A must be a text: put it in quotes"),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_bad_input_is_named_and_makes_nothing(litellm: LiteLLM, server: str, wrong: dict[str, Any], says: str, check: bool):
    done = litellm.run(MODULE, check=check, **options(litellm, server) | wrong)
    assert done["failed"]
    assert says in done["msg"]
    assert rows(litellm, server) == []


def test_a_name_that_another_has_is_refused_and_a_server_of_others_is_managed(litellm: LiteLLM, server: str):
    body = {"server_id": f"{server}-ui", "server_name": server, "url": litellm.stack.mcp_url, "transport": "http", "description": "first"}
    litellm.post("/v1/mcp/server", **body, mcp_info={"server_name": server, "description": "first", "logo_url": "x"})  # as its pages do
    done = litellm.run(MODULE, server_name=server, description="second")
    assert (done.get("changed"), done["server_id"]) == (True, f"{server}-ui"), done
    [row] = rows(litellm, server)
    assert (row["description"], row["mcp_info"]) == ("second", {"logo_url": "x"})
    for field in ("server_name", "alias"):
        other = options(litellm, f"{server}_b") | {field: server.upper()}
        refused = litellm.run(MODULE, check=True, **other)
        assert f"{field}: {server.upper()} is a name or alias of {server}-ui (database) already" in refused["msg"]
    renamed = litellm.run(MODULE, server_id=f"{server}-ui", server_name=f"{server}_c", alias=f"{server}_c")
    assert renamed["after"]["alias"] == f"{server}_c"
    assert rows(litellm, server) == []


def test_an_id_means_its_own_server_and_none_that_has_the_name(litellm: LiteLLM, server: str):
    body = {"server_id": f"{server}-ui", "server_name": server, "url": litellm.stack.mcp_url, "transport": "http"}
    litellm.post("/v1/mcp/server", **body)
    [row] = rows(litellm, server)
    own = {"server_id": server_id_of(server)}
    refused = litellm.run(MODULE, **options(litellm, server), **own)
    assert f"server_name: {server} is a name or alias of {server}-ui (database) already" in refused["msg"]
    assert not litellm.run(MODULE, server_name=server, **own, state="absent")["changed"]
    assert rows(litellm, server) == [row]


@pytest.mark.parametrize("check", [True, False])
def test_a_server_takes_the_alias_of_one_that_an_earlier_entry_removes(litellm: LiteLLM, server: str, check: bool):
    old, new = f"{server}_1", f"{server}_2"
    litellm.run(MODULE, **options(litellm, old, alias=server))
    done = litellm.run(MODULE, check=check, servers=[{"server_name": old, "state": "absent"}, options(litellm, new, alias=server)])
    assert [each["changed"] for each in done.get("servers", [])] == [True, True], done
    assert (rows(litellm, old) == [], rows(litellm, new) == []) == ((False, True) if check else (True, False))


@pytest.mark.parametrize("check", [True, False])
def test_a_key_that_sees_servers_cut_down_is_refused(litellm: LiteLLM, server: str, check: bool):
    litellm.run(MODULE, **options(litellm, server))
    [row] = rows(litellm, server)

    def key(role: str, **fields: Any) -> str:
        made = litellm.post("/key/generate", user_id=litellm.user(user_role=role), **fields)["key"]
        litellm.later("/key/delete", keys=[made])
        return made

    refused = {key("internal_user"): "api_key: LiteLLM lets only an administrator do this"}
    if not litellm.old:
        blind = "api_key: LiteLLM shows this key no addresses of MCP servers"
        refused[key("proxy_admin_viewer")] = refused[key("proxy_admin", allowed_routes=["/v1/mcp/server", "/health/history"])] = blind
    for api_key, says in refused.items():
        for wanted in (options(litellm, server), options(litellm, f"{server}_new"), {"server_name": server, "state": "absent"}):
            done = litellm.run(MODULE, check=check, api_key=api_key, **wanted)
            assert says in done["msg"]
    assert rows(litellm, server) == [row]
    assert rows(litellm, f"{server}_new") == []
    assert not litellm.run(MODULE, api_key=key("proxy_admin"), **options(litellm, server))["changed"]


def test_a_header_that_holds_litellms_key_is_refused_or_warned_of(litellm: LiteLLM, server: str):
    done = litellm.run(MODULE, **options(litellm, server, extra_headers=["x-request-id", "X-LiteLLM-API-Key"]))
    assert done["msg"] == "extra_headers: X-LiteLLM-API-Key is the caller's LiteLLM key, which no server may get. Leave it out."
    assert rows(litellm, server) == []
    assert "warnings" not in litellm.run(MODULE, check=True, **options(litellm, server, extra_headers=["x-request-id"]))
    done = litellm.run(MODULE, servers=[options(litellm, server, extra_headers=["Authorization"])])
    assert f"{server}: extra_headers pass on Authorization, which is the caller's LiteLLM key unless" in str(done["warnings"])


NOTHING = "no-mcp-servers"


def permission(litellm: LiteLLM, table: str, column: str, value: str) -> dict[str, Any]:
    query = f'select p.* from "LiteLLM_ObjectPermissionTable" p join "{table}" t using (object_permission_id) where t.{column} = %s'
    [row] = litellm.rows(query, value)
    return row


def test_a_removed_server_is_taken_from_keys_and_teams(litellm: LiteLLM, server: str):
    first, second = f"{server}_1", f"{server}_2"
    made = litellm.run(MODULE, servers=[options(litellm, first, mcp_access_groups=[server]), options(litellm, second)])
    one, two = (each["server_id"] for each in made["servers"])
    team = litellm.run("litellm_team", team_alias=name("team"), object_permission={"mcp_servers": [one, two]})["after"]["team_id"]
    litellm.later("/team/delete", team_ids=[team])

    def key(**fields: Any) -> dict[str, Any]:
        done = litellm.run("litellm_key", key_alias=name("key"), **fields)
        assert done.get("changed"), done
        litellm.later("/key/delete", keys=[done["key"]])
        return done

    both = key(object_permission={"mcp_servers": [one, two], "mcp_tool_permissions": {one: ["list_models"], two: ["list_users"]}})
    bound = key(team_id=team, object_permission={"mcp_servers": [one]})
    alone = key(object_permission={"mcp_servers": [one]})
    group = key(object_permission={"mcp_access_groups": [server]})

    def tools(of: dict[str, Any]) -> set[str]:
        return {tool["name"] for tool in litellm.run("litellm_mcp_tool_info", api_key=of["key"])["tools"]}

    assert tools(both) == {f"{first}-list_models", f"{second}-list_users"}
    assert tools(bound) == tools(alone) == tools(group)
    assert f"{first}-list_models" in tools(group)
    assert not any(each.startswith(second) for each in tools(group))

    absent = {"server_name": first, "state": "absent"}
    predicted = litellm.run(MODULE, check=True, **absent)
    assert f"{first}-list_models" in tools(both)
    removed = litellm.run(MODULE, **absent)
    assert predicted == removed
    ids = {each["id"] for each in removed["grants_removed"]}
    assert ids == {team, *(hashed(of) for of in (both, bound, alone))}

    def of_key(of: dict[str, Any]) -> dict[str, Any]:
        return permission(litellm, "LiteLLM_VerificationToken", "token", hashed(of))

    assert of_key(both)["mcp_servers"] == [two]
    assert of_key(both)["mcp_tool_permissions"] == {two: ["list_users"]}
    assert of_key(alone)["mcp_servers"] == []
    assert of_key(bound)["mcp_servers"] == [NOTHING]  # an empty list would be all that the team may use
    assert permission(litellm, "LiteLLM_TeamTable", "team_id", team)["mcp_servers"] == [two]
    assert not litellm.run(MODULE, **absent)["changed"]

    litellm.run(MODULE, **options(litellm, first))  # another of the same name and id is not theirs
    deadline = time.monotonic() + (90 if litellm.old else 0)  # 1.81 remembers for a minute what a key may use
    while tools(bound) | tools(alone) and time.monotonic() < deadline:
        time.sleep(2)
    assert tools(bound) == tools(alone) == set()
    assert tools(both) == {f"{second}-list_users"}

    # A server that somebody removed without the module leaves its grants, which a run finds all the same.
    litellm.http.delete(f"/v1/mcp/server/{two}").raise_for_status()
    late = litellm.run(MODULE, server_name=second, state="absent")
    assert {each["id"] for each in late["grants_removed"]} == {team, hashed(both)}
    assert permission(litellm, "LiteLLM_TeamTable", "team_id", team)["mcp_servers"] == [NOTHING]


def hashed(of: dict[str, Any]) -> str:
    return hashlib.sha256(of["key"].encode()).hexdigest()


CONFIG = """
model_list: []
general_settings: {{store_model_in_db: true}}
mcp_servers:
  {name}_plain: {{url: "{url}", static_headers: {{Authorization: "Bearer {token}"}}}}
  {name}_full: {{url: "{url}", alias: {name}_al, transport: http, auth_type: bearer_token, auth_value: "{token}"}}
"""


@pytest.mark.long
def test_a_server_of_the_configuration_file_is_seen_and_not_changed(litellm: LiteLLM, server: str, tmp_path: Path):
    config = CONFIG.format(name=server, url=litellm.stack.mcp_url, token=litellm.stack.mcp_token)
    keys = {"LITELLM_MASTER_KEY": litellm.stack.litellm_master_key, "LITELLM_SALT_KEY": "of-this-test"}
    with another_litellm(litellm.stack, tmp_path, config, **keys) as http:
        connection = {"url": str(http.base_url)}
        info = litellm.run("litellm_mcp_server_info", **connection)
        mine = {each["server_name"]: each for each in info["mcp_servers"] if each["server_name"].startswith(server)}
        assert {each: one["stored"] for each, one in mine.items()} == {f"{server}_plain": False, f"{server}_full": False}
        assert mine[f"{server}_full"]["alias"] == f"{server}_al"
        for each in mine:
            assert not litellm.run(MODULE, **connection, server_name=each, server_url=litellm.stack.mcp_url)["changed"]
            for change in ({"description": "x"}, {"state": "absent"}, {"authentication_token": "x", "update_secret": "always"}):
                done = litellm.run(MODULE, **connection, check=True, server_name=each, **change)
                assert f"{each} comes from LiteLLM's configuration file (mcp_servers)" in done["msg"]
            own = server_id_of(each)
            assert not litellm.run(MODULE, **connection, server_name=each, server_id=own, state="absent")["changed"]
        made = litellm.run(MODULE, **connection, **options(litellm, f"{server}_db"))
        assert litellm.run("litellm_mcp_server_info", **connection, server_id=made["server_id"])["mcp_servers"][0]["stored"]


def test_a_process_that_learns_late_is_waited_for(litellm: LiteLLM):
    """One LiteLLM process learns at once, so two are played."""
    entry = listed_as(server_id="late", server_name="late", url="http://x/mcp")
    reads = [[], [], [], [entry]]

    def answer(asked: Any) -> tuple[int, Any]:
        if asked.path.startswith("/health/history"):
            return 200, {}
        return (200, reads.pop(0)) if asked.method == "GET" else (201, entry)

    with HttpStandIn(answer) as stand_in:
        done = litellm.run(MODULE, url=stand_in.url, server_name="late", server_id="late", server_url="http://x/mcp")
        assert done["after"]["server_url"] == "http://x/mcp", done
        assert [asked.method for asked in stand_in.asked] == ["GET", "GET", "POST", "GET", "GET", "GET"]


def listed_as(**fields: Any) -> dict[str, Any]:
    """A server as LiteLLM 1.81 lists it."""
    lists = {"mcp_access_groups": [], "allowed_tools": [], "extra_headers": [], "args": [], "env": {}}
    texts = dict.fromkeys(("alias", "description", "auth_type", "mcp_info", "static_headers", "command"))
    return {"transport": "http", "allow_all_keys": False, **lists, **texts, **fields}
