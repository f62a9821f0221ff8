"""Each filter of the three lists beside the same question put to LiteLLM directly."""

from __future__ import annotations

import uuid

import pytest

NEWER = "this LiteLLM would ignore it, since only versions after 1.81 have it"


@pytest.fixture
def ask(admin, litellm, old):
    """Asks both ways, and returns what both answer: the rows' ids. In 1.81 a newer filter must be refused instead: no rows."""
    lists = {
        "litellm_user_list": ("/user/list", "users", "user_id", "total", "page_size"),
        "litellm_key_list": ("/key/list", "keys", "token", "total_count", "size"),
        "litellm_usage_spend_logs": ("/spend/logs/v2", "data", "request_id", "total", "page_size"),
    }

    def ask(tool: str, newer: bool, **filters) -> list[str] | None:
        path, rows, identity, total, size = lists[tool]
        if newer and old:
            assert NEWER in admin.error(tool, **filters)["message"]
            return None
        # 1.81 can't sort its logs.
        order = {} if path == "/spend/logs/v2" else {"sort_by": "created_at", "sort_order": "asc"}
        ours = admin.data(tool, **{size: 100} | order | filters)
        asked = {name: value if name == "expand" or not isinstance(value, list) else ",".join(value) for name, value in filters.items()}
        full = {"return_full_object": True} if path == "/key/list" else {}
        response = litellm.get(path, params={size: 100} | order | full | asked, headers=admin.headers)
        response.raise_for_status()
        direct = response.json()
        assert ours["total"] == direct[total]
        found = [row[identity] for row in ours[rows]]
        assert found == [row[identity] for row in direct[rows]]
        return found

    return ask


@pytest.fixture
def team(litellm, name):
    identity = litellm.post("/team/new", json={"team_alias": name}).json()["team_id"]
    yield identity
    litellm.post("/team/delete", json={"team_ids": [identity]})


def test_users_by_single_sign_on_and_team(ask, new_user, team, name):
    user = new_user(sso_user_id=name, teams=[team])["user_id"]
    other = new_user()["user_id"]
    assert ask("litellm_user_list", False, sso_user_ids=[name]) == [user]
    found = ask("litellm_user_list", False, team=team)
    assert user in found
    assert other not in found
    assert ask("litellm_user_list", True, organization_ids=["nobody-at-all"]) in ([], None)


def test_keys_by_organization_and_who_made_them(ask, new_user, new_key, owner, name):
    user, maker = new_user()["user_id"], new_user()["user_id"]
    key = new_key(user_id=user)["token"]
    owner.execute('update "LiteLLM_VerificationToken" set created_by = %s where token = %s', (maker, key))
    assert ask("litellm_key_list", False, user_id=maker) == []
    assert ask("litellm_key_list", False, user_id=maker, include_created_by_keys=True) == [key]
    assert ask("litellm_key_list", False, organization_id="nobody-at-all") == []
    for field in "project_id", "access_group_id", "agent_id":
        assert ask("litellm_key_list", True, **{field: "nobody-at-all"}) in ([], None)


def test_keys_of_the_teams_that_the_caller_administers(ask, admin, litellm, new_user, new_key, name):
    user = new_user(user_role="internal_user")["user_id"]
    members = [{"role": "admin", "user_id": user}]
    team = litellm.post("/team/new", json={"team_alias": name, "members_with_roles": members}).json()["team_id"]
    try:
        own, service = new_key(user_id=user), new_key(team_id=team)["token"]
        admin.headers = {"Authorization": f"Bearer {own['key']}"}
        assert ask("litellm_key_list", False) == [own["token"]]
        assert ask("litellm_key_list", False, include_team_keys=True) == [own["token"], service]
    finally:
        litellm.post("/team/delete", json={"team_ids": [team]})


def test_keys_with_their_owners(admin, new_user, new_key):
    user = new_user()
    key = new_key(user_id=user["user_id"])
    (row,) = admin.data("litellm_key_list", key_hash=key["token"], expand=["user"])["keys"]
    assert row["user"]["user_email"] == user["user_email"]


@pytest.mark.parametrize("status", ["active", "expired", "revoked", "deleted"])
def test_keys_by_status(ask, admin, new_user, new_key, owner, litellm, old, status):
    user = new_user()["user_id"]
    keys = {each: new_key(user_id=user, blocked=each == "revoked")["token"] for each in ("active", "expired", "revoked", "deleted")}
    owner.execute("""update "LiteLLM_VerificationToken" set expires = now() - interval '1 day' where token = %s""", (keys["expired"],))
    litellm.post("/key/delete", json={"keys": [keys["deleted"]]}).raise_for_status()
    if old and status != "deleted":
        assert admin.error("litellm_key_list", user_id=user, status=status)["status"] == 400
    else:
        assert ask("litellm_key_list", False, user_id=user, status=status) == [keys[status]]


@pytest.fixture
def days(owner):
    """A whole day with calls, which changes no more."""
    (last,) = owner.execute('select max("startTime")::date - 1 from "LiteLLM_SpendLogs"').fetchone()
    return {"start_date": f"{last} 00:00:00", "end_date": f"{last} 23:59:59"}


@pytest.mark.parametrize(
    ("field", "column"),
    [
        ("session_id", "session_id"),
        ("search", "request_id"),
        ("search", "session_id"),
        ("model_id", "model_id"),
        ("model_group", "model_group"),
    ],
)
def test_calls_by_what_one_of_them_has(ask, owner, days, old, field, column):
    row = f'select request_id, "{column}" from "LiteLLM_SpendLogs" where "startTime" between %s and %s and coalesce("{column}", %s) <> %s'
    request_id, value = owner.execute(f"{row} limit 1", (*days.values(), "", "")).fetchone()
    found = ask("litellm_usage_spend_logs", True, **days, **{field: value})
    assert old or request_id in found


@pytest.mark.parametrize(
    "filters",
    [
        {"error_message": "limit"},
        {"cache_hit_filter": "hit"},
        {"cache_hit_filter": "miss"},
        *({"span_type": each} for each in ("llm", "agent", "mcp", "batch")),
        {"used_client_oauth_token": True},
        {"used_client_oauth_token": False},
        {"exclude_internal_health_checks": True},
        {"group_by_session": True},
        *({"sort_by": each} for each in ("spend", "total_tokens", "startTime", "endTime", "request_duration_ms", "model", "ttft_ms")),
    ],
    ids=lambda filters: "-".join(map(str, *filters.items())),
)
def test_calls_by_what_only_later_versions_know(ask, days, old, filters):
    found = ask("litellm_usage_spend_logs", True, **days, **filters)
    assert old or isinstance(found, list)


def test_calls_of_an_end_user_or_with_an_error(ask, days):
    for filters in {"end_user": str(uuid.uuid4())}, {"error_code": "429"}, {"key_alias": "a"}, {"status_filter": "failure"}:
        assert ask("litellm_usage_spend_logs", False, **days, **filters) is not None
