"""list_models and get_model_health against a real LiteLLM with models of the test's own."""

from __future__ import annotations

import asyncio
import time
import uuid
from datetime import UTC, datetime

import pytest
from litemaas_mcp.errors import Failure, Unavailable
from litemaas_mcp.tools.models import get_model_health, list_models

from tests.support.http_stand_in import HttpStandIn
from tests.support.tools import settings_of, started

pytestmark = pytest.mark.anyio

SECRETS = ("sk-upstream-secret-1234567890", "address-password", "address-key")
BROKEN = "http://someone:address-password@127.0.0.1:9/v1?key=address-key"


@pytest.fixture
def new_model(litellm, stack):
    """Makes deployments through LiteLLM's API, and deletes them. Returns the public name."""
    made: list[str] = []

    def make(name: str | None = None, info: dict | None = None, **params) -> str:
        name = name or f"t-{uuid.uuid4().hex[:12]}"
        model_id = uuid.uuid4().hex
        params = {"model": "openai/gpt-4o-mini", "api_base": f"{stack.stub_url}/v1", "api_key": SECRETS[0]} | params
        body = {"model_name": name, "litellm_params": params, "model_info": {"id": model_id, "mode": "chat"} | (info or {})}
        litellm.post("/model/new", json=body).raise_for_status()
        made.append(model_id)
        return name

    yield make
    for model_id in made:
        litellm.post("/model/delete", json={"id": model_id})


@pytest.fixture
def catalogue(litemaas_owner):
    """Puts models into LiteMaaS's table, and takes them out."""
    made: list[str] = []

    def put(name: str, **values) -> None:
        row = {"id": name, "name": name, "provider": "LiteMaaS says", "availability": "available"} | values
        litemaas_owner.execute(f"INSERT INTO models ({', '.join(row)}) VALUES ({', '.join(f'%({key})s' for key in row)})", row)
        made.append(name)

    yield put
    for name in made:
        litemaas_owner.execute("DELETE FROM models WHERE id = %s", [name])


async def model_of(backends, name: str) -> dict:
    answer = (await list_models(backends)).model_dump(mode="json", by_alias=True)
    return next(model for model in answer["models"] if model["model"] == name)


async def test_every_model_that_litellm_serves_is_there_once_with_those_of_its_config_file(backends, litellm, new_model):
    name = new_model()
    new_model(name)
    served = litellm.get("/model/info").json()["data"]
    answer = await list_models(backends)
    assert [model.model for model in answer.models] == sorted({deployment["model_name"] for deployment in served})
    assert next(model for model in answer.models if model.model == name).deployments == 2
    assert any(not deployment["model_info"]["db_model"] for deployment in served), "the stack's config file has a model"


@pytest.mark.parametrize(("per_token", "per_million"), [(3e-07, 0.3), (1e-07, 0.1), (2.5e-06, 2.5), (0.0, 0.0), (1.234567e-06, 1.234567)])
async def test_prices_are_exact(backends, new_model, per_token, per_million):
    name = new_model(input_cost_per_token=per_token, output_cost_per_token=per_token)
    model = await model_of(backends, name)
    assert (model["input_$/1M"], model["output_$/1M"]) == (per_million, per_million)


async def test_litemaass_row_is_joined(backends, new_model, catalogue):
    name = new_model(model="openai/something-without-a-price", tpm=1000, rpm=10)
    catalogue(
        name, restricted_access=True, input_cost_per_token="0.0000003", output_cost_per_token="0.0000006", tpm=5, rpm=5, max_tokens=4096
    )
    model = await model_of(backends, name)
    assert (model["provider"], model["restricted"], model["availability"]) == ("LiteMaaS says", True, "available")
    assert (model["input_$/1M"], model["output_$/1M"], model["max_tokens"]) == (0.3, 0.6, 4096)
    assert (model["tpm"], model["rpm"]) == (1000, 10)


async def test_what_litemaas_says_is_unavailable_is(backends, new_model, catalogue):
    name = new_model()
    catalogue(name, availability="unavailable")
    assert (await model_of(backends, name))["availability"] == "unavailable"


async def test_a_model_that_litemaas_does_not_know_has_no_known_restriction(backends, new_model):
    model = await model_of(backends, new_model())
    assert (model["restricted"], model["provider"], model["availability"], model["mode"]) == (None, "openai", "available", "chat")


async def test_limits_of_deployments_add_up_and_one_without_makes_none(backends, new_model):
    limited = new_model(tpm=1000, rpm=10)
    new_model(limited, tpm=500, rpm=5)
    half = new_model(tpm=1000, rpm=10)
    new_model(half)
    assert ((await model_of(backends, limited))["tpm"], (await model_of(backends, limited))["rpm"]) == (1500, 15)
    assert ((await model_of(backends, half))["tpm"], (await model_of(backends, half))["rpm"]) == (None, None)


async def test_a_model_of_litemaas_that_is_not_served_is_told_apart(backends, catalogue):
    name = f"gone-{uuid.uuid4().hex[:8]}"
    catalogue(name)
    answer = await list_models(backends)
    assert name in answer.not_served
    assert name not in {model.model for model in answer.models}
    assert name in answer.text()


async def test_models_are_listed_without_litemaass_table(alone, new_model):
    name = new_model(input_cost_per_token=0, output_cost_per_token=0)
    answer = await list_models(alone)
    assert next(model for model in answer.models if model.model == name).restricted is None
    assert "no LiteMaaS table" in answer.text()


async def test_models_are_listed_while_the_database_is_down(stack, new_model):
    name = new_model()
    down = "postgresql://u:p@127.0.0.1:9/d"
    async with started(settings_of(stack, database_url=down, litemaas_database_url=down)) as backends:
        answer = await list_models(backends)
        assert name in {model.model for model in answer.models}
        assert "could not be read" in answer.text()
        assert (await get_model_health(backends, model=name)).healthy == 1


async def test_a_healthy_model(backends, new_model):
    name = new_model()
    answer = await get_model_health(backends, model=name)
    assert (answer.healthy, answer.unhealthy, answer.live, answer.unchecked) == (1, 0, True, [])
    assert answer.endpoints[0].model == name
    assert "live=false" in answer.text()


async def test_an_unhealthy_model_is_an_answer_without_secrets(backends, new_model):
    """LiteLLM 1.106 answers it with HTTP 503, and tells the address with its password."""
    name = new_model(api_base=BROKEN)
    answer = await get_model_health(backends, model=name)
    assert (answer.healthy, answer.unhealthy) == (0, 1)
    endpoint = answer.endpoints[0]
    assert (endpoint.model, endpoint.healthy, endpoint.host) == (name, False, "127.0.0.1:9")
    assert endpoint.error
    assert "Traceback" not in endpoint.error
    assert len(endpoint.error) <= 300
    everything = answer.model_dump_json() + answer.text()
    assert not [secret for secret in SECRETS if secret in everything]


async def test_all_models_at_once(backends, new_model):
    good, bad = new_model(), new_model(api_base=BROKEN)
    answer = await get_model_health(backends)
    state = {endpoint.model: endpoint.healthy for endpoint in answer.endpoints}
    assert state[bad] is False
    assert any(healthy for name, healthy in state.items() if good in name)
    assert answer.healthy + answer.unhealthy == len(answer.endpoints)
    assert not answer.endpoints[0].healthy, "what needs attention comes first"


async def test_an_unknown_model_is_an_error_and_asks_no_provider(backends, new_model, owner):
    name = new_model()
    typed = name[:-1]
    with pytest.raises(Failure, match=f"model: there is no model '{typed}'. Did you mean {name}"):
        await get_model_health(backends, model=typed)
    assert owner.execute('SELECT count(*) FROM "LiteLLM_HealthCheckTable" WHERE model_name = %s', [typed]).fetchone()[0] == 0


async def test_the_stored_check_is_told_without_asking_the_provider(backends, new_model, owner):
    name = new_model()
    before = await get_model_health(backends, model=name, live=False)
    assert (before.stored_checks, before.unchecked, before.endpoints) == ([], [name], [])
    await get_model_health(backends, model=name)
    count = 'SELECT count(*) FROM "LiteLLM_HealthCheckTable" WHERE model_name = %s'
    for _ in range(100):  # LiteLLM stores it a moment after it has answered
        if checks := owner.execute(count, [name]).fetchone()[0]:
            break
        await asyncio.sleep(0.1)
    after = await get_model_health(backends, model=name, live=False)
    assert [(check.model, check.status) for check in after.stored_checks] == [(name, "healthy")]
    assert (after.healthy, after.unhealthy, after.live) == (1, 0, False)
    assert owner.execute(count, [name]).fetchone()[0] == checks


async def test_stored_checks_are_told_while_litellm_is_down(stack, scratch):
    check = {"model_name": "m1", "status": "unhealthy", "healthy_count": 0, "unhealthy_count": 1, "updated_at": datetime.now(UTC)}
    scratch.insert("LiteLLM_HealthCheckTable", health_check_id="h", **check)
    changes = {"litellm_api_url": "http://127.0.0.1:9", "database_url": scratch.url, "litemaas_database_url": None}
    async with started(settings_of(stack, **changes)) as backends:
        answer = await get_model_health(backends, live=False)
        assert [(check.model, check.status) for check in answer.stored_checks] == [("m1", "unhealthy")]
        assert "can't be reached" in answer.text()
        with pytest.raises(Unavailable, match="live=false"):
            await get_model_health(backends)


async def test_a_health_check_that_litellm_answers_with_something_else_is_no_health(stack):
    def answer(asked):
        if asked.path.startswith("/health"):
            return 503, {"error": {"message": "no database"}}
        return 200, {"data": [{"model_name": "m", "litellm_params": {}, "model_info": {}}]}

    with HttpStandIn(answer) as stand_in:
        async with started(settings_of(stack, litellm_api_url=stand_in.url)) as backends:
            with pytest.raises(Unavailable, match="something else"):
                await get_model_health(backends)


async def test_a_check_that_takes_too_long_says_what_to_do(stack):
    def slowly(asked):
        if asked.path.startswith("/health"):
            time.sleep(1.5)
        return 200, {"data": [{"model_name": "m", "litellm_params": {}, "model_info": {}}]}

    with HttpStandIn(slowly) as stand_in:
        async with started(settings_of(stack, litellm_api_url=stand_in.url, model_health_timeout=0.5)) as backends:
            with pytest.raises(Unavailable, match=r"did not answer within 0\.5 s.*live=false"):
                await get_model_health(backends, model="m")
