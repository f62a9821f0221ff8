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
import psycopg
import pytest

from conftest import Stack
from roles.litemaas_local.files.databases import migrate
from tests.integration.roles.conftest import Volume
from tests.support import older_deployment
from tests.support.http_stand_in import Asked, HttpStandIn
from tests.support.server import COMMAND, free_port
from tests.unit.roles.test_ocp4_workload_litemaas import OLDER, environment, one, pod, role, secrets

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
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, timeout=60) as client:
                deadline = time.monotonic() + 120
                while not ready(client):
                    assert running.poll() is None, (folder / "log").read_text()[-3000:]
                    assert time.monotonic() < deadline, (folder / "log").read_text()[-3000:]
                    time.sleep(0.3)
                yield client
        finally:
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
        given = {name: value if isinstance(value, str) else new[value["secretKeyRef"]["name"]][value["secretKeyRef"]["key"]]
               for name, value in variables.items()}  # fmt: skip
        database = given["DATABASE_URL"].rpartition("/")[2]
        with litellm(stack, tmp_path, config, **(given | {"DATABASE_URL": f"{here}{database}"})) as client:
            assert asked_with(client) == f"Bearer {PROVIDERS_KEY}"
            user = client.post("/user/new", json={"auto_create_key": False}).raise_for_status().json()
            assert (user["max_budget"], user["budget_duration"], user["tpm_limit"], user["rpm_limit"]) == (2000.0, "1d", 400000, 500)


def test_the_nightly_job_removes_expired_keys_and_no_others(stack: Stack):
    job = one(role(), "CronJob", "litemaas-key-cleanup")
    (container,) = pod(job)["containers"]
    given = environment(job)
    assert given["LITELLM_API_KEY"] == {"secretKeyRef": {"name": "litellm-secret", "key": "LITELLM_MASTER_KEY"}}
    assert given["LITELLM_API_URL"] == "http://litellm:4000"
    headers = {"Authorization": f"Bearer {stack.litellm_master_key}"}
    with httpx.Client(base_url=stack.litellm_url, headers=headers, trust_env=False, timeout=30) as client:
        expired, valid = (client.post("/key/generate", json={"duration": "30d"}).raise_for_status().json()["token"] for _ in range(2))
        with psycopg.connect(stack.database_url, autocommit=True) as connection:
            connection.execute(
                """update "LiteLLM_VerificationToken" set expires = now() at time zone 'utc' - interval '2 days' where token = %s""",
                [expired],
            )
        # As the pod does it, with this machine's LiteLLM in the cluster's place.
        variables = given | {"LITELLM_API_URL": stack.litellm_url, "LITELLM_API_KEY": stack.litellm_master_key}
        done = subprocess.run([COMMAND, *container["args"]], env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        with psycopg.connect(stack.database_url) as connection:
            left = connection.execute('select token from "LiteLLM_VerificationToken" where token = any(%s)', [[expired, valid]]).fetchall()
        assert left == [(valid,)]
        client.post("/key/delete", json={"keys": [valid]}).raise_for_status()
