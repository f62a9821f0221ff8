"""`litemaas-mcp probe-databases` against the stack's databases, and against what is none."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from conftest import Stack
from tests.support.server import COMMAND


def probe(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [COMMAND, "probe-databases", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_it_says_which_database_is_litellms(stack: Stack, tmp_path: Path):
    report = tmp_path / "report"
    done = probe("--report", str(report), DATABASE_URL=stack.litemaas_database_url, LITELLM_DATABASE_URL=stack.database_url)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"DATABASE_URL": {"litellm": False}, "LITELLM_DATABASE_URL": {"litellm": True}}
    assert json.loads(report.read_text()) == json.loads(done.stdout)


def test_it_says_why_a_database_does_not_answer_and_no_password(stack: Stack):
    wrong = re.sub("(://[^:]+:)[^@]+@", r"\g<1>of-last-week@", stack.database_url)
    missing = stack.database_url.rpartition("/")[0] + "/nowhere"
    done = probe(DATABASE_URL=wrong, LITELLM_DATABASE_URL=missing)
    answers = json.loads(done.stdout)
    assert answers["DATABASE_URL"]["error"].startswith("password authentication failed for user")
    assert answers["LITELLM_DATABASE_URL"]["error"] == 'database "nowhere" does not exist'
    assert "of-last-week" not in done.stdout + done.stderr
    unreachable = probe(DATABASE_URL="postgresql://a:b@127.0.0.1:9/c", LITELLM_DATABASE_URL="nonsense")
    answers = json.loads(unreachable.stdout)
    assert answers["DATABASE_URL"]["error"] == "the server can't be reached (ConnectionRefusedError)"
    assert "postgresql://user:password@host:port/database" in answers["LITELLM_DATABASE_URL"]["error"]


def test_it_wants_both():
    done = probe(DATABASE_URL="postgresql://a:b@127.0.0.1:9/c")
    assert (done.returncode, done.stdout) == (2, "")
    assert "set LITELLM_DATABASE_URL to" in done.stderr
