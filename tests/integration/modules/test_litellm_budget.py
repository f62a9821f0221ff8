"""litellm_budget against the real LiteLLM; the state is read from its database."""

from __future__ import annotations

from typing import Any

from tests.integration.modules.conftest import LiteLLM, name

LIMITS = ("max_budget", "soft_budget", "budget_duration", "tpm_limit", "rpm_limit", "max_parallel_requests")


def stored(litellm: LiteLLM, budget_id: str) -> list[dict[str, Any]]:
    return litellm.rows('select * from "LiteLLM_BudgetTable" where budget_id = %s', budget_id)


def test_create_again_change_absent_again(litellm: LiteLLM):
    budget_id = name("budget")
    options = {"budget_id": budget_id, "max_budget": 5, "soft_budget": 4, "budget_duration": "2w", "tpm_limit": 10, "rpm_limit": 2}
    predicted = litellm.run("litellm_budget", check=True, **options)
    assert stored(litellm, budget_id) == []
    made = litellm.run("litellm_budget", **options)
    litellm.later("/budget/delete", id=budget_id)
    assert made["changed"]
    assert predicted == made
    assert made["before"] is None
    [row] = stored(litellm, budget_id)
    assert [row[limit] for limit in LIMITS] == [5, 4, "14d", 10, 2, None]
    assert not litellm.run("litellm_budget", **options)["changed"]
    assert stored(litellm, budget_id) == [row]

    predicted = litellm.run("litellm_budget", check=True, budget_id=budget_id, max_budget=6)
    changed = litellm.run("litellm_budget", budget_id=budget_id, max_budget=6)
    assert predicted == changed
    assert changed["diff"]["before"] | {"max_budget": 6} == changed["diff"]["after"]
    [row] = stored(litellm, budget_id)
    assert [row[limit] for limit in LIMITS] == [6, 4, "14d", 10, 2, None]

    absent = {"budget_id": budget_id, "state": "absent"}
    assert litellm.run("litellm_budget", check=True, **absent)["changed"]
    assert len(stored(litellm, budget_id)) == 1
    assert litellm.run("litellm_budget", **absent)["changed"]
    assert stored(litellm, budget_id) == []
    assert not litellm.run("litellm_budget", **absent)["changed"]


def test_a_word_clears(litellm: LiteLLM):
    budget_id = name("budget")
    litellm.post("/budget/new", budget_id=budget_id, max_budget=5, tpm_limit=10, budget_duration="1d")
    litellm.later("/budget/delete", id=budget_id)
    cleared = {"budget_id": budget_id, "max_budget": "unlimited", "tpm_limit": "null", "budget_duration": "unlimited"}
    done = litellm.run("litellm_budget", **cleared)
    [row] = stored(litellm, budget_id)
    if litellm.old and done.get("failed"):
        assert "can't clear" in done["msg"]
        assert row["max_budget"] == 5
    else:
        assert done["changed"]
        assert [row[limit] for limit in LIMITS] == [None] * 6
        assert not litellm.run("litellm_budget", **cleared)["changed"]
