"""LiteLLM for real, with the configuration and the environment that the role gives its pods."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from conftest import Stack
from roles.litemaas_local.files.databases import migrate
from tests.integration.roles.conftest import Volume
from tests.support import older_deployment
from tests.support.http_stand_in import Asked, HttpStandIn
from tests.support.server import free_port
from tests.unit.roles.test_ocp4_workload_litemaas import OLDER, environment, one, role, secrets

PROVIDERS_KEY = "sk-of-the-provider"


@contextlib.contextmanager
def litellm(stack: Stack, folder: Path, config: str, **variables: str) -> Iterator[httpx.Client]:
    """Run the stack's LiteLLM a second time with this configuration and these variables; yield an administrator's client."""
    process = Path(f"/proc/{stack.pids['litellm']}")
    python, program = (process / "cmdline").read_text().split("\0")[:2]
    given = dict(line.split("=", 1) for line in (process / "environ").read_text().split("\0") if "=" in line)
    del given["LITELLM_SALT_KEY"]
    (folder / "config.yaml").write_text(config)
    port = str(free_port())
    argv = [python, program, "--config", "config.yaml", "--host", "127.0.0.1", "--port", port]
    with (folder / "log").open("w") as log, subprocess.Popen(argv, cwd=folder, env=given | variables, stdout=log, stderr=log) as running:
        headers = {"Authorization": f"Bearer {variables['LITELLM_MASTER_KEY']}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, timeout=60) as client:
            deadline = time.monotonic() + 120
            while not ready(client):
                assert running.poll() is None, (folder / "log").read_text()[-3000:]
                assert time.monotonic() < deadline, (folder / "log").read_text()[-3000:]
                time.sleep(0.3)
            yield client
        running.terminate()


def ready(client: httpx.Client) -> bool:
    try:
        return client.get("/health/readiness").status_code == 200
    except httpx.HTTPError:
        return False


def completion(asked: Asked) -> tuple[int, Any]:
    message = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": asked.headers.get("authorization", "")}}
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return 200, {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [message], "usage": usage}


def asked_with(client: httpx.Client) -> str:
    """Return what the provider was told to be the key, when the model stored in the database is asked."""
    deadline = time.monotonic() + 40  # models of the database come to a process some seconds after its start
    question = {"model": "stored", "messages": [{"role": "user", "content": "?"}]}
    while (answer := client.post("/v1/chat/completions", json=question)).status_code != 200:
        if time.monotonic() > deadline:
            return f"HTTP {answer.status_code}"
        time.sleep(1)
    return answer.json()["choices"][0]["message"]["content"]


@pytest.mark.long
def test_a_model_that_an_older_deployment_has_encrypted_works_after_the_upgrade(stack: Stack, volume: Volume, tmp_path: Path):
    rendered = role(OLDER, there=older_deployment.objects("litemaas"), ha_enable_redis=False, litellm_api_key="sk-a-new-master-key")
    new = secrets(rendered)
    config = one(rendered, "ConfigMap", "litellm-config")["data"]["config.yaml"]
    here = f"postgresql://litellm:old@127.0.0.1:{volume.port}/"
    python = Path(f"/proc/{stack.pids['litellm']}/cmdline").read_text().split("\0")[0]
    (migrations,) = Path(python).parents[1].glob("lib/python*/site-packages/litellm_proxy_extras/migrations")
    migrate(f"{here}litemaas_db", migrations)

    with HttpStandIn(completion) as provider:
        before = {"LITELLM_MASTER_KEY": older_deployment.LITELLM["LITELLM_MASTER_KEY"], "DATABASE_URL": f"{here}litemaas_db"}
        with litellm(stack, tmp_path, json.dumps({"general_settings": {"store_model_in_db": True}}), **before) as client:
            parameters = {"model": "openai/m", "api_base": f"{provider.url}/v1", "api_key": PROVIDERS_KEY}
            client.post("/model/new", json={"model_name": "stored", "litellm_params": parameters}).raise_for_status()
            assert asked_with(client) == f"Bearer {PROVIDERS_KEY}"

        # The pods' environment, with this machine's database in the cluster's place.
        variables = {
            name: value for name, value in environment(one(rendered, "Deployment", "litellm")).items() if name != "LITELLM_LICENSE"
        }
        pod = {name: value if isinstance(value, str) else new[value["secretKeyRef"]["name"]][value["secretKeyRef"]["key"]]
               for name, value in variables.items()}  # fmt: skip
        database = pod["DATABASE_URL"].rpartition("/")[2]
        with litellm(stack, tmp_path, config, **(pod | {"DATABASE_URL": f"{here}{database}"})) as client:
            assert asked_with(client) == f"Bearer {PROVIDERS_KEY}"
            user = client.post("/user/new", json={"auto_create_key": False}).raise_for_status().json()
            assert (user["max_budget"], user["budget_duration"], user["tpm_limit"], user["rpm_limit"]) == (2000.0, "1d", 400000, 500)
