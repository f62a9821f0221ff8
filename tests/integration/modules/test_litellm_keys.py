"""litellm_keys against the real LiteLLM; the state is read from its database."""

from __future__ import annotations

import hashlib
import json
import re
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.modules.conftest import LiteLLM, name
from tests.support.ansible_run import Playbook
from tests.support.http_stand_in import Asked
from tests.support.relay import Relay


class Set:
    """A set under a name of its own; whatever of it is left goes when the test ends."""

    def __init__(self, litellm: LiteLLM, **options: Any) -> None:
        self.litellm, self.name = litellm, name("set")
        self.options = {"prefix": f"{self.name}-", "count": 3, **options}

    def run(self, *, check: bool = False, **options: Any) -> dict[str, Any]:
        options = {option: value for option, value in ({"name": self.name} | self.options | options).items() if value is not ...}
        return self.litellm.run("litellm_keys", check=check, **options)

    def stored(self) -> list[dict[str, Any]]:
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
    for path, field, rows in (("/key/delete", "token", made.stored()), ("/user/delete", "user_id", made.users())):
        if rows:
            litellm.post(path, **{"keys" if field == "token" else "user_ids": [row[field] for row in rows]})


@pytest.fixture
def relay(litellm: LiteLLM) -> Iterator[Relay]:
    with Relay(litellm.stack.litellm_url) as relay:
        yield relay


def from_the(number: int, path: str, how: str = "before") -> Callable[[Asked], str | None]:
    """Fails this and every later request of a path."""
    lock, so_far = threading.Lock(), [0]

    def fails(asked: Asked) -> str | None:
        with lock:
            so_far[0] += asked.path == path
            return how if asked.path == path and so_far[0] >= number else None

    return fails


def hash_of(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def opens(litellm: LiteLLM, key: str) -> bool:
    """Whether LiteLLM takes this value."""
    return litellm.http.get("/v1/models", headers={"Authorization": f"Bearer {key}"}).status_code == 200


SHARED = {"max_budget": "2.5", "budget_duration": "weekly", "models": ["model-a"], "tpm_limit": 100, "metadata": {"lab": "x"}}


def test_create_again_change_absent_again(keys: Set, litellm: LiteLLM):
    options = SHARED | {"domain": "example.com", "duration": "30d", "user_settings": {"user_role": "internal_user", "max_budget": 9}}
    predicted = keys.run(check=True, **options)
    assert keys.stored() == keys.users() == []
    made = keys.run(**options)
    assert made["changed"]
    assert [key["status"] for key in made["virtual_keys"]] == ["created"] * 3
    assert made["created"] == made["users"]["created"] == keys.aliases(1, 2, 3) == predicted["created"] == predicted["users"]["created"]
    rows = keys.stored()
    assert [row["key_alias"] for row in rows] == [row["user_id"] for row in rows] == keys.aliases(1, 2, 3)
    shown = made["virtual_keys"]
    assert [row["token"] for row in rows] == [hash_of(key["key"]) for key in shown] == [key["token"] for key in shown]
    assert all(opens(litellm, key["key"]) for key in made["virtual_keys"])
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
    assert [key["status"] for key in again["virtual_keys"]] == ["unchanged"] * 3
    assert not any("key" in key for key in again["virtual_keys"])
    assert again["lost"] == []
    assert keys.stored() == rows
    assert not keys.run(check=True, **options)["changed"]

    predicted = keys.run(check=True, **options | {"max_budget": 3})
    changed = keys.run(**options | {"max_budget": 3})
    assert changed["updated"] == keys.aliases(1, 2, 3)
    assert predicted == changed
    assert changed["diff"]["before"]["keys"][keys.aliases(1)[0]]["max_budget"] == 2.5
    assert changed["diff"]["after"]["keys"][keys.aliases(1)[0]]["max_budget"] == 3
    changes = [{column for column in row if row[column] != before[column]} for row, before in zip(keys.stored(), rows, strict=True)]
    assert all(columns - {"updated_at", "settings_updated_at"} == {"max_budget"} for columns in changes)

    predicted = keys.run(check=True, state="absent")
    assert len(keys.stored()) == len(keys.users()) == 3
    gone = keys.run(state="absent")
    assert predicted == gone
    assert sorted(gone["removed"]) == gone["users"]["removed"] == keys.aliases(1, 2, 3)
    assert keys.stored() == keys.users() == []
    assert not keys.run(state="absent")["changed"]


def test_a_list_with_overrides(keys: Set, litellm: LiteLLM):
    own, mine = f"{keys.name}@example.com", f"sk-{keys.name}-of-my-own"
    options = {
        "prefix": ...,
        "count": ...,
        "max_budget": 5,
        "tpm_limit": 100,
        "keys": [
            {"key_alias": f"{keys.name}-plain"},
            {"key_alias": f"{keys.name}-rich", "max_budget": 50, "tpm_limit": "unlimited", "user_email": own, "metadata": {"who": "rich"}},
            {"key_alias": f"{keys.name}-mine", "user_id": f"{keys.name}-u", "key": mine},
        ],
    }
    made = keys.run(**options)
    rows = {row["key_alias"].removeprefix(f"{keys.name}-"): row for row in keys.stored()}
    assert {alias: (row["max_budget"], row["tpm_limit"]) for alias, row in rows.items()} == {
        "plain": (5, 100),
        "rich": (50, None),
        "mine": (5, 100),
    }
    assert rows["rich"]["metadata"]["who"] == "rich"
    assert rows["mine"]["token"] == hash_of(mine)
    assert rows["plain"]["user_id"] is None
    assert {row["user_id"]: row["user_email"] for row in keys.users()} == {rows["rich"]["user_id"]: own, f"{keys.name}-u": None}
    assert ["key" in key for key in made["virtual_keys"]] == [True, True, False]
    assert not keys.run(**options)["changed"]


def test_a_user_is_found_by_email_and_keeps_the_id(keys: Set, litellm: LiteLLM):
    there = litellm.user(user_email=f"Who.{keys.name}@Example.com")
    done = keys.run(prefix=..., count=..., keys=[{"key_alias": f"{keys.name}-k", "user_email": f"who.{keys.name}@example.com"}])
    assert done["users"]["created"] == []
    assert [row["user_id"] for row in keys.stored()] == [there]


def test_a_stranger_is_used_but_not_changed_and_not_removed(keys: Set, litellm: LiteLLM):
    [alias] = keys.aliases(1)
    litellm.user(user_id=alias, max_budget=1)
    done = keys.run(user_settings={"max_budget": 7})
    assert done["users"]["created"] == keys.aliases(2, 3)
    assert [row["max_budget"] for row in keys.users()] == [1, 7, 7]
    assert keys.run(state="absent")["users"]["removed"] == keys.aliases(2, 3)
    assert [row["user_id"] for row in keys.users()] == [alias]
    assert keys.stored() == []


def test_a_strangers_alias_is_refused_before_anything_is_done(keys: Set, litellm: LiteLLM):
    [alias] = keys.aliases(2)
    litellm.post("/key/generate", key_alias=alias, metadata={"litemaas_set": "another"})
    done = keys.run()
    assert done["failed"]
    assert f"{alias} exist already and do not belong to the set" in done["msg"]
    assert "Nothing was changed" in done["msg"]
    assert [row["key_alias"] for row in keys.stored()] == [alias]
    assert keys.users() == []
    assert not keys.run(state="absent")["changed"]


@pytest.mark.parametrize("made", [True, False])
def test_an_email_of_another_user_is_refused(keys: Set, litellm: LiteLLM, made: bool):
    email = f"{keys.name}@example.com"
    listed = [{"key_alias": f"{keys.name}-a", "user_id": f"{keys.name}-a", "user_email": email}]
    if made:
        litellm.user(user_email=email.upper())
    else:
        listed.append({"key_alias": f"{keys.name}-b", "user_id": f"{keys.name}-b", "user_email": email})
    done = keys.run(prefix=..., count=..., keys=listed)
    assert done["failed"]
    assert "do not belong together" in done["msg"]
    assert email in done["msg"]
    assert keys.stored() == keys.users() == []


def test_a_users_email_and_settings_change_with_the_set(keys: Set):
    keys.run(domain="example.com", user_settings={"max_budget": 3, "tpm_limit": 5})
    done = keys.run(domain="Example.org", user_settings={"max_budget": 4})
    assert done["users"]["updated"] == keys.aliases(1, 2, 3)
    assert {(row["user_email"].partition("@")[2], row["max_budget"], row["tpm_limit"]) for row in keys.users()} == {("Example.org", 4, 5)}
    assert not keys.run(domain="example.org", user_settings={"max_budget": "4.00"})["changed"]


def test_users_are_not_made_when_nobody_wants_them(keys: Set, litellm: LiteLLM):
    done = keys.run(create_users=False)
    assert done["failed"]
    assert "LiteLLM has no users" in done["msg"]
    assert keys.stored() == []
    for alias in keys.aliases(1, 2, 3):
        litellm.user(user_id=alias)
    assert keys.run(create_users=False)["created"] == keys.aliases(1, 2, 3)


def test_purge_and_absent_take_what_carries_the_name_and_nothing_else(keys: Set, litellm: LiteLLM):
    other = Set(litellm)
    other.name = f"{keys.name}-other"
    other.options["prefix"] = f"{keys.name}-other-"
    other.run()
    keys.run(count=5)
    assert not keys.run(count=3)["changed"]
    predicted = keys.run(count=3, purge=True, check=True)
    done = keys.run(count=3, purge=True)
    assert predicted == done
    assert sorted(done["removed"]) == done["users"]["removed"] == keys.aliases(4, 5)
    assert not keys.run(count=3, purge=True)["changed"]
    assert len(keys.stored()) == len(keys.users()) == 6
    keys.run(state="absent")
    assert keys.stored() == other.stored()
    assert [row["key_alias"] for row in keys.stored()] == [f"{keys.name}-other-{number}" for number in (1, 2, 3)]
    assert len(keys.users()) == 3


def test_purge_with_an_empty_list_leaves_nothing(keys: Set):
    keys.run()
    empty = {"prefix": ..., "count": ..., "keys": []}
    assert not keys.run(**empty)["changed"]
    assert sorted(keys.run(**empty, purge=True)["removed"]) == keys.aliases(1, 2, 3)
    assert keys.stored() == keys.users() == []


def test_a_user_who_has_another_key_is_kept(keys: Set, litellm: LiteLLM):
    keys.run()
    [alias] = keys.aliases(2)
    litellm.post("/key/generate", key_alias=f"{keys.name}-own", user_id=alias)
    done = keys.run(state="absent")
    assert done["users"]["kept"] == [alias]
    assert [row["key_alias"] for row in keys.stored()] == [f"{keys.name}-own"]
    assert [row["user_id"] for row in keys.users()] == [alias]
    assert not keys.run(state="absent")["changed"]


def test_a_key_is_not_moved_to_its_end_by_another_run(keys: Set):
    keys.run(duration="30d")
    expires = [row["expires"] for row in keys.stored()]
    assert not keys.run(duration="1mo")["changed"]
    assert [row["expires"] for row in keys.stored()] == expires
    predicted = keys.run(duration="60d", check=True)
    done = keys.run(duration="60d")
    assert done["updated"] == predicted["updated"] == keys.aliases(1, 2, 3)
    assert [round((row["expires"] - before).total_seconds() / 86400) for row, before in zip(keys.stored(), expires, strict=True)] == [
        30
    ] * 3
    assert not keys.run(duration="60d")["changed"]


def test_what_litellm_cannot_clear_is_said(keys: Set, litellm: LiteLLM):
    keys.run(budget_duration="7d", max_budget=3)
    done = keys.run(budget_duration="unlimited")
    if litellm.old:
        assert done["failed"]
        assert "LiteLLM 1.81.0 can't clear budget_duration of a key: it still is 7d" in done["msg"]
        assert done["remaining"] == keys.aliases(1, 2, 3)
    else:
        assert done["updated"] == keys.aliases(1, 2, 3)
        assert [row["budget_duration"] for row in keys.stored()] == [None] * 3


def test_what_litellm_does_not_take_is_found_with_the_first_key(keys: Set, litellm: LiteLLM):
    if litellm.old:
        assert "created" in keys.run(object_permission={"mcp_servers": ["nobody"]})
        return
    done = keys.run(object_permission={"mcp_servers": ["nobody"]})
    assert done["failed"]
    assert "did not take object_permission" in done["msg"]
    assert done["created"] == []
    assert keys.stored() == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"count": 0}, "count: must be 1 or more"),
        ({"count": ...}, "count"),
        ({"prefix": " "}, "prefix: is empty"),
        ({"prefix": ..., "count": ...}, "keys, prefix"),
        ({"keys": [{"key_alias": "x"}]}, "mutually exclusive"),
        ({"max_budget": "much"}, "max_budget: must be a number"),
        ({"budget_duration": "fortnightly"}, "budget_duration: must be"),
        ({"duration": "soon"}, "duration: must be"),
        ({"metadata": {"litemaas_set": "x"}}, "metadata: litemaas_set is what this module writes itself"),
        ({"concurrency": 0}, "concurrency: must be 1 to 64"),
        ({"user_settings": {"max_budget": "-1"}}, "user_settings: max_budget: must be"),
        ({"team_id": "nowhere"}, "team_id: LiteLLM has no team 'nowhere'"),
        ({"prefix": ..., "count": ..., "keys": [{"key_alias": " "}]}, "key_alias of key number 1 is empty"),
        ({"prefix": ..., "count": ..., "keys": [{"key_alias": "a"}, {"key_alias": "b"}, {"key_alias": "a"}]}, "is the same for a."),
        ({"prefix": ..., "count": ..., "keys": [{"key_alias": "a", "key": "short"}]}, "keys: a: key: must begin with sk-"),
        ({"prefix": ..., "count": ..., "keys": [{"key_alias": "a", "max_budget": "x"}]}, "keys: a: max_budget: must be"),
        ({"prefix": ..., "count": ..., "keys": [{"key_alias": "a", "user_email": "a"}]}, "keys: a: user_email: must be an e-mail"),
        ({"domain": "two words"}, "user_email: must be an e-mail"),
        ({"name": " "}, "name: is empty"),
        ({"keys_file": "/no/such/folder/keys.json"}, "keys_file: there is no folder /no/such/folder"),
    ],
)
def test_bad_input_is_named_and_makes_nothing(keys: Set, options: dict[str, Any], says: str):
    done = keys.run(**options)
    assert done["failed"]
    assert says in done["msg"]
    assert keys.stored() == keys.users() == []


# Values: in the result, in a file, lost.


def values_in(file: Path) -> dict[str, str]:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    return json.loads(file.read_text())


def test_a_file_holds_the_values_instead_of_the_result(keys: Set, litellm: LiteLLM, tmp_path: Path):
    file = tmp_path / "keys.json"
    assert keys.run(keys_file=str(file), check=True)["changed"]
    assert not file.exists()
    made = keys.run(keys_file=str(file))
    assert not any("key" in key for key in made["virtual_keys"])
    assert {alias: hash_of(value) for alias, value in values_in(file).items()} == {row["key_alias"]: row["token"] for row in keys.stored()}
    assert all(opens(litellm, value) for value in values_in(file).values())
    assert not any("litemaas_run" in row["metadata"] or "litemaas_pending" in row["metadata"] for row in keys.stored())
    written = file.stat()
    again = keys.run(keys_file=str(file))
    assert (again["changed"], again["lost"]) == (False, [])
    assert file.stat() == written
    keys.run(keys_file=str(file), count=2, purge=True)
    assert sorted(values_in(file)) == keys.aliases(1, 2)
    assert keys.run(keys_file=str(file), state="absent", check=True)["changed"]
    assert sorted(values_in(file)) == keys.aliases(1, 2)
    keys.run(keys_file=str(file), state="absent")
    assert not file.exists()
    assert list(tmp_path.iterdir()) == []
    assert not keys.run(keys_file=str(file), state="absent")["changed"]


def test_the_file_is_written_before_the_first_value_is_sent(keys: Set, relay: Relay, tmp_path: Path):
    file, seen = tmp_path / "keys.json", []

    def look(asked: Asked) -> None:
        if asked.path == "/key/generate":
            seen.append(values_in(file)[asked.json["key_alias"]] == asked.json["key"])

    relay.fails = look
    keys.run(keys_file=str(file), url=relay.url)
    assert seen == [True] * 3


def test_a_file_that_others_could_read_is_closed(keys: Set, tmp_path: Path):
    file = tmp_path / "keys.json"
    keys.run(keys_file=str(file))
    values = values_in(file)
    file.chmod(0o644)
    assert keys.run(keys_file=str(file))["changed"]
    assert values_in(file) == values
    assert not keys.run(keys_file=str(file))["changed"]


def test_what_is_no_file_for_values_is_refused_before_anything_is_made(keys: Set, tmp_path: Path):
    (tmp_path / "real").write_text("{}")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("hello")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    for path, says in (
        ("link", "It is a link"),
        ("folder", "is not a file"),
        ("text", "does not hold aliases and values"),
        ("open/keys.json", "everybody may put files into"),
    ):
        done = keys.run(keys_file=str(tmp_path / path))
        assert done["failed"]
        assert says in done["msg"]
    assert keys.stored() == keys.users() == []
    assert (tmp_path / "real").read_text() == "{}"


def test_a_value_that_was_written_but_not_sent_is_sent(keys: Set, tmp_path: Path):
    file = tmp_path / "keys.json"
    values = {alias: f"sk-{alias}-written-before" for alias in keys.aliases(1, 2, 3)}
    file.write_text(json.dumps(values))
    keys.run(keys_file=str(file))
    assert values_in(file) == values
    assert {row["key_alias"]: row["token"] for row in keys.stored()} == {alias: hash_of(value) for alias, value in values.items()}


def test_keys_whose_values_the_file_lacks_are_named_and_rotated_when_asked(keys: Set, litellm: LiteLLM, tmp_path: Path):
    file = tmp_path / "keys.json"
    keys.run(keys_file=str(file), max_budget=5, duration="30d")
    values, before = values_in(file), {row["key_alias"]: row for row in keys.stored()}
    first, second, third = keys.aliases(1, 2, 3)
    litellm.post("/key/update", key=before[first]["token"], spend=1.5)
    file.write_text(json.dumps({second: "sk-something-quite-different", third: values[third]}))
    options = {"keys_file": str(file), "max_budget": 5, "duration": "30d"}
    reported = keys.run(**options)
    assert reported["lost"] == [first, second]
    assert "keys_file does not have" in str(reported["warnings"])
    assert {row["key_alias"]: row["token"] for row in keys.stored()} == {alias: row["token"] for alias, row in before.items()}
    assert keys.run(**options, on_lost="rotate", check=True)["rotated"] == [first, second]
    done = keys.run(**options, on_lost="rotate")
    assert (done["rotated"], done["lost"]) == ([first, second], [])
    now = {row["key_alias"]: row for row in keys.stored()}
    assert len(now) == 3
    assert {alias: row["token"] for alias, row in now.items()} == {alias: hash_of(value) for alias, value in values_in(file).items()}
    assert now[third]["token"] == before[third]["token"]
    assert values_in(file)[second] != "sk-something-quite-different"
    assert (now[first]["spend"], now[first]["max_budget"], now[first]["user_id"]) == (1.5, 5, first)
    assert abs((now[first]["expires"] - before[first]["expires"]).total_seconds()) < 60
    assert not keys.run(**options, on_lost="rotate")["changed"]


@pytest.mark.parametrize("with_file", [False, True])
@pytest.mark.parametrize("how", ["before", "after"])
def test_a_failure_in_the_middle_is_told_and_the_next_run_finishes(keys: Set, relay: Relay, tmp_path: Path, how: str, with_file: bool):
    options = {"count": 12, "concurrency": 3, **({"keys_file": str(tmp_path / "keys.json")} if with_file else {})}
    relay.fails = from_the(5, "/key/generate", how)
    done = keys.run(**options, url=relay.url)
    assert done["failed"]
    assert "no space left" in done["msg"]
    made = [row["key_alias"] for row in keys.stored()]
    assert 4 <= len(made) <= 7
    assert sorted(done["created"]) == sorted(made)
    assert sorted(done["remaining"]) == sorted(set(keys.aliases(*range(1, 13))) - set(made))
    assert done["users"]["created"] == keys.aliases(*range(1, 13))
    assert sorted(done["lost"]) == ([] if with_file else sorted(made))
    assert "sk-" not in json.dumps(done)

    finished = keys.run(**options)
    assert sorted(finished["created"] + made) == sorted(keys.aliases(*range(1, 13)))
    assert len(keys.stored()) == len(keys.users()) == 12
    if with_file:
        assert finished["lost"] == []
        assert {hash_of(value) for value in values_in(tmp_path / "keys.json").values()} == {row["token"] for row in keys.stored()}
        return
    assert sorted(finished["lost"]) == sorted(made)
    assert "nobody has" in str(finished["warnings"])
    assert not keys.run(**options)["changed"]
    rotated = keys.run(**options, on_lost="rotate")
    assert sorted(rotated["rotated"]) == sorted(made)
    values = {key["key"] for key in finished["virtual_keys"] + rotated["virtual_keys"] if "key" in key}
    assert {hash_of(value) for value in values} == {row["token"] for row in keys.stored()}
    assert not keys.run(**options, on_lost="rotate")["changed"]


@pytest.mark.parametrize("path", ["/user/new", "/key/generate"])
def test_an_answer_that_is_lost_is_no_failure(keys: Set, relay: Relay, path: str):
    relay.fails = from_the(3, path, "after")
    done = keys.run(url=relay.url)
    assert "failed" not in done or path == "/user/new"
    if path == "/user/new":  # the users are there, the keys were not begun
        assert done["users"]["created"] == keys.aliases(1, 2, 3)
        assert keys.run()["created"] == keys.aliases(1, 2, 3)
    else:
        assert [hash_of(key["key"]) for key in done["virtual_keys"]] == [row["token"] for row in keys.stored()]


def test_without_litellm_the_report_goes_by_its_answers(keys: Set, relay: Relay):
    down = threading.Event()

    def fails(asked: Asked) -> str | None:
        if asked.path == "/key/generate" and len([each for each in relay.asked if each.path == "/key/generate"]) > 4:
            down.set()
        return "before" if down.is_set() else None

    relay.fails = fails
    done = keys.run(count=9, concurrency=1, url=relay.url, retries=0)
    assert done["failed"]
    assert done["created"] == keys.aliases(1, 2, 3, 4) == [row["key_alias"] for row in keys.stored()]
    assert done["remaining"] == keys.aliases(5, 6, 7, 8, 9)
    assert keys.run(count=9)["created"] == keys.aliases(5, 6, 7, 8, 9)


def test_a_run_that_cannot_say_that_it_ended_well_gives_no_values(keys: Set, relay: Relay):
    relay.fails = from_the(1, "/key/update")  # the only one takes the mark away
    done = keys.run(url=relay.url)
    assert done["failed"]
    assert (done["created"], done["remaining"], done["lost"]) == (keys.aliases(1, 2, 3), [], keys.aliases(1, 2, 3))
    assert keys.run()["lost"] == keys.aliases(1, 2, 3)


def test_a_run_that_ends_well_leaves_no_mark(keys: Set):
    keys.run()
    assert not any("litemaas_pending" in row["metadata"] for row in keys.stored())
    assert len({row["metadata"]["litemaas_run"] for row in keys.stored()}) == 1
    keys.run(count=5)
    assert keys.run(count=5)["lost"] == []


@pytest.mark.parametrize("step", ["/key/update", "/key/generate", "/key/delete"])
@pytest.mark.parametrize("how", ["before", "after"])
@pytest.mark.parametrize("with_file", [False, True])
def test_a_rotation_that_broke_off_is_finished(
    keys: Set, litellm: LiteLLM, relay: Relay, tmp_path: Path, step: str, how: str, with_file: bool
):
    file = tmp_path / "keys.json"
    options = {"count": 2, "max_budget": 5, **({"keys_file": str(file)} if with_file else {})}
    if with_file:
        keys.run(**options)
        file.unlink()
    else:
        relay.fails = from_the(1, "/key/update", "before")
        assert keys.run(**options, url=relay.url)["failed"]  # the mark of lost values stays
    for row in keys.stored():
        litellm.post("/key/update", key=row["token"], spend=2.5)
    relay.fails = from_the(1, step, how)
    keys.run(**options, on_lost="rotate", url=relay.url)
    keys.run(**options, on_lost="rotate")
    finished = keys.run(**options, on_lost="rotate")
    assert (finished["changed"], finished["lost"]) == (False, [])
    assert [(row["key_alias"], row["spend"], row["max_budget"]) for row in keys.stored()] == [
        (alias, 2.5, 5) for alias in keys.aliases(1, 2)
    ]
    if with_file:
        assert [hash_of(values_in(file)[row["key_alias"]]) for row in keys.stored()] == [row["token"] for row in keys.stored()]


def test_the_mark_of_lost_values_outlives_its_key(keys: Set, relay: Relay):
    relay.fails = from_the(4, "/key/generate")
    keys.run(count=5, concurrency=1, url=relay.url)
    first, *others = keys.aliases(1, 2, 3)
    assert [row["key_alias"] for row in keys.stored() if "litemaas_pending" in row["metadata"]] == [first]
    rest = {"prefix": ..., "count": ..., "keys": [{"key_alias": alias, "user_id": alias} for alias in others]}
    assert keys.run(**rest, purge=True)["lost"] == others
    assert keys.run(**rest)["lost"] == others
    assert keys.run(**rest, on_lost="rotate")["rotated"] == others
    assert keys.run(**rest)["lost"] == []


def test_keys_that_have_expired_are_named_and_live_on_with_a_longer_duration(keys: Set, litellm: LiteLLM):
    keys.run(duration="30d")
    litellm.execute(
        "update \"LiteLLM_VerificationToken\" set created_at = created_at - interval '31 days', expires = expires - interval '31 days' "
        "where metadata->>'litemaas_set' = %s",
        keys.name,
    )
    expired = keys.run(duration="30d")
    assert not expired["changed"]
    assert f"Keys have expired; give a longer duration, or remove the set: {', '.join(keys.aliases(1, 2, 3))}" in str(expired["warnings"])
    done = keys.run(duration="60d")
    assert done["updated"] == keys.aliases(1, 2, 3)
    assert not keys.run(duration="60d")["changed"]


def test_a_value_of_ones_own_replaces_another(keys: Set, litellm: LiteLLM):
    alias, value = f"{keys.name}-k", f"sk-{keys.name}-mine"
    listed = {"prefix": ..., "count": ..., "keys": [{"key_alias": alias}]}
    keys.run(**listed)
    listed["keys"] = [{"key_alias": alias, "key": value}]
    assert keys.run(**listed)["rotated"] == [alias]
    assert [row["token"] for row in keys.stored()] == [hash_of(value)]
    assert not keys.run(**listed)["changed"]
    listed["keys"] = [{"key_alias": f"{keys.name}-other", "key": value}]
    done = keys.run(**listed)
    assert done["failed"]
    assert f"the value is another key's, {alias}" in done["msg"]
    assert value not in json.dumps(done)


def test_of_two_keys_with_one_alias_the_file_tells_which_stays(keys: Set, litellm: LiteLLM, tmp_path: Path):
    keys.run()
    first, second, third = keys.aliases(1, 2, 3)
    row = next(row for row in keys.stored() if row["key_alias"] == second)
    # LiteLLM refuses an alias twice unless two ask at once: the row is what such a race leaves.
    token = hash_of(f"sk-{second}-twin")
    copied = [column for column in row if column not in ("token", "created_at")]
    columns = ", ".join(f'"{column}"' for column in copied)
    litellm.execute(
        f'insert into "LiteLLM_VerificationToken" (token, created_at, {columns}) select %s, now(), {columns} '
        'from "LiteLLM_VerificationToken" where token = %s',
        token,
        row["token"],
    )
    done = keys.run()
    assert not done["changed"]
    assert second in str(done["warnings"])
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({second: f"sk-{second}-twin"}))
    done = keys.run(keys_file=str(file))
    assert done["lost"] == [first, third]
    assert [row["token"] for row in keys.stored() if row["key_alias"] == second] == [token]
    assert keys.run(state="absent")["changed"]
    assert keys.stored() == []


# How many requests it takes, and how many keys.


def test_a_run_that_changes_nothing_asks_once_for_a_hundred(keys: Set, litellm: LiteLLM, relay: Relay):
    keys.run(count=120, concurrency=16)
    [held] = litellm.rows(
        """select (select count(*) from "LiteLLM_VerificationToken") as keys, (select count(*) from "LiteLLM_UserTable") as users"""
    )
    assert not keys.run(count=120, url=relay.url)["changed"]
    assert relay.count("/key/list") <= -(-held["keys"] // 100)
    assert relay.count("/user/list") <= -(-held["users"] // 100)
    assert len(relay.asked) == relay.count("/key/list") + relay.count("/user/list")
    assert keys.run(state="absent", concurrency=2)["users"]["removed"] == sorted(keys.aliases(*range(1, 121)))


@pytest.mark.long
def test_a_thousand_keys(keys: Set):
    made = keys.run(count=1000, concurrency=16)
    values = {key["key"] for key in made["virtual_keys"]}
    assert {hash_of(value) for value in values} == {row["token"] for row in keys.stored()}
    assert len(values) == len(keys.users()) == 1000
    assert not keys.run(count=1000)["changed"]
    keys.run(state="absent")
    assert keys.stored() == keys.users() == []


# By a real ansible-playbook.


def task(keys: Set, **options: Any) -> dict[str, Any]:
    connection = {"url": keys.litellm.stack.litellm_url, "api_key": keys.litellm.stack.litellm_master_key}
    return {"rhpds.litemaas.litellm_keys": {**connection, "name": keys.name, "prefix": f"{keys.name}-", **options}, "register": "made"}


@pytest.mark.parametrize("with_file", [False, pytest.param(True, marks=pytest.mark.long)])
def test_killed_in_the_middle_of_200_the_next_run_ends_with_200(keys: Set, tmp_path: Path, with_file: bool):
    file = tmp_path / "keys.json"
    options = {"count": 200, **({"keys_file": str(file)} if with_file else {})}
    playbook = Playbook(tmp_path, [task(keys, **options)])
    playbook.killed_when(lambda: len(keys.stored()) >= 60)
    before = keys.stored()
    assert 60 <= len(before) < 200
    code, said = playbook.run()
    assert code == 0, said
    stored = keys.stored()
    assert (
        sorted(row["key_alias"] for row in stored) == sorted(keys.aliases(*range(1, 201))) == sorted(row["user_id"] for row in keys.users())
    )
    assert {row["token"] for row in before} <= {row["token"] for row in stored}
    if with_file:
        assert {alias: hash_of(value) for alias, value in values_in(file).items()} == {row["key_alias"]: row["token"] for row in stored}
        assert keys.run(**options)["changed"] is False
    else:
        lost = keys.run(**options)["lost"]
        assert set(lost) >= {row["key_alias"] for row in before}
        rotated = keys.run(**options, on_lost="rotate")
        assert {hash_of(key["key"]) for key in rotated["virtual_keys"] if "key" in key} <= {row["token"] for row in keys.stored()}
        assert sorted(rotated["rotated"]) == sorted(lost)
        assert len(keys.stored()) == 200
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".keys-")) == []


@pytest.mark.parametrize("connection", ["local", "ssh"])
def test_no_verbosity_shows_a_value(keys: Set, tmp_path: Path, connection: str):
    # What stands in for ssh runs here what it is told to run there; Ansible's own ssh connection is what displays.
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n')
    ssh.chmod(0o755)
    one = {"rhpds.litemaas.litellm_key": {"key_alias": f"{keys.name}-one"}, "register": "one"}
    one["rhpds.litemaas.litellm_key"] |= {option: task(keys)["rhpds.litemaas.litellm_keys"][option] for option in ("url", "api_key")}
    looped = task(keys, count=1)
    looped["rhpds.litemaas.litellm_keys"] |= {"name": f"{keys.name}-{{{{ item }}}}", "prefix": f"{keys.name}-{{{{ item }}}}-"}
    looped |= {"loop": ["a", "b"], "register": "looped"}
    lists = "[made.virtual_keys, looped.results | map(attribute='virtual_keys') | flatten]"
    values = f"{{{{ {lists} | flatten | map(attribute='key') + [one.key] }}}}"
    keep = {"ansible.builtin.copy": {"content": values, "dest": str(tmp_path / "values")}, "no_log": True}
    playbook = Playbook(tmp_path, [task(keys, count=2), looped, one, keep], "far", connection)
    playbook.environment |= {"ANSIBLE_PIPELINING": "1", "ANSIBLE_SSH_EXECUTABLE": str(ssh)}
    code, said = playbook.run("-vvvv", "--diff")
    assert code == 0, said
    kept = re.findall("sk-[A-Za-z0-9_-]+", (tmp_path / "values").read_text())
    assert {hash_of(value) for value in kept} == {row["token"] for row in keys.stored()}
    assert len(kept) == 5
    assert [value for value in (*kept, keys.litellm.stack.litellm_master_key) if value in said] == []
    assert [value for value in kept if value in playbook.of_callbacks()] == []
    assert f"{keys.name}-1" in said


def test_an_asynchronous_task_which_would_be_displayed_is_refused(keys: Set, tmp_path: Path):
    code, said = Playbook(tmp_path, [task(keys, count=1) | {"async": 60, "poll": 1}]).run("-v")
    assert code != 0
    assert "does not support async" in said
    assert keys.stored() == []
