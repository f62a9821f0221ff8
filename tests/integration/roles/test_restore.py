"""What docs/operations.md says about saving and restoring, done with its own commands."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import psycopg
import yaml
from litemaas_mcp.backends.database import LITELLM_COLUMNS, LITEMAAS_COLUMNS

from conftest import ROOT
from tests.integration.roles.conftest import Volume
from tests.support.ansible_run import Playbook
from tests.support.clusters import Cluster, decoded
from tests.support.server import COMMAND

IN_POD = re.compile(r"^oc exec (?:-i )?-n litemaas litellm-postgres-0 -- (sh -c '.*') ([<>]) (\S+)$", re.MULTILINE)
READER_JOB = ROOT / "roles/ocp4_workload_litemaas_mcp/templates/reader_job.yaml.j2"
POD = {"POSTGRES_USER": "litellm", "POSTGRES_DB": "litemaas_db", "LITELLM_DB": "litellm", "POSTGRES_PASSWORD": "old"}


def section(title: str) -> list[tuple[str, str, str]]:
    """The commands for PostgreSQL's pod in a section: what runs in the pod, whether a file is read or written, and which."""
    text = (ROOT / "docs/operations.md").read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return IN_POD.findall(text)


def run(volume: Volume, folder: Path, command: str, way: str, file: str) -> None:
    volume.run("sh", "-c", f"{command} {way} {folder / file}", **POD)


def ask(volume: Volume, database: str, statement: str, user: str = "litellm", password: str = "old") -> list[tuple]:
    address = {"host": "127.0.0.1", "port": volume.port, "user": user, "password": password, "dbname": database, "autocommit": True}
    with psycopg.connect(**address) as connection:
        asked = connection.execute(statement)
        return asked.fetchall() if asked.description else []


def oc(title: str, beginning: str) -> str:
    """The command of a section that begins so, without its remark."""
    text = (ROOT / "docs/operations.md").read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    (line,) = re.findall(rf"^{re.escape(beginning)}.*$", text, re.MULTILINE)
    return line.partition(" #")[0].rstrip()


def create_reader(volume: Volume) -> None:
    """What the reader's Job runs."""
    server = f"postgresql://litellm:old@127.0.0.1:{volume.port}/"
    urls = {"ADMIN_DATABASE_URL": f"{server}litellm", "LITEMAAS_ADMIN_DATABASE_URL": f"{server}litemaas_db"}
    environment = {"PATH": os.environ["PATH"], "READER_PASSWORD": "reads", **urls}
    subprocess.run([COMMAND, "create-reader"], env=environment, check=True, capture_output=True)


TABLES = {"litellm": "LiteLLM_TeamTable", "litemaas_db": "models"}


def start(volume: Volume) -> None:
    """What LiteLLM and LiteMaaS's backend do when they start."""
    for database, table in TABLES.items():
        columns = (LITELLM_COLUMNS | LITEMAAS_COLUMNS)[table]
        ask(volume, database, f'CREATE TABLE "{table}" ({", ".join(f"{column} text" for column in columns)})')


def first_column(table: str) -> str:
    return (LITELLM_COLUMNS | LITEMAAS_COLUMNS)[table][0]


def test_what_is_saved_comes_back_with_the_readers_rights(volume: Volume):
    volume.script(POSTGRES_PASSWORD="old")
    start(volume)
    create_reader(volume)
    for database, table in TABLES.items():
        ask(volume, database, f"INSERT INTO \"{table}\" ({first_column(table)}) VALUES ('{database}')")
    save, restore = section("Save"), section("Restore")
    assert [(way, file) for _, way, file in save] == [(">", "litellm.dump"), (">", "litemaas.dump")]
    assert [(way, file) for _, way, file in restore] == [("<", "litellm.dump"), ("<", "litemaas.dump")]
    for each in save:
        run(volume, volume.folder, *each)
    for database, table in TABLES.items():
        ask(volume, database, f'DROP TABLE "{table}"; CREATE TABLE of_afterwards (id int)')
    for each in restore:
        run(volume, volume.folder, *each)
    come_back(volume)

    # The volume is lost: a new one has neither the rows nor the role. The Job that makes the role is gone by then, so it is run again.
    for database in TABLES:
        ask(volume, "postgres", f"DROP DATABASE {database} WITH (FORCE)")
    for statement in ("DROP ROLE litemaas_reader", "CREATE DATABASE litemaas_db"):
        ask(volume, "postgres", statement)
    (label,) = re.findall(r" -l app=(\S+)$", oc("Restore", "oc delete job -n litemaas "))
    assert f"'app': '{label}'" in READER_JOB.read_text()
    volume.script(POSTGRES_PASSWORD="old")
    start(volume)
    create_reader(volume)
    for each in restore:
        run(volume, volume.folder, *each)
    come_back(volume)


def come_back(volume: Volume) -> None:
    for database, table in TABLES.items():
        assert ask(volume, database, f'SELECT {first_column(table)} FROM "{table}"', "litemaas_reader", "reads") == [(database,)]
        assert ask(volume, database, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == [(table,)]


def test_saved_secrets_fit_where_they_were_made_anew(cluster: Cluster, namespace: str, tmp_path: Path):
    secrets = f"/api/v1/namespaces/{namespace}/secrets"

    def make(salt: str) -> None:
        body = {"metadata": {"name": "litellm-secret"}, "stringData": {"LITELLM_SALT_KEY": salt}}
        cluster.client.post(secrets, json=body).raise_for_status()

    # What oc prints, and what it applies with: kubernetes.core merges as it does.
    make("saved")
    saved = {"apiVersion": "v1", "kind": "Secret", **cluster.get(f"{secrets}/litellm-secret")}
    (tmp_path / "printed").write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": [saved]}))
    (tmp_path / "oc").write_text("#!/bin/sh\ncat printed\n")
    (tmp_path / "oc").chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-c", oc("Save", "oc get secret ")], cwd=tmp_path, env=path, check=True)
    cluster.client.delete(f"{secrets}/litellm-secret").raise_for_status()
    make("another")
    apply = Playbook(tmp_path, [{"kubernetes.core.k8s": {"apply": True, "src": str(tmp_path / oc("Restore", "oc apply ").split()[-1])}}])
    apply.environment |= cluster.environment
    code, said = apply.run()
    assert code == 0, said
    assert decoded(cluster.get(f"{secrets}/litellm-secret")) == {"LITELLM_SALT_KEY": "saved"}
