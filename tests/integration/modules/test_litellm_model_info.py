"""litellm_model_info against the real LiteLLM, compared with its database."""

from __future__ import annotations

import json

from tests.integration.modules.conftest import LiteLLM, name


def test_every_model_is_listed_once(litellm: LiteLLM):
    for _ in range(3):  # twins, of one name and of one provider's model
        litellm.model(model_name="twins-of-a-test")
    listed = litellm.run("litellm_model_info")["models"]
    rows = litellm.rows('select model_id, model_name from "LiteLLM_ProxyModelTable" order by 1')
    assert sorted((model["model_id"], model["model_name"]) for model in listed if model["stored"]) == [tuple(row.values()) for row in rows]
    configured = litellm.http.get("/model/info", params={"litellm_model_id": "granite-3-8b-instruct"}).json()["data"][0]
    assert [model["model_name"] for model in listed if not model["stored"]] == [configured["model_name"]]
    assert not litellm.run("litellm_model_info", check=True)["changed"]


def test_models_are_filtered_by_name_and_id(litellm: LiteLLM):
    model_name = name("model")
    ids = sorted(litellm.model(model_name=model_name) for _ in range(2))
    litellm.model(model_name=f"{model_name}-other")
    listed = litellm.run("litellm_model_info", model_name=model_name)["models"]
    assert [model["model_id"] for model in listed] == ids
    assert [model["model_id"] for model in litellm.run("litellm_model_info", model_id=ids[1])["models"]] == ids[1:]
    assert litellm.run("litellm_model_info", model_name=model_name, model_id="another")["models"] == []


def test_prices_are_numbers_and_facts_are_there(litellm: LiteLLM):
    model_id = litellm.model(
        litellm_params={"model": "openai/x", "input_cost_per_token": 1.25e-06, "rpm": 5}, model_info={"mode": "chat", "owner": "lab"}
    )
    [model] = litellm.run("litellm_model_info", model_id=model_id)["models"]
    assert (model["litellm_params"]["input_cost_per_token"], model["litellm_params"]["rpm"]) == (1.25e-06, 5)
    assert (model["model_info"]["mode"], model["model_info"]["owner"]) == ("chat", "lab")
    assert None not in model["model_info"].values()


def test_no_secret_is_shown_even_where_litellm_shows_it(litellm: LiteLLM):
    secrets = {
        "api_key": "hunter2-api",
        "aws_session_token": "hunter2",  # 1.81 shows what has fewer than 8 characters
        "vertex_ai_credentials": '{"private_key": "hunter2-vertex"}',
        "extra_headers": {"X-Custom": "hunter2-header"},
        "api_base": "http://bob:hunter2-url@127.0.0.1:1/v1",
        "azure_ad_token": "hunter2-hunter2-hunter2",
    }
    model_id = litellm.model(litellm_params={"model": "openai/x", **secrets})
    raw = litellm.http.get("/model/info", params={"litellm_model_id": model_id}).text
    assert "hunter2-url" in raw  # LiteLLM does show it
    result = litellm.run("litellm_model_info", model_id=model_id)
    assert "hunt" not in json.dumps(result)
    assert {"api_base", "aws_session_token", "extra_headers"} <= set(result["models"][0]["hidden"])
    assert result["models"][0]["litellm_params"]["model"] == "openai/x"
