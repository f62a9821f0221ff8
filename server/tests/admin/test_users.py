"""The five tools of internal users, and what becomes of LiteLLM's rows."""

from __future__ import annotations

import pytest


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


def test_a_deletion_names_whom_and_which_keys_and_a_dry_run_deletes_nobody(admin, new_user, new_key, row):
    user = new_user(user_alias="doomed")
    key = new_key(user_id=user["user_id"])
    expected = {
        **{field: user[field] for field in ("user_id", "user_email")},
        "user_alias": "doomed",
        "spend": 0,
        "keys": [key["key_alias"]],
        "key_count": 1,
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
