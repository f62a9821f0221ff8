"""The server's environment: settings.py defines it, and whoever starts the server gives it just that."""

from __future__ import annotations

from pathlib import Path

import yaml
from litemaas_mcp.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
# Of every process and of Kubernetes' clients, not ours.
NOT_OURS = {"PATH", "KUBECONFIG"}


def given_by_the_local_role() -> tuple[set[str], set[str]]:
    """The variables that the local role starts the server with: open ones, and those it keeps out of logs and process lists."""
    tasks = yaml.safe_load((ROOT / "roles/litemaas_local/tasks/server.yml").read_text())
    task = next(task["local_process"] for task in tasks if task.get("local_process", {}).get("name") == "server")
    return set(task["environment"]) - NOT_OURS, set(task["secret_environment"])


def test_the_local_role_gives_only_variables_that_the_server_reads():
    plain, secret = given_by_the_local_role()
    assert plain | secret <= {name.upper() for name in Settings.model_fields}


def test_the_local_role_gives_every_variable_that_the_server_needs():
    plain, secret = given_by_the_local_role()
    assert {name.upper() for name, field in Settings.model_fields.items() if field.is_required()} <= plain | secret


def test_the_local_role_hides_what_the_server_calls_a_secret():
    plain, secret = given_by_the_local_role()
    secrets = {name.upper() for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    assert secret <= secrets
    assert not plain & secrets
