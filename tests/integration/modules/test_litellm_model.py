"""litellm_model against the real LiteLLM; the state is read from its database, what it serves from /model/info."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.rhpds.litemaas.plugins.modules import litellm_model

from tests.integration.modules.conftest import LiteLLM, name
from tests.support.http_stand_in import HttpStandIn

ROOT = Path(__file__).parents[3]
MODULE = "litellm_model"


def rows(litellm: LiteLLM, model_name: str) -> list[dict[str, Any]]:
    return litellm.rows('select * from "LiteLLM_ProxyModelTable" where model_name = %s order by created_at', model_name)


def served(litellm: LiteLLM, model_name: str) -> list[dict[str, Any]]:
    return [model for model in litellm.http.get("/model/info").json()["data"] if model["model_name"] == model_name]


@pytest.fixture
def model(litellm: LiteLLM) -> str:
    """A model's name; whatever has it goes when the test ends."""
    model_name = name("model")
    yield model_name
    for row in rows(litellm, model_name):
        litellm.http.post("/model/delete", json={"id": row["model_id"]})


def options(litellm: LiteLLM, model_name: str, **params: Any) -> dict[str, Any]:
    defaults = {"model": f"openai/{model_name}", "api_base": f"{litellm.stack.stub_url}/v1", "api_key": "provider-key-1"}
    return {"model_name": model_name, "litellm_params": defaults | params}


def test_create_again_change_absent_again(litellm: LiteLLM, model: str):
    wanted = options(litellm, model, rpm=60, input_cost_per_token="2e-7", tags=["a", "b"]) | {"model_info": {"mode": "chat"}}
    predicted = litellm.run(MODULE, check=True, **wanted)
    assert rows(litellm, model) == []
    made = litellm.run(MODULE, **wanted)
    assert made["changed"]
    assert predicted == made
    assert made["after"]["secrets_sent"] == ["api_key"]
    [row] = rows(litellm, model)
    assert (row["model_id"], row["model_info"]["mode"]) == (made["after"]["model_id"], "chat")
    assert (row["litellm_params"]["rpm"], row["litellm_params"]["input_cost_per_token"]) == (60, 2e-07)
    [serving] = served(litellm, model)
    assert serving["litellm_params"]["tags"] == ["a", "b"]

    again = litellm.run(MODULE, **wanted)
    assert not again["changed"], again["diff"]
    assert rows(litellm, model) == [row]

    change = {"model_name": model, "litellm_params": {"rpm": 70}}
    predicted = litellm.run(MODULE, check=True, **change)
    changed = litellm.run(MODULE, **change)
    assert changed["changed"]
    assert predicted == changed
    assert changed["diff"]["before"]["litellm_params"] | {"rpm": 70} == changed["diff"]["after"]["litellm_params"]
    [row] = rows(litellm, model)
    assert (row["litellm_params"]["rpm"], row["litellm_params"]["input_cost_per_token"]) == (70, 2e-07)
    assert row["model_info"]["mode"] == "chat"

    absent = {"model_name": model, "state": "absent"}
    assert litellm.run(MODULE, check=True, **absent)["changed"]
    assert len(rows(litellm, model)) == 1
    removed = litellm.run(MODULE, **absent)
    assert (removed["changed"], removed["after"]) == (True, None)
    assert rows(litellm, model) == []
    assert served(litellm, model) == []
    assert not litellm.run(MODULE, **absent)["changed"]


def test_a_model_made_by_the_module_answers_calls(litellm: LiteLLM, model: str):
    litellm.run(MODULE, **options(litellm, model))
    assert litellm.post("/v1/chat/completions", model=model, messages=[{"role": "user", "content": "hello"}])["choices"]


def test_the_id_of_a_name_is_the_same_everywhere(litellm: LiteLLM):
    wanted = options(litellm, "granite-of-a-test")
    ids = {litellm.run(MODULE, check=True, **wanted)["after"]["model_id"] for _ in range(2)}
    assert ids == {"49b5c59b-fe91-560b-b900-b8405e0c3e7d"}


def test_a_name_and_an_id_may_hold_any_character(litellm: LiteLLM):
    odd = f"{name('model')} a+b/ü?&#%:1"
    made = litellm.run(MODULE, **options(litellm, odd))
    assert rows(litellm, odd)[0]["model_id"] == made["after"]["model_id"]
    assert litellm.run(MODULE, model_name=odd, state="absent")["changed"]
    odd_id = odd.replace("/", "")
    litellm.run(MODULE, **options(litellm, odd), model_id=odd_id)
    assert litellm.run(MODULE, model_id=odd_id, litellm_params={"rpm": 5})["changed"]
    assert not litellm.run(MODULE, model_id=odd_id, litellm_params={"rpm": 5})["changed"]
    assert litellm.run(MODULE, model_id=odd_id, state="absent")["changed"]
    assert rows(litellm, odd) == []


def test_models_of_one_name_have_ids_of_their_own(litellm: LiteLLM, model: str):
    litellm.run(MODULE, **options(litellm, model))
    second = options(litellm, model, weight=2) | {"model_id": f"{model}-west"}
    assert litellm.run(MODULE, **second)["changed"]
    assert not litellm.run(MODULE, **second)["changed"]
    assert not litellm.run(MODULE, **options(litellm, model))["changed"]
    assert len(rows(litellm, model)) == len(served(litellm, model)) == 2
    removed = litellm.run(MODULE, model_name=model, state="absent")
    assert removed["changed"]
    assert f"still served by {model}-west (database)" in json.dumps(removed["warnings"])
    assert litellm.run(MODULE, model_id=f"{model}-west", state="absent")["changed"]
    assert rows(litellm, model) == []


def test_a_model_of_the_same_name_made_by_others_is_named_and_gets_no_twin(litellm: LiteLLM, model: str):
    litellm.post("/model/new", model_name=model, litellm_params={"model": "openai/x"}, model_info={"id": f"{model}-ui"})
    for check in (True, False):
        done = litellm.run(MODULE, check=check, **options(litellm, model))
        assert done["failed"]
        assert f"already served by {model}-ui (database)" in done["msg"]
    assert len(rows(litellm, model)) == 1
    done = litellm.run(MODULE, model_name=model, model_id=f"{model}-ui", litellm_params={"rpm": 5})
    assert (done["changed"], done["after"]["litellm_params"]) == (True, {"model": "openai/x", "rpm": 5})


def test_a_model_is_renamed_by_its_id(litellm: LiteLLM, model: str):
    litellm.run(MODULE, **options(litellm, name("model")), model_id=f"{model}-id")
    done = litellm.run(MODULE, model_id=f"{model}-id", model_name=model)
    assert done["after"]["model_name"] == model
    assert [row["model_id"] for row in rows(litellm, model)] == [f"{model}-id"]


def test_secrets_are_sent_on_creation_and_then_only_when_asked(litellm: LiteLLM, model: str):
    litellm.run(MODULE, **options(litellm, model))
    [first] = rows(litellm, model)
    other = options(litellm, model, api_key="provider-key-2")
    assert not litellm.run(MODULE, **other)["changed"]
    assert rows(litellm, model) == [first]

    predicted = litellm.run(MODULE, check=True, update_secret="always", **other)
    assert rows(litellm, model) == [first]
    done = litellm.run(MODULE, update_secret="always", **other)
    assert (done["changed"], predicted) == (True, done)
    assert done["diff"]["before"] | {"secrets_sent": ["api_key"]} == done["diff"]["after"]
    [row] = rows(litellm, model)
    assert {name for name, value in row["litellm_params"].items() if value != first["litellm_params"][name]} == {"api_key"}
    assert row["model_info"] == first["model_info"]
    assert litellm.run(MODULE, update_secret="always", **other)["changed"]  # LiteLLM can't be asked


SECRETS = {
    "api_key": "hunter2-api-key",
    "aws_session_token": "tok-hunter2",
    "vertex_ai_credentials": {"private_key": "hunter2-private", "type": "hunter2-type"},
    "extra_headers": {"X-Custom": "hunter2-header"},
    "azure_ad_token": "hunter2-ad",
    "some_secret": 902109210921,
    "base_url": "http://bob:hunter2-url@127.0.0.1:1/v1",
}


def test_no_secret_is_in_a_result(litellm: LiteLLM, model: str):
    wanted = options(litellm, model, **SECRETS)
    for check in (True, False):
        done = litellm.run(MODULE, check=check, **wanted)
        assert done["after"]["secrets_sent"] == sorted(SECRETS)
        assert done["after"]["litellm_params"] == {"model": f"openai/{model}", "api_base": f"{litellm.stack.stub_url}/v1"}
    again = litellm.run(MODULE, **wanted)
    assert not again["changed"]
    always = litellm.run(MODULE, update_secret="always", **wanted)
    wrong = litellm.run(MODULE, **options(litellm, model, **SECRETS, rpm="hunter2-api-key"))
    assert wrong["failed"]
    shown = json.dumps([done, again, always, wrong])
    assert "hunter2" not in shown
    assert "902109210921" not in shown


def test_a_secret_url_made_by_others_is_not_shown(litellm: LiteLLM, model: str):
    secret = {"model": "openai/x", "api_base": "http://bob:hunter2@127.0.0.1:1/v1"}
    litellm.post("/model/new", model_name=model, litellm_params=secret, model_info={"id": model})
    done = litellm.run(MODULE, model_id=model, litellm_params={"api_base": "http://127.0.0.1:1/v1"})
    assert done["before"]["litellm_params"]["api_base"] == "***"
    assert done["after"]["litellm_params"]["api_base"] == "http://127.0.0.1:1/v1"
    [serving] = served(litellm, model)
    assert serving["litellm_params"]["api_base"] == "http://127.0.0.1:1/v1"


def test_ansible_shows_no_secret_at_the_highest_verbosity(litellm: LiteLLM, model: str):
    wanted = options(litellm, model, api_key="hunter2-api-key")
    shown = "".join(litellm.shown_by_ansible(MODULE, *more, **wanted) for more in (["--check"], [], ["-e", "unused=1"]))
    assert f'"model": "openai/{model}"' in shown  # what is public is not hidden with it
    assert "hunter2" not in shown
    assert litellm.stack.litellm_master_key not in shown
    assert len(rows(litellm, model)) == 1


@pytest.mark.parametrize("price", ["0.000000123456789", 1.5e-06, 0])
def test_a_price_is_no_drift_however_litellm_spells_it(litellm: LiteLLM, model: str, price: Any):
    wanted = options(litellm, model, input_cost_per_token=price, cache_read_input_token_cost=price)
    predicted = litellm.run(MODULE, check=True, **wanted)
    done = litellm.run(MODULE, **wanted)
    again = litellm.run(MODULE, **wanted)
    assert not again["changed"], again["diff"]
    [row] = rows(litellm, model)
    assert row["litellm_params"]["input_cost_per_token"] == float(price)
    assert row["litellm_params"]["cache_read_input_token_cost"] == float(price)
    assert predicted["after"]["litellm_params"]["input_cost_per_token"] == done["after"]["litellm_params"]["input_cost_per_token"]
    changed = litellm.run(MODULE, model_name=model, litellm_params={"cache_read_input_token_cost": "3e-8"})
    assert changed["changed"]
    [row] = rows(litellm, model)
    assert row["litellm_params"]["cache_read_input_token_cost"] == 3e-08


def test_facts_are_written_and_others_stay(litellm: LiteLLM, model: str):
    litellm.run(MODULE, **options(litellm, model), model_info={"owner": "lab", "access_groups": ["one"]})
    done = litellm.run(MODULE, model_name=model, model_info={"access_groups": ["one", "two"]})
    assert done["diff"]["before"]["model_info"] == {"access_groups": ["one"]}
    [row] = rows(litellm, model)
    assert (row["model_info"]["owner"], row["model_info"]["access_groups"]) == ("lab", ["one", "two"])
    assert row["model_info"]["id"] == row["model_id"]


def test_null_clears_where_litellm_can_and_says_where_not(litellm: LiteLLM, model: str):
    litellm.run(MODULE, **options(litellm, model, rpm=5, input_cost_per_token=1e-06), model_info={"owner": "lab"})
    done = litellm.run(MODULE, model_name=model, litellm_params={"input_cost_per_token": None})
    if litellm.old:
        assert "LiteLLM 1.81.0 can't clear litellm_params.input_cost_per_token of a model" in done["msg"]
    else:
        assert done["changed"]
        assert "input_cost_per_token" not in rows(litellm, model)[0]["litellm_params"]
        assert not litellm.run(MODULE, model_name=model, litellm_params={"input_cost_per_token": None})["changed"]
    done = litellm.run(MODULE, model_name=model, litellm_params={"rpm": None, "tpm": 9}, model_info={"owner": None})
    assert done["failed"]
    assert "can't clear litellm_params.rpm and model_info.owner of a model" in done["msg"]
    [row] = rows(litellm, model)
    assert (row["litellm_params"]["rpm"], row["litellm_params"]["tpm"], row["model_info"]["owner"]) == (5, 9, "lab")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"litellm_params": {"rpm": 5}}, "litellm_params: needs model"),
        ({"litellm_params": {"model": ""}}, "litellm_params: model must be a text"),
        ({"litellm_params": {"model": "x", "input_cost_per_token": "cheap"}}, "input_cost_per_token must be a number of US dollars"),
        ({"litellm_params": {"model": "x", "output_cost_per_token": -1}}, "output_cost_per_token must be a number of US dollars"),
        ({"litellm_params": {"model": "x", "rpm": "many"}}, "rpm must be a whole number"),
        ({"model_info": {"id": "x"}}, "model_info: id belongs in the option model_id"),
        ({"model_name": " "}, "model_name: must not be empty"),
        ({"model_name": ..., "model_id": "no-such-id"}, "model_name: is needed, since LiteLLM has no model with the id no-such-id"),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_bad_input_is_named_and_makes_nothing(litellm: LiteLLM, model: str, wrong: dict[str, Any], says: str, check: bool):
    done = litellm.run(MODULE, check=check, **({"model_name": model} | wrong))
    assert done["failed"]
    assert says in done["msg"]
    assert rows(litellm, model) == []


def of_two_processes(reads: list[bool], **answer_to_writes: Any) -> HttpStandIn:
    """Answers like LiteLLM behind a balancer: a read finds the model (true) or comes to a process that has not read it yet."""
    entry = {"model_name": "late", "litellm_params": {"model": "x"}, "model_info": {"id": "late", "db_model": True}}
    return HttpStandIn(
        lambda asked: (
            (200, {"data": [entry] if reads.pop(0) else []})
            if asked.method == "GET"
            else (answer_to_writes.get("status", 200), answer_to_writes.get("body", {}))
        )
    )


def test_a_process_that_learns_late_is_waited_for(litellm: LiteLLM):
    """One LiteLLM process learns at once, so two are played."""
    late = {"model_name": "late", "model_id": "late", "litellm_params": {"model": "x"}}
    stand_in = of_two_processes([False, False, False, True])
    assert litellm.run(MODULE, url=stand_in.url, **late)["after"]["litellm_params"] == {"model": "x"}
    assert [asked.method for asked in stand_in.asked] == ["GET", "POST", "GET", "GET", "GET"]
    stand_in = of_two_processes([True, True, False])
    assert litellm.run(MODULE, url=stand_in.url, **late, state="absent")["changed"]
    assert [asked.method for asked in stand_in.asked] == ["GET", "POST", "GET", "GET"]


def test_an_id_that_only_another_process_knows_is_said_and_left_alone(litellm: LiteLLM, model: str):
    litellm.run(MODULE, **options(litellm, model))
    [row] = rows(litellm, model)
    body = {"model_name": model, "litellm_params": {"model": "x"}, "model_info": {"id": row["model_id"]}}
    refused = litellm.http.post("/model/new", json=body)
    assert refused.status_code == 500
    stand_in = of_two_processes([False, False, True], status=500, body=refused.json())
    done = litellm.run(MODULE, url=stand_in.url, model_name=model, model_id="late", litellm_params={"model": "x"})
    assert "Another LiteLLM process had a model late that this one had not read yet. Run the task again." in done["msg"]
    assert [asked.method for asked in stand_in.asked] == ["GET", "POST", "GET", "GET"]


UNSERVABLE = {"model": "of-no-provider"}


def test_a_model_that_litellm_cant_serve_is_not_kept(litellm: LiteLLM, model: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(litellm_model, "RELOAD", 2)
    done = litellm.run(MODULE, model_name=model, litellm_params=UNSERVABLE)
    assert "LiteLLM can't serve a model with these parameters" in done["msg"]
    assert rows(litellm, model) == []
    assert litellm.run(MODULE, **options(litellm, model))["changed"]


def test_a_change_that_litellm_cant_serve_is_set_back(litellm: LiteLLM, model: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(litellm_model, "RELOAD", 2)
    litellm.run(MODULE, **options(litellm, model, rpm=5))
    broken = litellm.run(MODULE, model_name=model, litellm_params=UNSERVABLE | {"rpm": 6})
    assert "LiteLLM accepted litellm_params, but 2 s later does not serve the model with it" in broken["msg"]
    assert broken["msg"].endswith("It was set back.")
    assert not broken["changed"]
    assert rows(litellm, model)[0]["litellm_params"]["rpm"] == 5
    assert not litellm.run(MODULE, **options(litellm, model, rpm=5))["changed"]
    assert litellm.post("/v1/chat/completions", model=model, messages=[{"role": "user", "content": "hello"}])["choices"]
    broken = litellm.run(MODULE, model_name=model, litellm_params=UNSERVABLE | {"tpm": 6})
    assert (broken["changed"], broken["msg"].endswith("All but litellm_params.tpm was set back.")) == (True, True)


def test_a_model_left_behind_that_litellm_cant_serve_is_mended(litellm: LiteLLM, model: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(litellm_model, "RELOAD", 2)
    wanted = options(litellm, model)
    model_id = litellm.run(MODULE, check=True, **wanted)["after"]["model_id"]
    litellm.http.post("/model/new", json={"model_name": model, "litellm_params": UNSERVABLE, "model_info": {"id": model_id}})
    assert len(rows(litellm, model)) == 1
    assert litellm.run(MODULE, update_secret="always", **wanted)["changed"]
    assert litellm.post("/v1/chat/completions", model=model, messages=[{"role": "user", "content": "hello"}])["choices"]
    assert len(rows(litellm, model)) == 1
    assert not litellm.run(MODULE, **wanted)["changed"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {"error": {"message": "{'error': \"Set `'STORE_MODEL_IN_DB='True'` in your env to enable this feature.\"}", "code": "500"}}),
        (400, {"error": {"message": "Model updates only supported for DB-stored models", "code": "400"}}),
    ],
)
def test_a_litellm_that_stores_no_models_is_told_what_to_set(litellm: LiteLLM, status: int, body: dict[str, Any]):
    """The stacks' LiteLLM stores models, so its words are played back."""
    stand_in = HttpStandIn(lambda asked: (200, {"data": []}) if asked.method == "GET" else (status, body))
    done = litellm.run(MODULE, url=stand_in.url, **options(litellm, "any"))
    assert done["failed"]
    assert "Set STORE_MODEL_IN_DB=True in its environment" in done["msg"]


CONFIGURED = "granite-3-8b-instruct"  # id and name of the one in the stack's configuration file


def test_a_model_of_the_configuration_file_is_seen_and_not_changed(litellm: LiteLLM):
    [before] = served(litellm, CONFIGURED)
    rpm = before["litellm_params"]["rpm"]
    fixed = {"model_id": CONFIGURED}
    assert not litellm.run(MODULE, **fixed, litellm_params={"rpm": rpm})["changed"]
    changes = (
        {"litellm_params": {"rpm": rpm + 1}},
        {"model_info": {"owner": "lab"}},
        {"litellm_params": {"api_key": "x"}, "update_secret": "always"},
        {"state": "absent"},
    )
    for change in changes:
        for check in (True, False):
            done = litellm.run(MODULE, check=check, **fixed, **change)
            assert f"{CONFIGURED} comes from LiteLLM's configuration file" in done["msg"]
    assert served(litellm, CONFIGURED) == [before]


def test_no_twin_is_added_to_a_model_of_the_configuration_file(litellm: LiteLLM):
    done = litellm.run(MODULE, **options(litellm, CONFIGURED))
    assert f"already served by {CONFIGURED} (configuration file)" in done["msg"]
    assert len(served(litellm, CONFIGURED)) == 1
