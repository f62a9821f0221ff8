"""create-reader: run against the stack's databases under a role of the test's own."""

from __future__ import annotations

import base64
import os
import subprocess
import uuid
from urllib.parse import urlsplit

import psycopg
import pytest
from litemaas_mcp.backends.database import LITELLM_COLUMNS, LITEMAAS_COLUMNS
from litemaas_mcp.reader import scram

from tests.support.server import COMMAND

PASSWORD = "p@ss/w#rd 'quoted\" %41"


@pytest.fixture
def admin(stack) -> dict[str, str]:
    """The URLs of both databases as PostgreSQL's superuser."""
    urls = {"ADMIN_DATABASE_URL": stack.database_url, "LITEMAAS_ADMIN_DATABASE_URL": stack.litemaas_database_url}
    return {name: stack.as_superuser(url) for name, url in urls.items()}


@pytest.fixture
def litellm_database(admin):
    with psycopg.connect(admin["ADMIN_DATABASE_URL"], autocommit=True) as connection:
        yield connection


@pytest.fixture
def litemaas_database(admin):
    with psycopg.connect(admin["LITEMAAS_ADMIN_DATABASE_URL"], autocommit=True) as connection:
        yield connection


@pytest.fixture
def role(litellm_database, litemaas_database):
    name = f"reader_{uuid.uuid4().hex[:12]}"
    yield name
    if litellm_database.execute("SELECT true FROM pg_roles WHERE rolname = %s", [name]).fetchone():
        for connection in (litellm_database, litemaas_database):
            connection.execute(f"DROP OWNED BY {name}")
        litellm_database.execute(f"DROP ROLE {name}")


def create_reader(admin: dict[str, str], role: str, **environment: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "READER_PASSWORD": PASSWORD, **admin, **environment}
    return subprocess.run([COMMAND, "create-reader", "--role", role], env=environment, capture_output=True, text=True, timeout=60)


def grants(connection: psycopg.Connection, role: str) -> set[tuple[str, str, str]]:
    rows = connection.execute(
        "SELECT table_name, column_name, privilege_type FROM information_schema.column_privileges WHERE grantee = %s", [role]
    )
    return set(rows.fetchall())


def expected(columns: dict[str, tuple[str, ...]]) -> set[tuple[str, str, str]]:
    return {(table, column, "SELECT") for table, names in columns.items() for column in names}


def test_the_role_gets_exactly_what_the_server_reads(admin, role, litellm_database, litemaas_database):
    result = create_reader(admin, role)
    assert result.returncode == 0, result.stderr
    assert grants(litellm_database, role) == expected(LITELLM_COLUMNS)
    assert grants(litemaas_database, role) == expected(LITEMAAS_COLUMNS)
    rights = "rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolconfig"
    row = litellm_database.execute(f"SELECT {rights} FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    assert row == (True, False, False, False, False, False, ["default_transaction_read_only=on"])
    assert "LiteLLM_UserTable" in result.stdout
    assert PASSWORD not in result.stdout + result.stderr


def test_the_role_enters_with_its_password_and_no_other(admin, role):
    create_reader(admin, role)
    parts = urlsplit(admin["ADMIN_DATABASE_URL"])
    login = {"host": parts.hostname, "port": parts.port, "dbname": parts.path[1:], "user": role}
    with psycopg.connect(**login, password=PASSWORD) as reader:
        reader.execute('SELECT user_id FROM "LiteLLM_UserTable"')
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(**login, password=PASSWORD + "x")


def test_again_it_changes_nothing_and_takes_back_what_is_too_much(admin, role, litellm_database, litemaas_database):
    create_reader(admin, role)
    litellm_database.execute(
        f'GRANT SELECT ON "LiteLLM_ProxyModelTable" TO {role}; GRANT SELECT (password) ON "LiteLLM_UserTable" TO {role}'
    )
    litemaas_database.execute(f"GRANT SELECT ON api_keys TO {role}")
    assert create_reader(admin, role).returncode == 0
    assert grants(litellm_database, role) == expected(LITELLM_COLUMNS)
    assert grants(litemaas_database, role) == expected(LITEMAAS_COLUMNS)


def test_rights_by_way_of_public_are_reported(admin, role, litemaas_database):
    table = f"public_{uuid.uuid4().hex[:8]}"
    litemaas_database.execute(f"CREATE TABLE {table} (secret text); GRANT SELECT ON {table} TO PUBLIC")
    try:
        assert (
            f"WARNING: the role may read more than it needs, granted to PUBLIC or to a role that it is a member of: {table}"
            in create_reader(admin, role).stdout
        )
    finally:
        litemaas_database.execute(f"DROP TABLE {table}")


def test_an_owner_or_administrator_is_never_made_a_reader(admin, stack, litellm_database):
    role = urlsplit(stack.database_url).username
    before = litellm_database.execute("SELECT rolcreaterole, rolsuper, rolconfig FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    result = create_reader(admin, role)
    assert result.returncode == 1
    assert "--role:" in result.stderr
    assert (
        litellm_database.execute("SELECT rolcreaterole, rolsuper, rolconfig FROM pg_roles WHERE rolname = %s", [role]).fetchone() == before
    )


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"ADMIN_DATABASE_URL": ""}, "ADMIN_DATABASE_URL"),
        ({"READER_PASSWORD": ""}, "READER_PASSWORD"),
        ({"ADMIN_DATABASE_URL": "postgresql://u:a-secret@127.0.0.1:9/d"}, "can't be reached"),
        ({"ADMIN_DATABASE_URL": "mysql://u:a-secret@127.0.0.1:9/d"}, "not of the form"),
    ],
)
def test_what_is_missing_or_wrong_is_named(admin, role, environment, told):
    result = create_reader(admin, role, **environment)
    assert result.returncode == 1
    assert told in result.stderr
    assert "a-secret" not in result.stdout + result.stderr


def test_a_database_that_is_neither_is_refused_and_left_without_the_role(admin, role, litellm_database):
    url = admin["ADMIN_DATABASE_URL"].rpartition("/")[0] + "/postgres"
    result = create_reader(admin, role, ADMIN_DATABASE_URL=url, LITEMAAS_ADMIN_DATABASE_URL="")
    assert result.returncode == 1
    assert "neither LiteLLM's nor LiteMaaS's tables" in result.stderr
    assert litellm_database.execute("SELECT true FROM pg_roles WHERE rolname = %s", [role]).fetchone() is None


def test_litemaas_own_database_may_be_empty_until_its_backend_has_run(admin, role, litellm_database):
    database = f"empty_{uuid.uuid4().hex[:8]}"
    litellm_database.execute(f"CREATE DATABASE {database}")
    url = admin["LITEMAAS_ADMIN_DATABASE_URL"].rpartition("/")[0] + f"/{database}"
    try:
        result = create_reader(admin, role, LITEMAAS_ADMIN_DATABASE_URL=url)
        assert result.returncode == 0, result.stderr
        assert f"{database}: has no tables of LiteMaaS yet; once its backend has made them, run this again" in result.stdout
        assert grants(litellm_database, role) == expected(LITELLM_COLUMNS)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE models (id text, api_key text)")
            assert create_reader(admin, role, LITEMAAS_ADMIN_DATABASE_URL=url).returncode == 0
            assert grants(connection, role) == {("models", "id", "SELECT")}
    finally:
        litellm_database.execute(f"DROP DATABASE {database} WITH (FORCE)")


def test_a_reader_cannot_make_readers(admin, stack, role):
    result = create_reader(admin, role, ADMIN_DATABASE_URL=stack.database_readonly_url, LITEMAAS_ADMIN_DATABASE_URL="")
    assert result.returncode == 1
    assert "may not do this" in result.stderr


@pytest.mark.parametrize("password", ["plain", PASSWORD, "pä§wörd"])
def test_the_stored_password_is_what_postgresql_makes_of_it(owner, password):
    """libpq's own computation, with its salt."""
    stored = owner.pgconn.encrypt_password(password.encode(), b"anybody", b"scram-sha-256").decode()
    salt = base64.b64decode(stored.split("$")[1].split(":")[1])
    assert scram(password, salt) == stored
