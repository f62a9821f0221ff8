"""list_users, and finding the one user who is meant."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from litemaas_mcp.errors import Failure, Unavailable
from litemaas_mcp.tools.parts import cursor
from litemaas_mcp.tools.users import find_user, list_users

from tests.support.tools import settings_of, started

pytestmark = pytest.mark.anyio


async def test_users_come_by_spend_and_the_administrator_is_hidden(alone, scratch):
    for user_id, spend in (("b", 1.0), ("a", 1.0), ("c", 5.5), ("default_user_id", 99.0)):
        scratch.insert("LiteLLM_UserTable", user_id=user_id, spend=spend)
    answer = await list_users(alone)
    assert [(user.user_id, user.spend) for user in answer.users] == [("c", 5.5), ("a", 1.0), ("b", 1.0)]
    assert (answer.total, answer.truncated, answer.next_cursor) == (3, False, None)


async def test_zero_is_not_none(alone, scratch):
    scratch.insert("LiteLLM_UserTable", user_id="zero", spend=1, max_budget=0, tpm_limit=0, rpm_limit=0)
    scratch.insert("LiteLLM_UserTable", user_id="none", spend=0)
    answer = await list_users(alone)
    zero, none = answer.users
    assert (zero.max_budget, zero.tpm_limit, zero.rpm_limit) == (0, 0, 0)
    assert (none.max_budget, none.tpm_limit, none.rpm_limit) == (None, None, None)
    assert "zero | zero | $1.00 | $0.00 in all (never reset) | none | 0 | 0" in answer.text()
    assert "none | none | $0.00 | no limit | none | none | none" in answer.text()


async def test_pages_follow_each_other_while_users_come_and_spend(alone, scratch):
    for number in range(7):
        scratch.insert("LiteLLM_UserTable", user_id=f"u{number}", spend=number // 2 + 0.1)
    first = await list_users(alone, limit=3)
    assert first.truncated
    assert f"next_cursor={first.next_cursor}" in first.text()
    # Somebody new at the top shifts no row into the next page or out of it.
    scratch.insert("LiteLLM_UserTable", user_id="new", spend=100)
    second = await list_users(alone, limit=3, cursor=first.next_cursor)
    third = await list_users(alone, limit=3, cursor=second.next_cursor)
    assert [user.user_id for page in (first, second, third) for user in page.users] == ["u6", "u4", "u5", "u2", "u3", "u0", "u1"]
    assert (third.truncated, third.next_cursor, third.total) == (False, None, 8)


@pytest.mark.parametrize(
    "given",
    [
        "x",
        "!!",
        "e30",
        cursor("list_virtual_keys", 1.0, "u"),
        cursor("list_users", "1.0", "u"),
        cursor("list_users", 1.0),
        cursor("list_users", float("nan"), "u"),
    ],
)
async def test_a_cursor_that_is_none_of_ours_is_refused(alone, given):
    with pytest.raises(Failure, match="cursor: this is no next_cursor of list_users"):
        await list_users(alone, cursor=given)


async def test_spend_of_a_period_that_has_ended_is_marked(alone, scratch):
    now = datetime.now(UTC).replace(tzinfo=None)
    scratch.insert(
        "LiteLLM_UserTable", user_id="due", spend=2, max_budget=5, budget_duration="1d", budget_reset_at=now - timedelta(minutes=5)
    )
    scratch.insert(
        "LiteLLM_UserTable", user_id="running", spend=1, max_budget=5, budget_duration="1d", budget_reset_at=now + timedelta(hours=5)
    )
    answer = await list_users(alone)
    assert [user.reset_due for user in answer.users] == [True, False]
    assert answer.users[0].budget_reset_at.tzinfo is UTC
    assert "$2.00*" in answer.text()
    assert "* the period has ended" in answer.text()


async def test_user_names_are_litemaass_where_it_has_them(backends, new_user, litemaas_owner):
    user_id = str(uuid.uuid4())
    new_user(user_id=user_id, user_email=f"{user_id}@example.com", max_budget=1)
    name = f"litemaas-{user_id[:8]}"
    add_litemaas_user(litemaas_owner, user_id, name)
    try:
        cursor, found = None, None
        while found is None:
            page = await list_users(backends, limit=500, cursor=cursor)
            found = next((user for user in page.users if user.user_id == user_id), None)
            cursor = page.next_cursor
            assert cursor or found, "the user is in no page"
        assert found.user_name == name
        # A user name of LiteMaaS finds LiteLLM's user, also in other letters.
        assert (await find_user(backends, name.upper(), "user"))["user_id"] == user_id
    finally:
        litemaas_owner.execute("DELETE FROM users WHERE id = %s", [user_id])


def add_litemaas_user(litemaas_owner, user_id: str, name: str, **values) -> None:
    row = {"id": user_id, "username": name, "email": f"{name}@litemaas.example.com", "oauth_provider": "test", "oauth_id": user_id} | values
    litemaas_owner.execute(f"INSERT INTO users ({', '.join(row)}) VALUES ({', '.join(f'%({key})s' for key in row)})", row)


async def test_a_user_of_litemaas_alone_is_no_user_to_spend(backends, litemaas_owner):
    user_id, name = str(uuid.uuid4()), f"only-{uuid.uuid4().hex[:8]}"
    add_litemaas_user(litemaas_owner, user_id, name)
    try:
        with pytest.raises(Failure, match="there is no user"):
            await find_user(backends, name, "user")
    finally:
        litemaas_owner.execute("DELETE FROM users WHERE id = %s", [user_id])


async def test_an_id_is_exact_and_goes_before_every_other_name(alone, scratch):
    scratch.insert("LiteLLM_UserTable", user_id="one", user_email="x@example.com")
    scratch.insert("LiteLLM_UserTable", user_id="two", user_alias="one")
    assert (await find_user(alone, "one", "user"))["user_id"] == "one"
    with pytest.raises(Failure):
        await find_user(alone, "o%e", "user")


async def test_a_name_of_several_lists_them_all(alone, scratch):
    scratch.insert("LiteLLM_UserTable", user_id="u1", user_email="same@example.com")
    scratch.insert("LiteLLM_UserTable", user_id="u2", user_email="Same@Example.com")
    with pytest.raises(Failure, match=r"user: 'same@example\.com' is the name of 2 users: u1 .*; u2 .*Use the id"):
        await find_user(alone, "same@example.com", "user")


@pytest.mark.parametrize("typed", ["alopezm", "alopezmee", "lopezme", "alopezme@redhat.co", "ALOPEZME@REDHAT"])
async def test_a_typing_error_names_who_may_be_meant(alone, scratch, typed):
    scratch.connection.execute(
        f"""INSERT INTO {scratch.name}."LiteLLM_UserTable" (user_id, user_email)
        SELECT 'someone-' || n, 'someone' || n || '@example.com' FROM generate_series(1, 600) n"""
    )
    scratch.insert("LiteLLM_UserTable", user_id="7f3c", user_email="alopezme@redhat.com")
    with pytest.raises(Failure, match=r"user: there is no user .*Did you mean .*7f3c \(alopezme@redhat\.com\)"):
        await find_user(alone, typed, "user")


async def test_a_name_like_nobodys_points_to_the_list(alone):
    with pytest.raises(Failure, match="list_users"):
        await find_user(alone, "somebody", "user")


async def test_users_are_listed_while_litemaas_is_down(stack, scratch):
    scratch.insert("LiteLLM_UserTable", user_id="u1", user_alias="alias")
    async with started(settings_of(stack, database_url=scratch.url, litemaas_database_url="postgresql://u:p@127.0.0.1:9/d")) as backends:
        answer = await list_users(backends)
        assert answer.users[0].user_name == "alias"
        assert "LiteMaaS's user names could not be read" in answer.text()
        assert (await find_user(backends, "u1", "user"))["user_id"] == "u1"
        with pytest.raises(Unavailable):
            await find_user(backends, "a-name-that-only-litemaas-may-know", "user")


async def test_a_name_of_hundreds_names_a_few(alone, scratch):
    for number in range(30):
        scratch.insert("LiteLLM_UserTable", user_id=f"u{number:02}", user_alias="same")
    with pytest.raises(Failure, match=r"name of 30 users: u00 .* and 10 more\. Use the id") as caught:
        await find_user(alone, "same", "user_id")
    assert str(caught.value).count("(same)") == 20


async def test_white_space_is_nobodys_name(alone, scratch):
    scratch.insert("LiteLLM_UserTable", user_id="u1", user_alias="")
    with pytest.raises(Failure, match="user_id: is empty"):
        await find_user(alone, "  ", "user_id")


async def test_a_litemaas_database_that_refuses_us_harms_no_known_user(stack, scratch):
    scratch.insert("LiteLLM_UserTable", user_id="u1", user_email="one@example.com")
    refused = stack.litemaas_readonly_url.replace("litemaas_reader:", "litemaas_reader:wrong")
    async with started(settings_of(stack, database_url=scratch.url, litemaas_database_url=refused)) as backends:
        assert (await find_user(backends, "u1", "user_id"))["user_email"] == "one@example.com"
