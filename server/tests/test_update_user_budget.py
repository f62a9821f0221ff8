"""update_user_budget against a real LiteLLM, looked at from the database's side."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import httpx
import psycopg
import pytest
from litemaas_mcp.errors import Failure, Unavailable
from litemaas_mcp.tools.users import update_user_budget

from tests.support.http_stand_in import Asked, HttpStandIn
from tests.support.tools import settings_of, started

pytestmark = pytest.mark.anyio

COLUMNS = "max_budget, budget_duration, budget_reset_at, tpm_limit, rpm_limit, user_email, user_alias, metadata"


def row(owner: psycopg.Connection, user_id: str) -> dict:
    values = owner.execute(f'SELECT {COLUMNS} FROM "LiteLLM_UserTable" WHERE user_id = %s', [user_id]).fetchone()
    return dict(zip(COLUMNS.split(", "), values, strict=True))


def users(owner: psycopg.Connection) -> set[str]:
    return {user_id for (user_id,) in owner.execute('SELECT user_id FROM "LiteLLM_UserTable"')}


def relay_to(litellm: httpx.Client, before_update=lambda: None, answer_update=None) -> HttpStandIn:
    """The real LiteLLM, behind something that sees each request first."""

    def pass_on(asked: Asked):
        if asked.path == "/user/update":
            before_update()
            if answer_update:
                return answer_update
        headers = {"content-type": "application/json"} if asked.body else {}
        answer = litellm.request(asked.method, asked.path, content=asked.body, headers=headers)
        return answer.status_code, answer.content

    return HttpStandIn(pass_on)


@pytest.mark.parametrize("how", ["user_id", "user_email", "user_alias"])
async def test_a_budget_is_set_by_id_email_or_name(backends, new_user, owner, how):
    user = new_user(max_budget=10, budget_duration="1d", tpm_limit=100, metadata={"team": "x"})
    answer = await update_user_budget(
        backends, user_id=user[how].upper() if how == "user_email" else user[how], max_budget=500, budget_duration="daily"
    )
    assert (answer.changed, answer.before.max_budget, answer.after.max_budget, answer.after.budget_duration) == (True, 10, 500, "1d")
    assert answer.user_id == user["user_id"]
    stored = row(owner, user["user_id"])
    assert (stored["max_budget"], stored["budget_duration"], stored["tpm_limit"], stored["metadata"]) == (500, "1d", 100, {"team": "x"})
    assert (stored["user_email"], stored["user_alias"]) == (user["user_email"], user["user_alias"])


@pytest.mark.parametrize(("asked", "stored"), [("daily", "1d"), ("weekly", "7d"), ("monthly", "30d"), ("2w", "14d"), ("12h", "12h")])
async def test_words_for_periods_are_sent_as_every_version_reads_them(backends, new_user, owner, asked, stored):
    user = new_user()
    answer = await update_user_budget(backends, user_id=user["user_id"], max_budget=5, budget_duration=asked)
    assert row(owner, user["user_id"])["budget_duration"] == answer.after.budget_duration == stored
    assert answer.after.budget_reset_at > datetime.now(UTC)


async def test_an_old_word_is_replaced_by_its_period(backends, new_user, owner):
    """The server in use before wrote "monthly" as it came, which LiteLLM 1.81 takes for a day."""
    user = new_user(max_budget=5, budget_duration="1d")
    owner.execute("UPDATE \"LiteLLM_UserTable\" SET budget_duration = 'monthly' WHERE user_id = %s", [user["user_id"]])
    kept = await update_user_budget(backends, user_id=user["user_id"], max_budget=5)
    assert "takes for a day" in kept.text()
    await update_user_budget(backends, user_id=user["user_id"], max_budget=5, budget_duration="monthly")
    assert row(owner, user["user_id"])["budget_duration"] == "30d"


@pytest.mark.parametrize("amount", [0, 0.1, 1e-9, 1999.99, 123456789.123])
async def test_amounts_arrive_exactly(backends, new_user, owner, amount):
    user = new_user(max_budget=7)
    answer = await update_user_budget(backends, user_id=user["user_id"], max_budget=amount)
    assert row(owner, user["user_id"])["max_budget"] == answer.after.max_budget == amount


async def test_an_amount_of_more_digits_than_litellm_answers_is_no_failure(backends, new_user):
    user = new_user(max_budget=7)
    assert (await update_user_budget(backends, user_id=user["user_id"], max_budget=0.1 + 0.2)).changed
    assert not (await update_user_budget(backends, user_id=user["user_id"], max_budget=0.1 + 0.2)).changed


async def test_only_what_differs_is_sent_and_the_reset_date_stays(litellm, new_user, owner, stack):
    user = new_user(max_budget=10, budget_duration="12h")
    owner.execute(
        "UPDATE \"LiteLLM_UserTable\" SET budget_reset_at = now() AT TIME ZONE 'UTC' + interval '1 hour' WHERE user_id = %s",
        [user["user_id"]],
    )
    before = row(owner, user["user_id"])
    with relay_to(litellm) as relay:
        async with started(settings_of(stack, litellm_api_url=relay.url)) as backends:
            await update_user_budget(backends, user_id=user["user_id"], max_budget=20, budget_duration="12h")
            again = await update_user_budget(backends, user_id=user["user_id"], max_budget=20, budget_duration="12h")
    writes = [asked.json for asked in relay.asked if asked.method != "GET"]
    assert writes == [{"user_id": user["user_id"], "max_budget": 20.0}]
    assert row(owner, user["user_id"]) == before | {"max_budget": 20.0}
    assert not again.changed
    assert "has it so already" in again.text()


async def test_a_dry_run_writes_nothing(backends, new_user, owner):
    user = new_user(max_budget=10, budget_duration="1d")
    before = row(owner, user["user_id"])
    answer = await update_user_budget(backends, user_id=user["user_id"], max_budget=20, budget_duration="weekly", dry_run=True)
    assert (answer.dry_run, answer.changed, answer.before.max_budget, answer.after.max_budget, answer.after.budget_duration) == (
        True,
        False,
        10,
        20,
        "7d",
    )
    assert "nothing was written" in answer.text()
    assert row(owner, user["user_id"]) == before


@pytest.mark.parametrize("name", ["nobody-{}", "nobody-{}@example.com"])
async def test_updating_an_unknown_user_creates_nobody(backends, owner, name):
    before = users(owner)
    with pytest.raises(Failure, match="user_id: there is no user"):
        await update_user_budget(backends, user_id=name.format(uuid.uuid4().hex), max_budget=5)
    assert users(owner) == before


async def test_a_typing_error_creates_nobody_and_names_who_may_be_meant(backends, new_user, owner):
    user = new_user()
    before = users(owner)
    with pytest.raises(Failure, match=f"Did you mean .*{user['user_id']}"):
        await update_user_budget(backends, user_id=user["user_alias"][:-1], max_budget=5)
    assert users(owner) == before


async def test_a_name_of_two_users_changes_neither(backends, new_user, owner):
    alias = f"twin-{uuid.uuid4().hex[:8]}"
    twins = [new_user(user_alias=alias, max_budget=1)["user_id"] for _ in range(2)]
    with pytest.raises(Failure, match="is the name of 2 users"):
        await update_user_budget(backends, user_id=alias, max_budget=5)
    assert [row(owner, twin)["max_budget"] for twin in twins] == [1, 1]


async def test_a_user_who_is_gone_from_litellm_is_not_written(litellm, new_user, owner, stack):
    """The database knows the user, LiteLLM, asked a moment later, does not."""
    user = new_user()

    def nobody(asked: Asked):
        assert asked.method == "GET", "nothing may be written"
        return 404, {"error": {"message": "User not found", "code": "404"}}

    with HttpStandIn(nobody) as relay:
        async with started(settings_of(stack, litellm_api_url=relay.url)) as backends:
            with pytest.raises(Failure, match="is gone now"):
                await update_user_budget(backends, user_id=user["user_id"], max_budget=5)


async def test_a_user_deleted_in_the_last_moment_is_noticed(litellm, new_user, owner, stack):
    """LiteLLM's update then makes a new, empty user of that id; the answer says so instead of "done"."""
    user = new_user(max_budget=1)

    def delete() -> None:
        litellm.post("/user/delete", json={"user_ids": [user["user_id"]]}).raise_for_status()

    with relay_to(litellm, before_update=delete) as relay:
        async with started(settings_of(stack, litellm_api_url=relay.url)) as backends:
            with pytest.raises(Failure, match="was deleted while its budget was being changed"):
                await update_user_budget(backends, user_id=user["user_id"], max_budget=5)


async def test_a_change_that_litellm_accepts_but_does_not_keep_is_an_error(litellm, new_user, stack):
    user = new_user(max_budget=1)
    with relay_to(litellm, answer_update=(200, {"user_id": user["user_id"]})) as relay:
        async with started(settings_of(stack, litellm_api_url=relay.url)) as backends:
            with pytest.raises(Failure, match=r"did not keep it: max_budget is 1\.0 instead of 5"):
                await update_user_budget(backends, user_id=user["user_id"], max_budget=5)


async def test_a_write_is_never_tried_twice(litellm, new_user, stack):
    user = new_user(max_budget=1)
    with relay_to(litellm, answer_update=(500, {"error": {"message": "Can't reach database server", "code": "500"}})) as relay:
        async with started(settings_of(stack, litellm_api_url=relay.url)) as backends:
            with pytest.raises(Unavailable, match="Whether the change arrived is not known"):
                await update_user_budget(backends, user_id=user["user_id"], max_budget=5)
    assert [asked.path for asked in relay.asked if asked.method != "GET"] == ["/user/update"]


@pytest.mark.parametrize("period", ["fortnight", "0d", "1y", "-1d"])
async def test_a_period_that_is_none_is_refused_by_field(backends, new_user, owner, period):
    user = new_user(max_budget=1)
    with pytest.raises(Failure, match=f"budget_duration: '{period}' must be daily, weekly, monthly"):
        await update_user_budget(backends, user_id=user["user_id"], max_budget=5, budget_duration=period)
    assert row(owner, user["user_id"])["max_budget"] == 1


async def test_without_litemaass_api_its_row_is_said_to_be_untouched(backends, new_user):
    answer = await update_user_budget(backends, user_id=new_user()["user_id"], max_budget=5)
    assert "was not touched" in answer.litemaas
    assert answer.litemaas in answer.text()


async def test_a_budget_without_a_period_is_said_to_be_for_all_time(backends, new_user):
    answer = await update_user_budget(backends, user_id=new_user()["user_id"], max_budget=5)
    assert answer.after.budget_duration is None
    assert "the budget is for all time" in answer.text()


class TestLiteMaaS:
    """With LITEMAAS_API_URL: LiteMaaS's backend can't be had here, so a stand-in records what it is asked."""

    @pytest.fixture
    def user(self, new_user, litemaas_owner):
        user_id = str(uuid.uuid4())
        new_user(user_id=user_id, max_budget=1, budget_duration="1d")
        values = {
            "id": user_id,
            "username": f"u-{user_id}",
            "email": f"{user_id}@example.com",
            "oauth_provider": "test",
            "oauth_id": user_id,
        }
        values |= {"max_budget": 1, "budget_duration": "1d"}
        litemaas_owner.execute(f"INSERT INTO users ({', '.join(values)}) VALUES ({', '.join(f'%({key})s' for key in values)})", values)
        yield user_id
        litemaas_owner.execute("DELETE FROM users WHERE id = %s", [user_id])

    @staticmethod
    def settings(stack, stand_in: HttpStandIn):
        return settings_of(stack, litemaas_api_url=stand_in.url, litemaas_admin_key="ltm_admin_for_the_test")

    async def test_its_row_is_updated_by_its_own_endpoint(self, stack, user, owner):
        with HttpStandIn(lambda asked: (200, {"id": user, **asked.json})) as stand_in:
            async with started(self.settings(stack, stand_in)) as backends:
                answer = await update_user_budget(backends, user_id=user, max_budget=500, budget_duration="weekly")
        [asked] = stand_in.asked
        assert (asked.method, asked.path) == ("PATCH", f"/api/v1/admin/users/{user}/budget-limits")
        assert asked.json == {"maxBudget": 500.0, "budgetDuration": "7d"}
        assert asked.headers["authorization"] == "Bearer ltm_admin_for_the_test"
        assert answer.litemaas == "its row was updated too."
        assert row(owner, user)["max_budget"] == 500

    async def test_only_what_differs_in_its_row_is_sent(self, stack, user):
        with HttpStandIn(lambda asked: (200, asked.json)) as stand_in:
            async with started(self.settings(stack, stand_in)) as backends:
                await update_user_budget(backends, user_id=user, max_budget=2, budget_duration="daily")
                same = await update_user_budget(backends, user_id=user, max_budget=1, budget_duration="daily")
        assert [asked.json for asked in stand_in.asked] == [{"maxBudget": 2.0}]
        assert same.litemaas == "its row says so already."

    async def test_a_dry_run_asks_it_nothing(self, stack, user):
        with HttpStandIn(lambda asked: (200, {})) as stand_in:
            async with started(self.settings(stack, stand_in)) as backends:
                answer = await update_user_budget(backends, user_id=user, max_budget=500, dry_run=True)
        assert stand_in.asked == []
        assert "would be updated" in answer.litemaas

    @pytest.mark.parametrize(
        ("reply", "told"),
        [
            ((500, {"error": {"message": "Failed to update user budget"}}), "LiteMaaS failed with HTTP 500: Failed to update user budget"),
            ((401, {"error": "bad key ltm_admin_for_the_test"}), "LiteMaaS refuses the server's key: check LITEMAAS_ADMIN_KEY"),
            ((400, {"message": "body/maxBudget must be >= 0"}), "LiteMaaS refused with HTTP 400: body/maxBudget must be >= 0"),
            ((200, b"<html>"), "did not answer with JSON"),
        ],
    )
    async def test_when_it_fails_the_answer_says_what_is_done_and_what_not(self, stack, user, owner, reply, told):
        with HttpStandIn(lambda asked: reply) as stand_in:
            async with started(self.settings(stack, stand_in)) as backends:
                answer = await update_user_budget(backends, user_id=user, max_budget=500)
        assert answer.litemaas.startswith("NOT updated, while LiteLLM is: ")
        assert told in answer.litemaas
        assert "ltm_admin" not in answer.text()
        assert (answer.changed, row(owner, user)["max_budget"]) == (True, 500)

    async def test_when_it_is_down_too(self, stack, user, owner):
        settings = settings_of(stack, litemaas_api_url="http://127.0.0.1:9", litemaas_admin_key="ltm_admin_for_the_test")
        async with started(settings) as backends:
            answer = await update_user_budget(backends, user_id=user, max_budget=500)
        assert "NOT updated, while LiteLLM is: LiteMaaS can't be reached" in answer.text()
        assert row(owner, user)["max_budget"] == 500

    async def test_a_user_that_it_does_not_know_is_said_to_be_none_of_its(self, stack, new_user):
        user_id = new_user()["user_id"]
        with HttpStandIn(lambda asked: (404, {"error": {"message": "User not found"}})) as stand_in:
            async with started(self.settings(stack, stand_in)) as backends:
                answer = await update_user_budget(backends, user_id=user_id, max_budget=5)
        assert "it has no such user" in answer.litemaas

    @pytest.mark.parametrize("answer", [[], None, {"maxBudget": "much"}])
    async def test_an_answer_of_another_shape_does_not_hide_what_is_done(self, stack, user, owner, answer):
        with HttpStandIn(lambda asked: (200, answer)) as stand_in:
            async with started(self.settings(stack, stand_in)) as backends:
                update = await update_user_budget(backends, user_id=user, max_budget=500)
        assert "its row was updated, but it answers maxBudget" in update.litemaas
        assert row(owner, user)["max_budget"] == 500

    async def test_a_version_that_ignores_the_period_is_noticed(self, stack, user):
        with HttpStandIn(lambda asked: (200, {"maxBudget": asked.json["maxBudget"]})) as stand_in:
            async with started(self.settings(stack, stand_in)) as backends:
                answer = await update_user_budget(backends, user_id=user, max_budget=500, budget_duration="weekly")
        assert "it answers budgetDuration None instead of '7d'" in answer.litemaas
