"""litellm_keys against the real LiteLLM; the state is read from its database."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.modules.conftest import LiteLLM, name


class Set:
    """A set under a name of its own; whatever of it is left goes when the test ends."""

    def __init__(self, litellm: LiteLLM, **options: Any) -> None:
        self.litellm, self.name = litellm, name("set")
        self.options = {"prefix": f"{self.name}-", "count": 3, **options}

    def run(self, *, check: bool = False, **options: Any) -> dict[str, Any]:
        options = {option: value for option, value in (self.options | options).items() if value is not ...}
        return self.litellm.run("litellm_keys", check=check, name=self.name, **options)

    def keys(self) -> list[dict[str, Any]]:
        return self.litellm.rows(
            """select * from "LiteLLM_VerificationToken" where key_alias like %s or metadata->>'litemaas_set' = %s order by key_alias""",
            f"{self.name}-%",
            self.name,
        )

    def users(self) -> list[dict[str, Any]]:
        return self.litellm.rows(
            """select * from "LiteLLM_UserTable" where user_id like %s or metadata->>'litemaas_set' = %s order by user_id""",
            f"{self.name}-%",
            self.name,
        )

    def aliases(self, *numbers: int) -> list[str]:
        return [f"{self.name}-{number}" for number in numbers]


@pytest.fixture
def keys(litellm: LiteLLM) -> Iterator[Set]:
    made = Set(litellm)
    yield made
    for path, field, rows in (("/key/delete", "token", made.keys()), ("/user/delete", "user_id", made.users())):
        if rows:
            litellm.post(path, **{"keys" if field == "token" else "user_ids": [row[field] for row in rows]})


def hash_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def opens(litellm: LiteLLM, key: str) -> bool:
    """Whether LiteLLM takes this value."""
    return litellm.http.get("/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code == 200


SHARED = {"max_budget": "2.5", "budget_duration": "weekly", "models": ["model-a"], "tpm_limit": 100, "metadata": {"lab": "x"}}


def test_create_again_change_absent_again(keys: Set, litellm: LiteLLM):
    options = SHARED | {"domain": "example.com", "duration": "30d", "user_settings": {"user_role": "internal_user", "max_budget": 9}}
    predicted = keys.run(check=True, **options)
    assert keys.keys() == keys.users() == []
    made = keys.run(**options)
    assert made["changed"]
    assert [key["status"] for key in made["keys"]] == ["created"] * 3
    assert made["created"] == made["users"]["created"] == keys.aliases(1, 2, 3) == predicted["created"] == predicted["users"]["created"]
    rows = keys.keys()
    assert [row["key_alias"] for row in rows] == [row["user_id"] for row in rows] == keys.aliases(1, 2, 3)
    assert [row["token"] for row in rows] == [hash_of(key["key"]) for key in made["keys"]] == [key["token"] for key in made["keys"]]
    assert all(opens(litellm, key["key"]) for key in made["keys"])
    assert {(row["max_budget"], row["budget_duration"], row["tpm_limit"], row["metadata"]["lab"], *row["models"]) for row in rows} == {
        (2.5, "7d", 100, "x", "model-a")
    }
    assert all((row["expires"] - row["created_at"]).days in (29, 30) for row in rows)
    assert [row["user_email"] for row in keys.users()] == [f"{alias}@example.com" for alias in keys.aliases(1, 2, 3)]
    assert {(row["user_role"], row["max_budget"]) for row in keys.users()} == {("internal_user", 9)}
    for view in "keys", "users":
        for alias, shown in predicted["after"][view].items():
            assert shown | {"expires": None} == made["after"][view][alias] | {"expires": None}

    again = keys.run(**options)
    assert not again["changed"]
    assert [key["status"] for key in again["keys"]] == ["unchanged"] * 3
    assert not any("key" in key for key in again["keys"])
    assert again["lost"] == []
    assert keys.keys() == rows
    assert not keys.run(check=True, **options)["changed"]

    predicted = keys.run(check=True, **options | {"max_budget": 3})
    changed = keys.run(**options | {"max_budget": 3})
    assert changed["updated"] == keys.aliases(1, 2, 3)
    assert predicted == changed
    assert changed["diff"]["before"]["keys"][keys.aliases(1)[0]]["max_budget"] == 2.5
    assert changed["diff"]["after"]["keys"][keys.aliases(1)[0]]["max_budget"] == 3
    changes = [{column for column in row if row[column] != before[column]} for row, before in zip(keys.keys(), rows, strict=True)]
    assert all(columns - {"updated_at", "settings_updated_at"} == {"max_budget"} for columns in changes)

    predicted = keys.run(check=True, state="absent")
    assert len(keys.keys()) == len(keys.users()) == 3
    gone = keys.run(state="absent")
    assert predicted == gone
    assert sorted(gone["removed"]) == gone["users"]["removed"] == keys.aliases(1, 2, 3)
    assert keys.keys() == keys.users() == []
    assert not keys.run(state="absent")["changed"]
