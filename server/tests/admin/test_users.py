"""The five tools of internal users, and what becomes of LiteLLM's rows."""

from __future__ import annotations

import uuid

import pytest


@pytest.fixture
def organization(owner):
    """An organization, made past LiteLLM, which wants a licence for that."""
    identity = str(uuid.uuid4())
    owner.execute(
        'insert into "LiteLLM_BudgetTable" (budget_id, created_by, updated_by, updated_at) values (%s, %s, %s, now())', (identity, "t", "t")
    )
    columns = "organization_id, organization_alias, budget_id, models, created_by, updated_by, updated_at"
    owner.execute(
        f'insert into "LiteLLM_OrganizationTable" ({columns}) values (%s, %s, %s, %s, %s, %s, now())',
        (identity, identity, identity, [], "t", "t"),
    )

    def join(user_id: str) -> None:
        owner.execute(
            'insert into "LiteLLM_OrganizationMembership" (user_id, organization_id, updated_at) values (%s, %s, now())',
            (user_id, identity),
        )

    yield identity, join
    for table in "Membership", "Table":
        owner.execute(f'delete from "LiteLLM_Organization{table}" where organization_id = %s', (identity,))
    owner.execute('delete from "LiteLLM_BudgetTable" where budget_id = %s', (identity,))


@pytest.fixture
def team(litellm, name):
    """A team of its own."""
    identity = litellm.post("/team/new", json={"team_alias": name}).json()["team_id"]
    yield identity
    litellm.post("/team/delete", json={"team_ids": [identity]})


@pytest.fixture
def row(owner):
    """LiteLLM's row of a user."""

    def row(user_id: str, *columns: str):
        names = ", ".join(f'"{column}"' for column in columns or ("user_id",))
        return owner.execute(f'select {names} from "LiteLLM_UserTable" where user_id = %s', (user_id,)).fetchone()

    return row


@pytest.fixture
def gone(litellm):
    """Users to delete at the end."""
    names: list[str] = []
    yield names
    for user_id in names:
        litellm.post("/user/delete", json={"user_ids": [user_id]})


def test_a_user_is_created_without_a_key_and_shown_as_litellm_has_it(admin, row, owner, name, gone):
    gone.append(name)
    made = admin.data(
        "litellm_user_create",
        user_id=name,
        user_email=f"{name}@example.com",
        user_role="internal_user",
        max_budget=12.5,
        budget_duration="weekly",
        tpm_limit=100,
        metadata={"from": "a test"},
    )
    assert made["user_id"] == name
    assert made["user_info"]["budget_reset_at"]
    assert row(name, "user_email", "max_budget", "budget_duration", "tpm_limit") == (f"{name}@example.com", 12.5, "7d", 100)
    assert owner.execute('select count(*) from "LiteLLM_VerificationToken" where user_id = %s', (name,)).fetchone() == (0,)
    assert '"sk-' not in str(made)


@pytest.mark.parametrize("same", ["id", "e-mail in capitals"])
def test_a_user_who_exists_is_refused_in_litellms_words(admin, new_user, same):
    user = new_user()
    fields = {"user_id": user["user_id"]} if same == "id" else {"user_email": user["user_email"].upper()}
    error = admin.error("litellm_user_create", **fields)
    assert error["status"] == 409
    assert "already exists" in error["message"]
    assert "{" not in error["message"]
    assert error["detail"]["error"]["code"] == "409"


def test_what_litellms_validation_refuses_is_one_sentence(admin, name, row):
    error = admin.error("litellm_user_create", user_id=name, object_permission={"mcp_servers": "not a list"})
    assert error["status"] == 422
    assert "object_permission.mcp_servers: " in error["message"]
    assert isinstance(error["detail"]["detail"], list)
    assert row(name) is None


def test_users_are_listed_by_whole_ids_a_page_at_a_time(admin, new_user, name):
    users = [new_user(user_id=f"{name}{number}")["user_id"] for number in ("", "-b", "-c")]
    assert [user["user_id"] for user in admin.data("litellm_user_list", user_ids=[name])["users"]] == [name]
    seen, cursor = [], {}
    while True:
        page = admin.data("litellm_user_list", user_ids=users, page_size=2, sort_by="user_id", sort_order="asc", **cursor)
        assert page["total"] == 3
        seen += [user["user_id"] for user in page["users"]]
        if not page["truncated"]:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert page["next_cursor"] is None
    assert seen == sorted(users)
    assert [user["user_id"] for user in admin.data("litellm_user_list", user_ids=users, page_size=2, page=2)["users"]]


def test_filters_of_users_narrow_the_list(admin, new_user, name, old):
    new_user(user_id=name, user_role="internal_user_viewer", user_email=f"{name}@example.com")
    assert [user["user_id"] for user in admin.data("litellm_user_list", user_email=name, role="internal_user_viewer")["users"]] == [name]
    assert admin.data("litellm_user_list", user_email=name, role="proxy_admin")["users"] == []
    if old:
        error = admin.error("litellm_user_list", search=name)
        assert error["message"].startswith("search: this LiteLLM would ignore it")
    else:
        assert [user["user_id"] for user in admin.data("litellm_user_list", search=name)["users"]] == [name]


def test_a_name_with_a_comma_can_not_be_asked_for_and_is_not_split(admin):
    assert admin.error("litellm_user_list", user_ids=["a,b"])["message"].startswith("user_ids: ")


@pytest.mark.parametrize("odd", ["a b+c%d/é", "x&user_id=default_user_id", "?#"])
def test_a_user_is_found_by_id_whatever_its_characters(admin, new_user, name, odd):
    user = new_user(user_id=f"{name} {odd}")
    assert admin.data("litellm_user_info", user_id=user["user_id"])["user_info"]["user_id"] == user["user_id"]


def test_a_user_is_shown_by_id_and_by_email_with_keys_but_never_their_values(admin, new_user, new_key):
    user = new_user()
    key = new_key(user_id=user["user_id"])
    for asked in {"user_id": user["user_id"]}, {"user_email": user["user_email"].upper()}:
        shown = admin.data("litellm_user_info", **asked)
        assert shown["user_id"] == shown["user_info"]["user_id"] == user["user_id"]
        assert [(each["token"], each["key_alias"]) for each in shown["keys"]] == [(key["token"], key["key_alias"])]
        assert shown["key_count"] == 1
        assert key["key"] not in str(shown)
        assert "password" not in shown["user_info"]


@pytest.mark.parametrize("asked", [{}, {"user_id": "a", "user_email": "a@example.com"}])
def test_a_user_is_asked_for_one_way(admin, asked):
    assert admin.error("litellm_user_info", **asked)["message"].startswith("user_id: give either")


@pytest.mark.parametrize("asked", [{"user_id": "nobody-at-all"}, {"user_email": "nobody-at-all@example.com"}])
def test_an_unknown_user_is_404(admin, asked):
    error = admin.error("litellm_user_info", **asked)
    assert error["status"] == 404
    assert "nobody-at-all" in error["message"]


def test_a_change_shows_before_and_after_and_leaves_the_rest(admin, new_user, row):
    user = new_user(max_budget=5, budget_duration="30d", rpm_limit=9)["user_id"]
    changed = admin.data("litellm_user_update", user_id=user, max_budget=7, tpm_limit=50)
    assert changed["before"] == {"max_budget": 5, "tpm_limit": None}
    assert changed["user_info"]["max_budget"] == 7
    assert row(user, "max_budget", "tpm_limit", "rpm_limit", "budget_duration") == (7, 50, 9, "30d")


def test_a_change_to_what_is_so_already_writes_nothing(admin, new_user, row):
    user = new_user(max_budget=5, budget_duration="30d")["user_id"]
    written = row(user, "updated_at", "budget_reset_at")
    assert admin.data("litellm_user_update", user_id=user, max_budget=5, budget_duration="30d")["before"] == {}
    assert row(user, "updated_at", "budget_reset_at") == written


def test_a_user_is_changed_by_email_and_spend_begins_anew(admin, new_user, row, owner):
    user = new_user()
    owner.execute('update "LiteLLM_UserTable" set spend = 3 where user_id = %s', (user["user_id"],))
    admin.data("litellm_user_update", user_id=user["user_email"], spend=0)
    assert row(user["user_id"], "spend") == (0,)


def test_a_limit_is_removed_or_the_answer_says_that_this_litellm_can_not(admin, new_user, row, old):
    user = new_user(max_budget=5)["user_id"]
    if old:
        error = admin.error("litellm_user_update", user_id=user, tpm_limit=3, clear=["max_budget"])
        assert "max_budget is 5.0 instead of null" in error["message"]
        assert row(user, "max_budget", "tpm_limit") == (5, 3)
    else:
        admin.data("litellm_user_update", user_id=user, tpm_limit=3, clear=["max_budget"])
        assert row(user, "max_budget", "tpm_limit") == (None, 3)


@pytest.mark.parametrize("unknown", ["{name}", "{name}@example.com"])
def test_updating_an_unknown_user_creates_nobody(admin, name, owner, unknown):
    unknown = unknown.format(name=name)
    assert admin.error("litellm_user_update", user_id=unknown, max_budget=1)["status"] == 404
    found = owner.execute('select count(*) from "LiteLLM_UserTable" where user_id = %s or user_email = %s', (unknown, unknown))
    assert found.fetchone() == (0,)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "Nothing to change"),
        ({"max_budget": 1, "clear": ["max_budget"]}, "clear: max_budget is also given a value"),
        ({"max_budget": -1}, "max_budget: "),
        ({"max_budget": "much"}, "max_budget: "),
        ({"budget_duration": "fortnightly"}, "budget_duration: 'fortnightly' must be daily"),
        ({"user_role": "emperor"}, "user_role: "),
        ({"user_email": "no e-mail"}, "user_email: "),
        ({"clear": ["everything"]}, "clear.0: "),
        ({"budget": 1}, "There is no argument 'budget'"),
        ({"tpm_limit": 2**40}, "tpm_limit: "),
        ({"tpm_limit": True}, "tpm_limit: must be a number, not true or false"),
        ({"max_budget": True}, "max_budget: must be a number, not true or false"),
    ],
)
def test_a_bad_change_is_refused_before_anything_is_sent(start, relay, stack, new_user, fields, says):
    from .conftest import Caller

    user = new_user()["user_id"]
    with Caller(start(LITELLM_BASE_URL=relay.url).url, stack.litellm_master_key) as admin:
        error = admin.error("litellm_user_update", user_id=user, **fields)
    assert error["status"] == 400
    assert error["message"].startswith(says)
    assert not [asked for asked in relay.asked if asked.method == "POST"]


def test_a_deletion_names_whom_what_goes_and_a_dry_run_deletes_nobody(admin, new_user, new_key, row, team, organization, owner, old):
    user = new_user(user_alias="doomed", teams=[team])
    identity, join = organization
    join(user["user_id"])
    key = new_key(user_id=user["user_id"])
    expected = {
        **{field: user[field] for field in ("user_id", "user_email")},
        "user_alias": "doomed",
        "spend": 0,
        "keys": [key["key_alias"]],
        "key_count": 1,
        "teams": [team],
        "organizations": [identity],
    }
    assert admin.data("litellm_user_delete", user_ids=[user["user_id"]], dry_run=True) == {"dry_run": True, "users": [expected]}
    assert row(user["user_id"])
    assert admin.data("litellm_user_delete", user_ids=[user["user_email"]]) == {"dry_run": False, "users": [expected]}
    assert row(user["user_id"]) is None


def test_when_one_of_the_users_is_unknown_nobody_is_deleted(admin, new_user, row):
    user = new_user()["user_id"]
    error = admin.error("litellm_user_delete", user_ids=[user, "nobody-at-all"])
    assert (error["status"], error["message"].split(" ")[0]) == (404, "user_ids:")
    assert row(user)


@pytest.mark.parametrize("field", ["teams", "organizations"])
def test_a_user_is_not_made_for_a_team_or_organization_that_is_not_there(admin, name, row, field):
    error = admin.error("litellm_user_create", user_id=name, **{field: ["nobody-at-all"]})
    # Without a licence LiteLLM's later versions tell nothing of organizations, and say so.
    assert error["status"] in ((404,) if field == "teams" else (403, 404))
    assert field[:-1] in error["message"].lower()
    assert row(name) is None


def test_a_user_joins_a_team_that_is_there(admin, name, gone, team, litellm):
    gone.append(name)
    admin.data("litellm_user_create", user_id=name, teams=[team])
    members = litellm.get("/team/info", params={"team_id": team}).json()["team_info"]["members_with_roles"]
    assert name in [member["user_id"] for member in members]


def test_a_user_is_found_by_an_email_that_is_part_of_many_others(admin, new_user, name, owner):
    user = new_user(user_id=f"zz-{name}", user_email=f"{name}@example.com")
    try:
        owner.execute(
            """insert into "LiteLLM_UserTable" (user_id, user_email) select %s || n, 'a' || n || %s from generate_series(1, 120) n""",
            (f"aa-{name}-", user["user_email"]),
        )
        owner.execute("""update "LiteLLM_UserTable" set created_at = now() - interval '1 year' where user_id = %s""", (user["user_id"],))
        assert admin.data("litellm_user_info", user_email=user["user_email"])["user_id"] == user["user_id"]
    finally:
        owner.execute('delete from "LiteLLM_UserTable" where user_id like %s', (f"aa-{name}-%",))


def test_an_email_of_somebody_else_is_refused_and_ones_own_is_not(admin, new_user, row):
    user, other = new_user(), new_user()
    error = admin.error("litellm_user_update", user_id=user["user_id"], user_email=other["user_email"].upper())
    assert (error["status"], error["message"].split(" ")[0]) == (409, "user_email:")
    assert other["user_id"] in error["message"]
    assert row(user["user_id"], "user_email") == (user["user_email"],)
    admin.data("litellm_user_update", user_id=user["user_id"], user_email=user["user_email"].upper(), max_budget=1)


def test_filters_of_blanks_are_refused(admin):
    for field, value in ("user_email", " "), ("search", ""), ("organization_ids", [" "]), ("user_ids", ["\t"]), ("team", ""):
        assert admin.error("litellm_user_list", **{field: value})["message"].startswith(field), field


def test_a_user_deleted_while_it_is_changed_is_told(start, relay, stack, new_user, litellm):
    from .conftest import Caller

    user = new_user(max_budget=1)["user_id"]

    def deleted_first(asked):
        if asked.path == "/user/update":
            litellm.post("/user/delete", json={"user_ids": [user]}).raise_for_status()
        return relay._pass_on(asked)

    relay.answer = deleted_first
    with Caller(start(LITELLM_BASE_URL=relay.url).url, stack.litellm_master_key) as admin:
        error = admin.error("litellm_user_update", user_id=user, max_budget=2)
    assert (error["status"], "was deleted while it was being changed" in error["message"]) == (409, True)


@pytest.mark.parametrize(
    ("tool", "fields", "says"),
    [
        (tool, *case)
        for tool in ("litellm_user_create", "litellm_key_generate", "litellm_key_update")
        for case in (
            ({"max_budget": -1}, "max_budget: "),
            ({"max_budget": True}, "max_budget: must be a number, not true or false"),
            ({"rpm_limit": False}, "rpm_limit: must be a number, not true or false"),
            ({"budget_duration": "fortnightly"}, "budget_duration: 'fortnightly' must be daily"),
            ({"budget_duration": "1M"}, "budget_duration: '1M' must be daily"),
            *([({"duration": "soon"}, "duration: 'soon' must be daily")] if "key" in tool else []),
            *([({"key_alias": "sk-alias"}, "key_alias: ")] if "key" in tool else []),
        )
    ],
)
def test_a_bad_value_is_refused_before_litellm_is_asked(silent, tool, fields, says):
    caller, asked = silent
    error = caller.error(tool, **({"key": "any"} if tool == "litellm_key_update" else {}), **fields)
    assert error["status"] == 400
    assert error["message"].startswith(says)
    assert asked == []


@pytest.fixture(scope="module")
def silent(stack):
    """A caller, and what LiteLLM was asked: nothing, in these tests."""
    from tests.support.http_stand_in import HttpStandIn
    from tests.support.server import COMMAND, ServerProcess

    from .conftest import Caller

    with (
        HttpStandIn(lambda asked: (500, {})) as stand_in,
        ServerProcess({"LITELLM_BASE_URL": stand_in.url}, [COMMAND, "serve", "--profile", "litellm-admin"]) as server,
    ):
        server.wait_for("/readyz")
        with Caller(server.url, stack.litellm_master_key) as caller:
            yield caller, stand_in.asked
