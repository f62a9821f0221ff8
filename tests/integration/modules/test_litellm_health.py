"""litellm_health against the real LiteLLM; what it stored of its models is read from its database."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from tests.integration.modules.conftest import LiteLLM, name
from tests.support.http_stand_in import Asked, HttpStandIn

MODULE = "litellm_health"


def checks(litellm: LiteLLM, model_name: str) -> list[dict[str, Any]]:
    return litellm.rows('select * from "LiteLLM_HealthCheckTable" where model_name = %s order by checked_at desc', model_name)


def nobody() -> str:
    """An address where nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_healthy_litellm_is_healthy_and_no_provider_is_called(litellm: LiteLLM):
    before = litellm.rows('select count(*) from "LiteLLM_HealthCheckTable"')
    report = litellm.run(MODULE)
    assert (report["changed"], report["healthy"], report["msg"]) == (False, True, "Healthy.")
    assert (report["reachable"], report["alive"], report["ready"], report["database"]) == (True, True, True, "connected")
    assert (report["probes"], report["history"]) == ([], [])
    assert litellm.rows('select count(*) from "LiteLLM_HealthCheckTable"') == before


def test_a_probe_calls_each_model_once_and_tells_what_it_found(litellm: LiteLLM):
    model_name = name("model")
    for _ in range(2):
        litellm.model(model_name=model_name)
    report = litellm.run(MODULE, probe_models=[model_name, "broken-mistral-7b", model_name])
    assert not report.get("failed")
    [good, broken] = report["probes"]
    assert good == {"model_name": model_name, "healthy": True, "healthy_count": 2, "unhealthy_count": 0, "errors": []}
    assert (broken["healthy"], broken["healthy_count"], broken["unhealthy_count"]) == (False, 0, 1)
    assert "the model is broken" in broken["errors"][0]
    assert "trace" not in broken["errors"][0].lower()
    assert (report["healthy"], report["msg"]) == (False, "Not healthy: broken-mistral-7b does not answer.")


def test_the_stored_health_of_served_models_is_reported(litellm: LiteLLM):
    model_name = name("model")
    litellm.model(model_name=model_name)
    litellm.http.get("/health", params={"model": model_name})
    litellm.http.get("/health", params={"model": f"{model_name}-gone"})  # LiteLLM stores that it is unhealthy
    while not (rows := checks(litellm, model_name)) or not checks(litellm, f"{model_name}-gone"):
        pass  # it stores them in the background
    report = litellm.run(MODULE, history=2)
    [stored] = [check for check in report["models"] if check["model_name"].startswith(model_name)]
    assert (stored["status"], stored["healthy_count"], stored["error"]) == ("healthy", 1, None)
    assert stored["checked_at"].startswith(rows[0]["checked_at"].isoformat(timespec="milliseconds")[:23])
    assert [check["model_name"] for check in report["history"]] == [f"{model_name}-gone", model_name]
    assert report["healthy"]  # it is only what was once stored


def test_an_unknown_model_is_refused_before_anything_is_probed(litellm: LiteLLM):
    unknown = name("model")
    before = len(checks(litellm, "qwen3-14b"))
    report = litellm.run(MODULE, probe_models=["qwen3-14b", unknown])
    assert report["failed"]
    assert f"probe_models: LiteLLM serves no model named {unknown}. Nothing was probed." in report["msg"]
    assert (checks(litellm, unknown), len(checks(litellm, "qwen3-14b"))) == ([], before)


def test_nothing_is_probed_in_check_mode(litellm: LiteLLM):
    before = checks(litellm, "qwen3-14b")
    report = litellm.run(MODULE, check=True, probe_models=["qwen3-14b"])
    assert (report["healthy"], report["probes"]) == (True, [])
    assert checks(litellm, "qwen3-14b") == before


def test_the_task_fails_only_when_told_to(litellm: LiteLLM):
    report = litellm.run(MODULE, probe_models=["broken-mistral-7b"], fail_when_unhealthy=True)
    assert report["failed"]
    assert report["msg"] == "Not healthy: broken-mistral-7b does not answer."
    assert (report["ready"], report["healthy"], len(report["probes"])) == (True, False, 1)
    assert not litellm.run(MODULE, fail_when_unhealthy=True).get("failed")


def test_an_unreachable_litellm_is_a_report(litellm: LiteLLM):
    report = litellm.run(MODULE, url=nobody(), retries=0, probe_models=["any"])
    assert not report.get("failed")
    assert "LiteLLM can't be reached at http://127.0.0.1:" in report["msg"]
    assert {report[name] for name in ("healthy", "reachable", "alive", "ready")} == {False}
    assert (report["database"], report["models"], report["probes"]) == (None, None, [])
    assert litellm.run(MODULE, url=nobody(), retries=0, fail_when_unhealthy=True)["failed"]


def test_something_else_at_the_address_is_a_report(litellm: LiteLLM):
    stand_in = HttpStandIn(lambda asked: (200, {"status": "fine"}))
    report = litellm.run(MODULE, url=stand_in.url)
    assert (report["reachable"], report["healthy"]) == (False, False)
    assert "does not answer /health/liveliness as LiteLLM does" in report["msg"]


@pytest.mark.parametrize("wrong", [{"api_key": "sk-of-nobody-1234567890"}, {"url": "litellm.example.com"}, {"history": 1001}])
def test_a_wrong_key_or_option_fails_the_task(litellm: LiteLLM, wrong: dict[str, Any]):
    report = litellm.run(MODULE, **wrong)
    assert report["failed"]
    assert next(iter(wrong)) in report["msg"]


def test_no_secret_of_a_probed_model_is_shown(litellm: LiteLLM):
    model_name = name("model")
    secrets = {"api_key": "hunter2-api", "extra_headers": {"X-Custom": "hunter2-header"}, "azure_ad_token": "hunter2-azure"}
    litellm.model(
        model_name=model_name, litellm_params={"model": "openai/x", "api_base": "http://bob:hunter2-url@127.0.0.1:1/v1", **secrets}
    )
    report = litellm.run(MODULE, probe_models=[model_name], history=5)
    assert report["probes"][0]["unhealthy_count"] == 1
    assert "hunter2" not in json.dumps(report)


@pytest.mark.parametrize(
    ("readiness", "database", "says"),
    [
        ((503, {"status": "healthy", "db": "disconnected"}), "disconnected", "LiteLLM has lost its database"),  # 1.106
        (
            (503, {"detail": "Service Unhealthy (no connection)"}),
            None,
            "not ready: {'detail': 'Service Unhealthy (no connection)'}",
        ),  # 1.81
        ((200, {"status": "disconnected", "db": "connected"}), "disconnected", "LiteLLM has lost its database"),  # 1.81, for a while
    ],
)
def test_a_lost_database_is_not_ready(litellm: LiteLLM, readiness: Any, database: str, says: str):
    """The stacks' database serves other tests, so its loss is played back."""
    stand_in = HttpStandIn(lambda asked: (200, "I'm alive!") if asked.path == "/health/liveliness" else readiness)
    report = litellm.run(MODULE, url=stand_in.url)
    assert (report["reachable"], report["alive"], report["ready"], report["database"]) == (True, True, False, database)
    assert says in report["msg"]


def test_a_shutting_down_litellm_is_not_alive(litellm: LiteLLM):
    stand_in = HttpStandIn(lambda asked: (503, {"status": "shutting_down"}))
    report = litellm.run(MODULE, url=stand_in.url)
    assert (report["reachable"], report["alive"], report["msg"]) == (True, False, "Not healthy: LiteLLM is shutting down.")


def test_a_failing_probe_is_not_paid_twice(litellm: LiteLLM):
    """LiteLLM itself breaks down under the probe, which the stacks' does not."""

    def answer(asked: Asked) -> tuple[int, Any]:
        if asked.path == "/health?model=m":
            return 500, {"detail": "Internal Server Error"}
        real = litellm.http.get(asked.path)
        body = (
            {"data": [{"model_name": "m", "litellm_params": {}, "model_info": {"id": "1"}}]} if "/model/info" in asked.path else real.json()
        )
        return real.status_code, body

    stand_in = HttpStandIn(answer)
    report = litellm.run(MODULE, url=stand_in.url, retries=3, probe_models=["m"])
    assert [asked.path for asked in stand_in.asked].count("/health?model=m") == 1
    assert (report["healthy"], report["probes"][0]["healthy"]) == (False, False)
    assert "HTTP 500" in report["probes"][0]["errors"][0]
