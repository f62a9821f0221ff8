"""list_virtual_keys: in LiteLLM's own table, and with keys that LiteLLM made."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from litemaas_mcp.errors import Failure
from litemaas_mcp.tools.keys import list_virtual_keys
from litemaas_mcp.tools.parts import cursor

pytestmark = pytest.mark.anyio

START = datetime(2026, 3, 1)


@pytest.fixture
def put(scratch):
    """Puts a key into the table; the newest is the one put last."""
    number = iter(range(1000))

    def put(alias: str | None, **values) -> str:
        at = next(number)
        token = uuid.uuid5(uuid.NAMESPACE_DNS, str(at)).hex * 2
        scratch.insert(
            "LiteLLM_VerificationToken",
            token=token,
            key_alias=alias,
            **{"created_at": START + timedelta(minutes=at), "models": [], **values},
        )
        return token

    return put


async def aliases(alone, **arguments) -> list[str]:
    return [key.key_alias for key in (await list_virtual_keys(alone, **arguments)).keys]


async def test_the_newest_come_first_and_ui_sessions_not_at_all(alone, put):
    put("old")
    put("session", team_id="litellm-dashboard")
    put("new")
    assert await aliases(alone) == ["new", "old"]


async def test_a_key_tells_all_but_itself(alone, put, scratch):
    scratch.insert("LiteLLM_UserTable", user_id="u1", user_email="one@example.com")
    scratch.insert("LiteLLM_TeamTable", team_id="t1", team_alias="Workshop")
    expires = datetime(2030, 1, 2, 3, 4)
    owner = {"user_id": "u1", "team_id": "t1"}
    token = put(
        None,
        **owner,
        key_name="sk-...abcd",
        spend=1.5,
        max_budget=0,
        budget_duration="30d",
        models=["m1", "m2"],
        expires=expires,
        blocked=True,
    )
    answer = await list_virtual_keys(alone)
    key = answer.keys[0].model_dump(mode="json", by_alias=True)
    assert key == {
        "key_alias": f"{token[:12]}…",
        "user_id": "u1",
        "email": "one@example.com",
        "team": "Workshop",
        "spend": 1.5,
        "max_budget": 0.0,
        "budget_duration": "30d",
        "models": ["m1", "m2"],
        "expires": "2030-01-02T03:04:00Z",
        "expired": False,
        "blocked": True,
        "created_at": "2026-03-01T00:00:00Z",
    }
    everything = answer.model_dump_json() + answer.text()
    assert token not in everything
    assert "abcd" not in everything.replace(token[:12], "")
    assert "one@example.com | Workshop | $1.50 | $0.00 per 30d | m1, m2 | 2030-01-02 03:04 | blocked" in answer.text()


async def test_a_key_of_a_team_or_user_that_is_gone_is_still_listed(alone, put):
    put("orphan", user_id="gone", team_id="gone-too")
    key = (await list_virtual_keys(alone)).keys[0]
    assert (key.user_id, key.email, key.team) == ("gone", None, "gone-too")


async def test_pages_follow_each_other_while_keys_come(alone, put):
    for number in range(5):
        put(f"k{number}", created_at=START if number < 3 else START + timedelta(hours=1))
    first = await list_virtual_keys(alone, limit=2)
    assert (first.truncated, first.total) == (True, 5)
    assert f"Showing 2 of 5. next_cursor={first.next_cursor}" in first.text()
    put("new", created_at=START + timedelta(days=1))
    second = await list_virtual_keys(alone, limit=2, cursor=first.next_cursor)
    third = await list_virtual_keys(alone, limit=2, cursor=second.next_cursor)
    seen = [key.key_alias for page in (first, second, third) for key in page.keys]
    assert sorted(seen) == ["k0", "k1", "k2", "k3", "k4"]
    assert set(seen[:2]) == {"k3", "k4"}
    assert (third.truncated, third.next_cursor, third.total) == (False, None, 6)


async def test_keys_without_a_creation_time_come_last_and_page_too(alone, put):
    for name in ("a", "b", "c"):
        put(name, created_at=None)
    put("dated")
    first = await list_virtual_keys(alone, limit=2)
    second = await list_virtual_keys(alone, limit=2, cursor=first.next_cursor)
    third = await list_virtual_keys(alone, limit=2, cursor=second.next_cursor) if second.next_cursor else None
    assert first.keys[0].key_alias == "dated"
    assert {key.key_alias for key in [*first.keys, *second.keys]} == {"dated", "a", "b", "c"}
    assert third is None


async def test_which_keys_expire_this_month(alone, put):
    """The days are inclusive and UTC; what expired before is told apart, keys that never expire are not among them."""
    put("before", expires=datetime(2030, 3, 31, 23, 59, 59))
    put("first", expires=datetime(2030, 4, 1))
    put("last", expires=datetime(2030, 4, 30, 23, 59, 59, 999000))
    put("after", expires=datetime(2030, 5, 1))
    put("never")
    assert await aliases(alone, expires_after="2030-04-01", expires_before="2030-04-30") == ["last", "first"]
    assert await aliases(alone, expires_before="2030-04-30") == ["last", "first", "before"]
    assert await aliases(alone, expires_after="2030-04-30") == ["after", "last"]


async def test_status(alone, put):
    now = datetime.now(UTC).replace(tzinfo=None)
    put("active")
    put("active until tomorrow", expires=now + timedelta(days=1), blocked=False)
    put("expired", expires=now - timedelta(minutes=1))
    put("blocked", blocked=True)
    put("both", expires=now - timedelta(days=1), blocked=True)
    assert await aliases(alone, status="active") == ["active until tomorrow", "active"]
    assert await aliases(alone, status="expired") == ["both", "expired"]
    assert await aliases(alone, status="blocked") == ["both", "blocked"]
    assert await aliases(alone, status="active", expires_before=str((now + timedelta(days=2)).date())) == ["active until tomorrow"]


@pytest.mark.parametrize("name", ["u1", "ONE@example.com", "one"])
async def test_a_users_keys(alone, put, scratch, name):
    scratch.insert("LiteLLM_UserTable", user_id="u1", user_email="one@example.com", user_alias="one")
    put("mine", user_id="u1")
    put("other", user_id="u2")
    answer = await list_virtual_keys(alone, user=name)
    assert ([key.key_alias for key in answer.keys], answer.user_id, answer.total) == (["mine"], "u1", 1)


async def test_an_unknown_user_is_an_error_of_that_field(alone):
    with pytest.raises(Failure, match="user: there is no user"):
        await list_virtual_keys(alone, user="nobody")


@pytest.mark.parametrize("field", ["expires_after", "expires_before"])
async def test_what_is_no_date_is_refused_by_field(alone, field):
    with pytest.raises(Failure, match=f"{field}: 'end of month' is no date"):
        await list_virtual_keys(alone, **{field: "end of month"})


async def test_the_last_day_that_there_is_can_be_asked_for(alone, put):
    put("ends", expires="2026-12-31 23:59:59.999")
    assert [key.key_alias for key in (await list_virtual_keys(alone, expires_before="9999-12-31")).keys] == ["ends"]
    assert [key.key_alias for key in (await list_virtual_keys(alone, expires_before="2026-12-31")).keys] == ["ends"]
    assert (await list_virtual_keys(alone, expires_before="2026-12-30")).keys == []


async def test_days_in_the_wrong_order_are_refused(alone):
    with pytest.raises(Failure, match="expires_after: 2030-05-01 is after expires_before"):
        await list_virtual_keys(alone, expires_after="2030-05-01", expires_before="2030-04-01")


@pytest.mark.parametrize(
    "given",
    [
        *("x", "é", cursor("list_users", 1.0, "u")),
        *(cursor("list_virtual_keys", "yesterday", "t"), cursor("list_virtual_keys", 5, "t"), cursor("list_virtual_keys", None)),
    ],
)
async def test_a_cursor_that_is_none_of_ours_is_refused(alone, given):
    with pytest.raises(Failure, match="cursor: this is no next_cursor of list_virtual_keys"):
        await list_virtual_keys(alone, cursor=given)


async def test_a_key_that_litellm_made_is_listed_without_its_plaintext(backends, litellm, new_user):
    user = new_user()
    alias = f"key-{uuid.uuid4().hex[:12]}"
    body = {"key_alias": alias, "user_id": user["user_id"], "duration": "30d", "max_budget": 3, "budget_duration": "7d"}
    plaintext = litellm.post("/key/generate", json=body).json()["key"]
    try:
        answer = await list_virtual_keys(backends, user=user["user_email"])
        [key] = answer.keys
        assert (key.key_alias, key.email, key.max_budget, key.budget_duration) == (alias, user["user_email"], 3, "7d")
        assert timedelta(days=29, hours=23) < key.expires - datetime.now(UTC) <= timedelta(days=30)
        litellm.post("/key/block", json={"key": plaintext}).raise_for_status()
        blocked = await list_virtual_keys(backends, user=user["user_id"], status="blocked")
        assert [key.key_alias for key in blocked.keys] == [alias]
        assert plaintext not in answer.model_dump_json() + answer.text()
    finally:
        litellm.post("/key/delete", json={"keys": [plaintext]})
    assert (await list_virtual_keys(backends, user=user["user_id"])).total == 0
