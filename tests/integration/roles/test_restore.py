"""What docs/operations.md says about saving and restoring, done with its own commands."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg

from conftest import ROOT
from tests.integration.roles.conftest import Volume

COMMAND = re.compile(r"^oc exec (?:-i )?-n litemaas litellm-postgres-0 -- (sh -c '.*') ([<>]) (\S+)$", re.MULTILINE)
POD = {"POSTGRES_USER": "litellm", "POSTGRES_DB": "litemaas_db", "LITELLM_DB": "litellm", "POSTGRES_PASSWORD": "old"}


def section(title: str) -> list[tuple[str, str, str]]:
    """The commands for PostgreSQL's pod in a section: what runs in the pod, whether a file is read or written, and which."""
    text = (ROOT / "docs/operations.md").read_text().partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return COMMAND.findall(text)


def run(volume: Volume, folder: Path, command: str, way: str, file: str) -> None:
    volume.run("sh", "-c", f"{command} {way} {folder / file}", **POD)


def ask(volume: Volume, database: str, statement: str, user: str = "litellm", password: str = "old") -> list[tuple]:
    address = {"host": "127.0.0.1", "port": volume.port, "user": user, "password": password, "dbname": database, "autocommit": True}
    with psycopg.connect(**address) as connection:
        asked = connection.execute(statement)
        return asked.fetchall() if asked.description else []


def test_what_is_saved_comes_back_with_the_readers_rights(volume: Volume):
    volume.script(POSTGRES_PASSWORD="old")
    ask(volume, "postgres", "CREATE ROLE litemaas_reader LOGIN PASSWORD 'reads'")
    for database in ("litellm", "litemaas_db"):
        ask(volume, database, f"CREATE TABLE kept AS SELECT '{database}' AS said; GRANT SELECT ON kept TO litemaas_reader")
    save, restore = section("Save"), section("Restore")
    assert [(way, file) for _, way, file in save] == [(">", "litellm.dump"), (">", "litemaas.dump")]
    assert [(way, file) for _, way, file in restore] == [("<", "litellm.dump"), ("<", "litemaas.dump")]
    for each in save:
        run(volume, volume.folder, *each)
    ask(volume, "litellm", "DROP TABLE kept")
    ask(volume, "litemaas_db", "UPDATE kept SET said = 'something else'; CREATE TABLE of_afterwards (id int)")
    for each in restore:
        run(volume, volume.folder, *each)
    for database in ("litellm", "litemaas_db"):
        assert ask(volume, database, "SELECT said FROM kept", "litemaas_reader", "reads") == [(database,)]
        tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        assert ask(volume, database, tables) == [("kept",)]
