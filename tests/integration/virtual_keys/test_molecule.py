"""The molecule scenario, on the tests' stack."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg

from conftest import ROOT, Stack


def test_the_scenario_passes_and_leaves_nothing(stack: Stack, tmp_path: Path):
    whose = f"test-{os.getpid()}"  # the scenario names its keys and users after $USER
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "LITELLM_API_URL": stack.litellm_url,
        "LITELLM_API_KEY": stack.litellm_master_key,
        "USER": whose,
        "MOLECULE_EPHEMERAL_DIRECTORY": str(tmp_path),
        "ANSIBLE_HOME": str(tmp_path / "home"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".venv/ansible/collections"),
        "LC_ALL": "C.UTF-8",
        "NO_COLOR": "1",
    }
    environment.pop("ANSIBLE_CONFIG", None)
    command = ["molecule", "test", "--scenario-name", "virtual_keys"]
    done = subprocess.run(command, cwd=ROOT / "extensions", env=environment, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    for action in ("converge", "idempotence", "verify", "destroy"):
        assert f"{action}: Executed: Successful" in said
    assert stack.litellm_master_key not in said
    query = 'SELECT count(*) FROM "LiteLLM_VerificationToken" WHERE key_alias LIKE %(a)s OR user_id LIKE %(u)s'
    with psycopg.connect(stack.database_url) as connection:
        assert connection.execute(query, {"a": f"molecule-{whose}%", "u": f"%@{whose}.example.com"}).fetchone() == (0,)
