"""A PostgreSQL like that of the stack's pods."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from conftest import Stack
from tests.support.render import Role

NAME = "ocp4_workload_litemaas"


@dataclass
class Volume:
    """A PostgreSQL server with a data folder of its own, made as the image's entrypoint makes it: who comes over the socket is trusted."""

    bin: Path
    folder: Path
    port: int
    user: int

    def run(self, *argv: str | Path, **environment: str) -> subprocess.CompletedProcess:
        home = {"PATH": f"{self.bin}:{os.environ['PATH']}", "PGHOST": str(self.folder), "PGPORT": str(self.port), "LC_ALL": "C"}
        user = self.user if os.getuid() == 0 else None
        return subprocess.run(
            [str(each) for each in argv], env=home | environment, cwd=self.folder, user=user, check=True, capture_output=True, text=True
        )

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self.run("pg_ctl", "start", "--wait", "-D", "data", "-l", "log", "-o", options)

    def stop(self) -> None:
        self.run("pg_ctl", "stop", "--mode=immediate", "-D", "data")

    def script(self, **environment: str) -> subprocess.CompletedProcess:
        given = {"POSTGRES_USER": "litellm", "POSTGRES_DB": "litemaas_db", "LITELLM_DB": "litellm"}
        return self.run("sh", self.folder / "databases.sh", **given | environment)

    def databases(self, password: str) -> set[str]:
        with psycopg.connect(host="127.0.0.1", port=self.port, user="litellm", password=password, dbname="litemaas_db") as connection:
            return {name for (name,) in connection.execute("SELECT datname FROM pg_database WHERE NOT datistemplate")}


@pytest.fixture
def volume(stack: Stack) -> Iterator[Volume]:
    """A volume with the database litemaas_db, and the password `old`."""
    programs = Path(os.readlink(f"/proc/{stack.pids['postgres']}/exe")).parent
    user = os.stat(stack.postgres_data).st_uid
    with tempfile.TemporaryDirectory() as name, socket.create_server(("127.0.0.1", 0)) as free:
        made = Volume(programs, Path(name), free.getsockname()[1], user)
        free.close()
        for file, text in Role(NAME).one("postgres_configmap")["data"].items():
            (made.folder / file).write_text(text)
        (made.folder / "password").write_text("old")
        if os.getuid() == 0:
            for path in (made.folder, made.folder / "password"):
                os.chown(path, user, -1)
        authentication = ("--auth-local=trust", "--auth-host=scram-sha-256")
        made.run("initdb", "-D", "data", "-U", "litellm", "--pwfile=password", "--no-sync", "--encoding=UTF8", *authentication)
        made.start()
        made.run("psql", "-q", "-U", "litellm", "-d", "postgres", "-c", "CREATE DATABASE litemaas_db")
        yield made
        made.stop()
