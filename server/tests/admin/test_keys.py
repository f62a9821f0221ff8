"""The five tools of virtual keys, and what becomes of LiteLLM's rows."""

from __future__ import annotations

from datetime import datetime, timedelta

import httpx
import pytest


@pytest.fixture
def row(owner):
    """LiteLLM's row of a key."""

    def row(token: str, *columns: str):
        names = ", ".join(f'"{column}"' for column in columns or ("token",))
        return owner.execute(f'select {names} from "LiteLLM_VerificationToken" where token = %s', (token,)).fetchone()

    return row


def test_a_generated_key_is_shown_once_marked_and_works(admin, stack, new_user, row, name):
    user = new_user()["user_id"]
    made = admin.data(
        "litellm_key_generate", key_alias=name, user_id=user, models=[], max_budget=3, budget_duration="monthly", duration="2w"
    )
    try:
        assert made["key"].startswith("sk-")
        assert "only time" in made["notice"]
        assert row(made["token"], "key_alias", "user_id", "max_budget", "budget_duration") == (name, user, 3, "30d")
        (expires,) = row(made["token"], "expires")
        assert timedelta(days=13, hours=23) < expires - datetime.utcnow() < timedelta(days=14, hours=1)
        headers = {"Authorization": f"Bearer {made['key']}"}
        answer = httpx.get(f"{stack.litellm_url}/key/info", headers=headers, trust_env=False)
        assert answer.json()["info"]["key_alias"] == name
        for tool, arguments in (
            ("litellm_key_info", {"key": name}),
            ("litellm_key_info", {"key": made["token"]}),
            ("litellm_key_list", {"key_alias": name}),
            ("litellm_key_update", {"key": name, "max_budget": 4}),
            ("litellm_user_info", {"user_id": user}),
            ("litellm_key_delete", {"keys": [name], "dry_run": True}),
        ):
            assert made["key"] not in str(admin.call(tool, **arguments)), tool
    finally:
        admin.data("litellm_key_delete", keys=[made["token"]])


def test_a_key_named_by_its_value_is_found_and_the_value_goes_no_further(start, relay, stack, new_key):
    from .conftest import Caller

    key = new_key()
    server = start(LITELLM_BASE_URL=relay.url)
    with Caller(server.url, stack.litellm_master_key) as admin:
        result = admin.call("litellm_key_info", key=key["key"])
        assert result["structuredContent"]["data"]["key"] == key["token"]
        error = admin.error("litellm_key_info", key="sk-no-such-key-0123456789")
    assert error["status"] == 404
    for said in (*(asked.path for asked in relay.asked), str(result), str(error), server.output):
        assert key["key"] not in said
        assert "no-such-key" not in said


def test_an_alias_that_exists_is_refused_in_litellms_words(admin, new_key):
    error = admin.error("litellm_key_generate", key_alias=new_key()["key_alias"])
    assert error["status"] == 400
    assert "alias" in error["message"]
    assert error["detail"]["error"]["param"] == "key_alias"


@pytest.mark.parametrize("owner_field", ["user_id", "team_id"])
def test_a_key_of_nobody_is_not_made(admin, name, owner, owner_field):
    error = admin.error("litellm_key_generate", key_alias=name, **{owner_field: "nobody-at-all"})
    assert error["status"] == 404
    assert error["message"].startswith(f"{owner_field}: there is no ")
    assert owner.execute('select count(*) from "LiteLLM_VerificationToken" where key_alias = %s', (name,)).fetchone() == (0,)


def test_a_key_of_a_team_is_made_and_listed_by_team(admin, litellm, name, new_key):
    team = litellm.post("/team/new", json={"team_alias": name}).json()["team_id"]
    try:
        made = admin.data("litellm_key_generate", key_alias=name, team_id=team)
        assert [key["token"] for key in admin.data("litellm_key_list", team_id=team)["keys"]] == [made["token"]]
        admin.data("litellm_key_delete", keys=[name])
    finally:
        litellm.post("/team/delete", json={"team_ids": [team]})


def test_keys_are_listed_a_page_at_a_time_and_never_in_plain(admin, new_user, new_key):
    user = new_user()["user_id"]
    keys = [new_key(user_id=user) for _ in range(3)]
    seen, cursor = [], {}
    while True:
        page = admin.data("litellm_key_list", user_id=user, size=2, **cursor)
        assert page["total"] == 3
        seen += page["keys"]
        if not page["truncated"]:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert {key["token"] for key in seen} == {key["token"] for key in keys}
    assert not [key for key in keys if key["key"] in str(seen)]
    assert all(key["key_name"].startswith("sk-...") for key in seen)
    # What the list says of owners is not the key's own.
    assert not {field for key in seen for field in key if field.startswith(("team_", "user_"))} - {"user_id", "team_id"}


def test_filters_of_keys_narrow_the_list(admin, new_key, old):
    key = new_key()
    for filters in {"key_hash": key["token"]}, {"key_alias": key["key_alias"]}:
        assert [each["token"] for each in admin.data("litellm_key_list", **filters)["keys"]] == [key["token"]]
    part = key["key_alias"][:-1]
    assert admin.data("litellm_key_list", key_alias=part)["keys"] == []
    if old:
        assert admin.error("litellm_key_list", key_alias=part, substring_matching=True)["message"].startswith("substring_matching: ")
        assert admin.error("litellm_key_list", status="active")["status"] == 400
    else:
        assert [each["token"] for each in admin.data("litellm_key_list", search=part)["keys"]] == [key["token"]]
        assert admin.data("litellm_key_list", key_alias=key["key_alias"], expires="expired")["keys"] == []
        assert admin.data("litellm_key_list", key_alias=key["key_alias"], status="active")["total"] == 1


def test_a_cursor_of_another_tool_is_refused(admin):
    cursor = admin.data("litellm_user_list", page_size=1)["next_cursor"]
    assert admin.error("litellm_key_list", cursor=cursor)["message"].startswith("cursor: ")


def test_a_change_shows_before_and_after_and_leaves_the_rest(admin, new_key, row):
    key = new_key(max_budget=5, rpm_limit=9, duration="30d")
    changed = admin.data("litellm_key_update", key=key["key_alias"], max_budget=7, blocked=True, clear=["rpm_limit"])
    assert changed["key"] == key["token"]
    assert changed["before"] == {"max_budget": 5, "blocked": None, "rpm_limit": 9}
    assert row(key["token"], "max_budget", "blocked", "rpm_limit") == (7, True, None)
    assert row(key["token"], "expires")[0]
    changed = admin.data("litellm_key_update", key=key["token"], clear=["duration"])
    assert changed["before"]["expires"]
    assert row(key["token"], "expires") == (None,)


def test_a_change_to_what_is_so_already_writes_nothing(admin, new_key, row):
    key = new_key(max_budget=5, budget_duration="7d")
    written = row(key["token"], "updated_at", "budget_reset_at")
    assert admin.data("litellm_key_update", key=key["token"], max_budget=5, budget_duration="weekly")["before"] == {}
    assert row(key["token"], "updated_at", "budget_reset_at") == written


@pytest.mark.parametrize("unknown", ["nobody-at-all", "0" * 64])
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [("litellm_key_info", {}), ("litellm_key_update", {"max_budget": 1}), ("litellm_key_delete", {})],
)
def test_an_unknown_key_is_404(admin, tool, arguments, unknown):
    named = {"keys": [unknown]} if tool == "litellm_key_delete" else {"key": unknown}
    error = admin.error(tool, **named, **arguments)
    assert error["status"] == 404
    assert unknown in error["message"]


def test_a_deleted_key_is_gone(admin, new_key):
    key = new_key()
    admin.data("litellm_key_delete", keys=[key["token"]])
    for name in key["token"], key["key_alias"]:
        assert admin.error("litellm_key_info", key=name)["status"] == 404


def test_a_deletion_names_the_keys_and_a_dry_run_deletes_none(admin, new_user, new_key, row):
    user = new_user()["user_id"]
    key, other = new_key(user_id=user), new_key(user_id=user)
    expected = {"token": key["token"], "key_alias": key["key_alias"], "user_id": user, "team_id": None, "spend": 0}
    assert admin.data("litellm_key_delete", keys=[key["key_alias"]], dry_run=True) == {"dry_run": True, "keys": [expected]}
    assert admin.error("litellm_key_delete", keys=[key["token"], "nobody-at-all"])["status"] == 404
    assert row(key["token"])
    assert admin.data("litellm_key_delete", keys=[key["token"], key["key_alias"]]) == {"dry_run": False, "keys": [expected]}
    assert row(key["token"]) is None
    assert row(other["token"])


@pytest.mark.parametrize("sort_by", ["created_at", "updated_at", "spend", "max_budget", "key_alias", "token"])
@pytest.mark.parametrize("sort_order", ["asc", "desc"])
def test_keys_are_sorted_by_everything_that_is_offered(admin, sort_by, sort_order, litellm):
    rows = admin.data("litellm_key_list", sort_by=sort_by, sort_order=sort_order, size=5)["keys"]
    asked = {"sort_by": sort_by, "sort_order": sort_order, "size": 5}
    assert [row["token"] for row in rows] == litellm.get("/key/list", params=asked).json()["keys"]


def test_only_what_litellm_can_sort_by_is_offered(admin):
    (tool,) = [tool for tool in admin.result("tools/list")["tools"] if tool["name"] == "litellm_key_list"]
    offered = tool["inputSchema"]["properties"]["sort_by"]["enum"]
    assert sorted(offered) == sorted(["created_at", "updated_at", "spend", "max_budget", "key_alias", "token"])


def test_an_admin_of_a_team_manages_the_keys_that_belong_to_the_team_alone(admin, litellm, new_user, new_key, name, row):
    user = new_user(user_role="internal_user")["user_id"]
    members = [{"role": "admin", "user_id": user}]
    team = litellm.post("/team/new", json={"team_alias": name, "members_with_roles": members}).json()["team_id"]
    try:
        own, service = new_key(user_id=user), new_key(team_id=team)
        admin.headers = {"Authorization": f"Bearer {own['key']}"}
        for named in service["token"], service["key_alias"]:
            assert admin.data("litellm_key_info", key=named)["key"] == service["token"]
        admin.data("litellm_key_update", key=service["key_alias"], rpm_limit=7)
        assert row(service["token"], "rpm_limit") == (7,)
        admin.data("litellm_key_delete", keys=[service["token"]])
        assert row(service["token"]) is None
    finally:
        litellm.post("/team/delete", json={"team_ids": [team]})


def test_a_key_of_nobody_may_look_at_itself(admin, new_key):
    key = new_key()
    admin.headers = {"Authorization": f"Bearer {key['key']}"}
    assert admin.data("litellm_key_info", key=key["token"])["info"]["key_alias"] == key["key_alias"]


def test_an_alias_of_two_keys_is_refused_with_both_hashes(admin, new_key, owner, row):
    key, other = new_key(), new_key()
    owner.execute('update "LiteLLM_VerificationToken" set key_alias = %s where token = %s', (key["key_alias"], other["token"]))
    for tool, named in ("litellm_key_info", {"key": key["key_alias"]}), ("litellm_key_delete", {"keys": [key["key_alias"]]}):
        error = admin.error(tool, **named)
        assert error["status"] == 409
        assert key["token"] in error["message"]
        assert other["token"] in error["message"]
    assert row(key["token"])
    assert row(other["token"])


def test_metadata_that_litellm_encrypts_are_a_change_that_was_kept(admin, new_key):
    callback = {"callback_name": "langfuse", "callback_type": "success", "callback_vars": {"langfuse_secret_key": "canary"}}
    changed = admin.data("litellm_key_update", key=new_key()["token"], metadata={"logging": [callback], "note": "mine"})
    assert changed["info"]["metadata"]["note"] == "mine"


def test_what_a_change_must_keep():
    from litemaas_mcp.errors import Failure
    from litemaas_mcp.tools.admin import check_kept

    check_kept({"spend": 0.25}, {"spend": 0})  # the key is in use
    check_kept({"metadata": {"a": ["litellm_enc::x"]}}, {"metadata": {"a": ["b"]}})
    for stored in {"a": ["c"]}, {"a": []}, {}, {"a": ["b"], "more": 1}:
        with pytest.raises(Failure, match="metadata is "):
            check_kept({"metadata": stored}, {"metadata": {"a": ["b"]}})


def test_a_key_in_the_name_of_a_field_is_not_shown_and_what_litellm_shows_of_keys_is(admin, new_key):
    secret = "sk-canary-in-a-name-0123456789"
    key = new_key(metadata={secret: 1, "short": "sk-1234", "key_name": secret})
    info = admin.data("litellm_key_info", key=key["token"])["info"]
    assert info["key_name"] == f"sk-...{key['key'][-4:]}"
    assert info["metadata"] == {"***": 1, "short": "***", "key_name": "***"}
