"""`litemaas-mcp create-reader`: the database role that may read what the server reads, and nothing else."""

from __future__ import annotations

import base64
import hmac
import os
import re
import secrets
import sys
import unicodedata
from hashlib import pbkdf2_hmac, sha256

import asyncpg

from litemaas_mcp.backends.database import LITELLM_COLUMNS, LITEMAAS_COLUMNS, normalise_url
from litemaas_mcp.errors import Failure

COLUMNS = LITELLM_COLUMNS | LITEMAAS_COLUMNS


async def create_reader(role: str) -> int:
    """Make the role in the databases that the environment names, or bring it up to date, and print what it may read.

    Reads ADMIN_DATABASE_URL, LITEMAAS_ADMIN_DATABASE_URL (where LiteMaaS's tables are in another database; both as a user who
    may create roles and owns the tables) and READER_PASSWORD. LiteMaaS's database may be empty still. Returns the exit code.
    """
    urls = {name: os.environ[name] for name in ("ADMIN_DATABASE_URL", "LITEMAAS_ADMIN_DATABASE_URL") if os.environ.get(name)}
    password = os.environ.get("READER_PASSWORD", "")
    try:
        if "ADMIN_DATABASE_URL" not in urls:
            raise Failure("ADMIN_DATABASE_URL: set it to the URL of LiteLLM's database, as a user who may create roles.")
        if not password:
            raise Failure("READER_PASSWORD: set it to the password that the role shall have.")
        if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", role):
            raise Failure(f"--role: {role!r} must be lower-case letters, digits and underscores.")
        for name, url in urls.items():
            for line in await grant(name, url, role, password):
                print(line)
    except Failure as failure:
        print(f"create-reader: {failure}", file=sys.stderr)
        return 1
    return 0


async def grant(name: str, url: str, role: str, password: str) -> list[str]:
    """Make the role, give it exactly the columns that the server reads, and say what it has; all of it or nothing.

    Args:
        name: the variable that holds the URL.

    Raises:
        Failure: the database can't be reached, the administrator may not do this, or the role is somebody's own.
    """
    try:
        dsn, path = normalise_url(url)
    except Failure as failure:
        raise Failure(f"{name}: {failure}.") from failure
    try:
        settings = path | {"default_transaction_read_only": "off", "application_name": "litemaas-mcp create-reader"}
        connection = await asyncpg.connect(dsn, server_settings=settings, timeout=10, command_timeout=60)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise Failure(f"{name}: the database can't be reached: {type(error).__name__}. Check address, user and password.") from error
    try:
        async with connection.transaction():
            return await _grant(connection, role, password, required=name == "ADMIN_DATABASE_URL")
    except asyncpg.PostgresError as error:
        raise Failure(
            f"The administrator's role may not do this: {error.args[0]}. Use one that may create roles and owns the tables."
        ) from error
    finally:
        await connection.close()


async def _grant(connection: asyncpg.Connection, role: str, password: str, *, required: bool) -> list[str]:
    owner = await connection.fetchval(
        """SELECT rolsuper OR rolname = current_user OR EXISTS (SELECT FROM pg_class WHERE relowner = r.oid)
        FROM pg_roles r WHERE rolname = $1""",
        role,
    )
    if owner:
        raise Failure(f"--role: {role} is a superuser, the administrator or the owner of tables: choose a name of its own for the reader.")
    # Two of these at once would both find no role.
    await connection.execute("SELECT pg_advisory_xact_lock(hashtext('litemaas_mcp_reader'))")
    exists = await connection.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", role)
    rights = "LOGIN NOCREATEDB NOCREATEROLE"
    # The password travels, and is logged where statements are logged, only as what the server would store.
    await connection.execute(f"{'ALTER' if exists else 'CREATE'} ROLE \"{role}\" {rights} PASSWORD '{scram(password)}'")
    await connection.execute(f'ALTER ROLE "{role}" SET default_transaction_read_only = on')
    schema = await connection.fetchval("SELECT current_schema()")
    database = await connection.fetchval("SELECT current_database()")
    await connection.execute(f'GRANT CONNECT ON DATABASE "{database}" TO "{role}"')
    await connection.execute(f'GRANT USAGE ON SCHEMA "{schema}" TO "{role}"')
    await connection.execute(f'REVOKE ALL ON ALL TABLES IN SCHEMA "{schema}" FROM "{role}"')
    there = {
        row["table_name"]: set(row["columns"])
        for row in await connection.fetch(
            """SELECT table_name, array_agg(column_name::text) AS columns FROM information_schema.columns
            WHERE table_schema = $1 AND table_name = ANY($2) GROUP BY table_name""",
            *(schema, list(COLUMNS)),
        )
    }
    lines = [f"{database}: role {role} {'updated' if exists else 'created'}"]
    for table, columns in COLUMNS.items():
        if table in there:
            granted = [column for column in columns if column in there[table]]
            await connection.execute(f'GRANT SELECT ({", ".join(granted)}) ON "{schema}"."{table}" TO "{role}"')
            missing = [column for column in columns if column not in there[table]]
            lines.append(
                f"{database}: may read {table}: {', '.join(granted)}" + (f" (this version has no {', '.join(missing)})" if missing else "")
            )
    if not there and required:
        raise Failure(f"The database {database} holds neither LiteLLM's nor LiteMaaS's tables: start LiteLLM once before this.")
    if not there:
        lines.append(f"{database}: has no tables of LiteMaaS yet; once its backend has made them, run this again")
    return lines + await _excess(connection, schema, role)


async def _excess(connection: asyncpg.Connection, schema: str, role: str) -> list[str]:
    """Say what else the role may read, by way of PUBLIC or of another role: that is not ours to take away."""
    rows = await connection.fetch(
        """SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE c.relnamespace = $1::regnamespace AND c.relkind IN ('r', 'v', 'm', 'p') AND a.attnum > 0 AND NOT a.attisdropped
            AND has_column_privilege($2, c.oid, a.attnum, 'SELECT') ORDER BY c.relname, a.attnum""",
        *(f'"{schema}"', role),
    )
    tables = sorted({row["relname"] for row in rows if row["attname"] not in COLUMNS.get(row["relname"], ())})
    return (
        [f"WARNING: the role may read more than it needs, granted to PUBLIC or to a role that it is a member of: {', '.join(tables)}"]
        if tables
        else []
    )


def scram(password: str, salt: bytes | None = None) -> str:
    """Return what PostgreSQL stores of a password (SCRAM-SHA-256, RFC 5803); given instead of a password it is stored as it is."""
    salt, iterations = salt or secrets.token_bytes(16), 4096
    salted = pbkdf2_hmac("sha256", unicodedata.normalize("NFKC", password).encode(), salt, iterations)
    stored = sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    encoded_salt, encoded_stored, encoded_server = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${iterations}:{encoded_salt}${encoded_stored}:{encoded_server}"
