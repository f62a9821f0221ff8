"""Makes the stack's two databases, and LiteLLM's tables in the first.

Environment: ADMIN_URL (superuser), DATABASE_URL and LITEMAAS_DATABASE_URL (each the owner's, role and database are made as it
says), MIGRATIONS (litellm_proxy_extras' folder). Prints a line for each migration to stderr and, last, {"changed": true|false} to stdout.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import uuid
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg import sql

# Prisma's own record of what was applied: the database looks as if LiteLLM's migration job had made it.
RECORD = """
create table if not exists _prisma_migrations (
    id varchar(36) primary key, checksum varchar(64) not null, finished_at timestamptz, migration_name varchar(255) not null, logs text,
    rolled_back_at timestamptz, started_at timestamptz not null default now(), applied_steps_count integer not null default 0
)
"""


def make_database(admin: psycopg.Connection, url: str) -> bool:
    """Makes role and database as the owner's URL names them; answers whether there was anything to make."""
    parts = urlsplit(url)
    role, password, database = sql.Identifier(parts.username), sql.Literal(unquote(parts.password)), parts.path[1:]
    changed = False
    if not admin.execute("select 1 from pg_roles where rolname = %s", [parts.username]).fetchone():
        admin.execute(sql.SQL("create role {} login password {}").format(role, password))
        changed = True
    if not admin.execute("select 1 from pg_database where datname = %s", [database]).fetchone():
        admin.execute(sql.SQL("create database {} owner {}").format(sql.Identifier(database), role))
        changed = True
    return changed


def migrate(url: str, folder: Path) -> bool:
    """Applies what is not yet on record, each migration with its record in one transaction; answers whether there was anything."""
    # Prisma's order is that of the bytes, whatever the locale.
    migrations = sorted((path.parent.name.encode(), path) for path in folder.glob("*/migration.sql"))
    if not migrations:
        raise SystemExit(f"No migrations in {folder}: is litellm_proxy_extras installed?")
    with psycopg.connect(url, autocommit=True, options="-c client_min_messages=warning") as connection:
        connection.execute(RECORD)
        done = {name for (name,) in connection.execute("select migration_name from _prisma_migrations where finished_at is not null")}
        todo = [path for _, path in migrations if path.parent.name not in done]
        for number, path in enumerate(todo, 1):
            script = path.read_bytes()
            with connection.transaction():
                # CONCURRENTLY spares a busy database a lock and can't be undone; this one is empty, and all or nothing is worth more.
                connection.execute(script.replace(b"INDEX CONCURRENTLY", b"INDEX"))
                connection.execute(
                    "insert into _prisma_migrations (id, checksum, migration_name, finished_at, applied_steps_count)"
                    " values (%s, %s, %s, clock_timestamp(), 1)",
                    [str(uuid.uuid4()), hashlib.sha256(script).hexdigest(), path.parent.name],
                )
            print(f"migration {number} of {len(todo)}: {path.parent.name}", file=sys.stderr, flush=True)
    return bool(todo)


def main() -> None:
    owners = os.environ["DATABASE_URL"], os.environ["LITEMAAS_DATABASE_URL"]
    with psycopg.connect(os.environ["ADMIN_URL"], autocommit=True) as admin:
        changed = [make_database(admin, url) for url in owners]
    changed.append(migrate(owners[0], Path(os.environ["MIGRATIONS"])))
    print(json.dumps({"changed": any(changed)}))


if __name__ == "__main__":
    main()
