"""The script that PostgreSQL's pods run beside the server, run beside a real one: databases and password come out as the Secret says."""

from __future__ import annotations

import os
import shlex
import subprocess

import psycopg
import pytest

from tests.integration.roles.conftest import NAME, Volume
from tests.support.render import Role


def test_a_volume_gets_the_database_that_it_lacks(volume: Volume):
    assert volume.databases("old") == {"postgres", "litemaas_db"}
    volume.script(POSTGRES_PASSWORD="old")
    assert volume.databases("old") == {"postgres", "litemaas_db", "litellm"}


def test_a_second_start_changes_nothing(volume: Volume):
    volume.script(POSTGRES_PASSWORD="old")
    with psycopg.connect(host="127.0.0.1", port=volume.port, user="litellm", password="old", dbname="litellm") as connection:
        connection.execute("CREATE TABLE kept (id int)")
    volume.script(POSTGRES_PASSWORD="old")
    with psycopg.connect(host="127.0.0.1", port=volume.port, user="litellm", password="old", dbname="litellm") as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_the_volume_gets_the_password_of_the_secret(volume: Volume):
    strange = 'o\'ne "two" $three \\four :five'
    done = volume.script(POSTGRES_PASSWORD=strange)
    assert volume.databases(strange)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        volume.databases("old")
    assert "five" not in done.stdout + done.stderr + (volume.folder / "log").read_text()


def test_one_database_for_both_stays_one(volume: Volume):
    volume.script(POSTGRES_PASSWORD="old", LITELLM_DB="litemaas_db")
    assert volume.databases("old") == {"postgres", "litemaas_db"}


def test_the_database_that_holds_litellms_tables_is_found(volume: Volume):
    volume.run("psql", "-q", "-U", "litellm", "-d", "postgres", "-c", "CREATE DATABASE litellm_db")
    asking = shlex.split(Role(NAME).value("_ocp4_workload_litemaas_find_tables"))
    assert volume.run(*asking).stdout == ""
    volume.run("psql", "-q", "-U", "litellm", "-d", "litellm_db", "-c", 'CREATE TABLE "LiteLLM_UserTable" (user_id text)')
    assert volume.run(*asking).stdout == "litellm_db\n"


def test_it_waits_for_the_server(volume: Volume):
    volume.stop()
    waiting = subprocess.Popen(
        ["sh", volume.folder / "databases.sh"],
        env={"PATH": f"{volume.bin}:{os.environ['PATH']}", "PGHOST": str(volume.folder), "PGPORT": str(volume.port)}
        | {"POSTGRES_USER": "litellm", "POSTGRES_DB": "litemaas_db", "LITELLM_DB": "litellm", "POSTGRES_PASSWORD": "new"},
    )
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(timeout=1.5)
    volume.start()
    assert waiting.wait(timeout=30) == 0
    assert "litellm" in volume.databases("new")
