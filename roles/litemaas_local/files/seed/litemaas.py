"""LiteMaaS's own database, beside LiteLLM's: models, users, subscriptions, api_keys; and the seed's memory of what it did.

The tables hold the columns of LiteMaaS 0.4 that matter to a reader, secrets included, so that their refusal can be tested.
"""

from __future__ import annotations

from datetime import date

import plan
from psycopg import Connection

SCHEMA = """
CREATE TABLE IF NOT EXISTS users (
    id uuid PRIMARY KEY, username varchar(255) UNIQUE NOT NULL, email varchar(255) UNIQUE NOT NULL, full_name varchar(255),
    oauth_provider varchar(50) NOT NULL, oauth_id varchar(255) NOT NULL, roles text[] DEFAULT '{user}', is_active boolean DEFAULT true,
    max_budget numeric(10,2), budget_duration varchar(20), tpm_limit integer, rpm_limit integer, sync_status varchar(20) DEFAULT 'synced',
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now(), UNIQUE (oauth_provider, oauth_id)
);
CREATE TABLE IF NOT EXISTS models (
    id varchar(255) PRIMARY KEY, name varchar(255) NOT NULL, provider varchar(100) NOT NULL, description text,
    availability varchar(50) DEFAULT 'available', input_cost_per_token numeric(15,10), output_cost_per_token numeric(15,10),
    tpm integer, rpm integer, max_tokens integer, restricted_access boolean DEFAULT false, litellm_model_id varchar(255),
    api_base varchar(500), encrypted_api_key text, created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()
);
CREATE TABLE IF NOT EXISTS subscriptions (
    id uuid PRIMARY KEY, user_id uuid NOT NULL REFERENCES users(id) ON DELETE CASCADE, model_id varchar(255) NOT NULL REFERENCES models(id),
    status varchar(20) NOT NULL DEFAULT 'active', quota_requests integer NOT NULL DEFAULT 0, quota_tokens integer NOT NULL DEFAULT 0,
    lite_llm_key_value varchar(255), created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now(), UNIQUE (user_id, model_id)
);
CREATE TABLE IF NOT EXISTS api_keys (
    id uuid PRIMARY KEY, user_id uuid NOT NULL REFERENCES users(id) ON DELETE CASCADE, name varchar(255),
    key_hash varchar(255) UNIQUE NOT NULL, key_prefix varchar(20) NOT NULL,
    lite_llm_key_value varchar(255), litellm_key_alias varchar(255), max_budget numeric(10,2),
    current_spend numeric(10,2) DEFAULT 0, budget_duration varchar(20), tpm_limit integer, rpm_limit integer, expires_at timestamptz,
    is_active boolean DEFAULT true, created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now()
);
CREATE SCHEMA IF NOT EXISTS litemaas_local;
CREATE TABLE IF NOT EXISTS litemaas_local.seeded_days (seeded_on date PRIMARY KEY, edition integer NOT NULL);
"""
# LiteMaaS makes this one itself; LiteLLM does not know it
SYSTEM_USER = ("00000000-0000-0000-0000-000000000001", "system", "system@litemaas.internal")


def create(database: Connection) -> None:
    """Make the tables that are missing."""
    database.execute("SET client_min_messages = warning")
    database.execute(SCHEMA)
    database.commit()


def seeded_on(database: Connection) -> date | None:
    """Return the day of the last complete seed. Exits when that was by another edition of the plan."""
    latest = database.execute("SELECT seeded_on, edition FROM litemaas_local.seeded_days ORDER BY seeded_on DESC LIMIT 1").fetchone()
    database.commit()
    if latest and latest[1] != plan.EDITION:
        raise SystemExit(
            f"seed: this stack's data is of edition {latest[1]}, the plan of edition {plan.EDITION}. Remove the stack and start it again "
            "(the demo: make down PURGE=1; another: playbooks/demo.yml with its litemaas_local_name and litemaas_local_state=absent)"
        )
    return latest and latest[0]


def remember(database: Connection, day: date) -> None:
    """Note that the seed of `day` is complete."""
    database.execute("INSERT INTO litemaas_local.seeded_days VALUES (%s, %s) ON CONFLICT DO NOTHING", [day, plan.EDITION])
    database.commit()


def fill(database: Connection, upstream_url: str) -> int:
    """Insert the rows that are missing; return how many."""
    with database.transaction():
        return _users(database) + _models(database, upstream_url) + _subscriptions(database) + _api_keys(database)


def _insert(database: Connection, table: str, row: dict[str, object]) -> int:
    columns = ", ".join(row)
    values = ", ".join(["%s"] * len(row))
    return database.execute(f"INSERT INTO {table} ({columns}) VALUES ({values}) ON CONFLICT DO NOTHING", list(row.values())).rowcount


def _users(database: Connection) -> int:
    system = dict(zip(("id", "username", "email"), SYSTEM_USER, strict=True))
    added = _insert(database, "users", {**system, "oauth_provider": "system", "oauth_id": "system", "roles": [], "is_active": False})
    for user in _known_users():
        who = {"id": user.id, "username": user.name, "email": user.email, "full_name": user.full_name}
        limits = {"max_budget": user.max_budget, "budget_duration": user.budget_duration, "tpm_limit": user.tpm, "rpm_limit": user.rpm}
        added += _insert(database, "users", {**who, "oauth_provider": "openshift", "oauth_id": user.name, **limits})
    return added


def _models(database: Connection, upstream_url: str) -> int:
    added = 0
    for model in plan.MODELS:
        if not model.in_litemaas:
            continue
        about = {"id": model.name, "name": model.name, "provider": model.provider, "restricted_access": model.restricted}
        availability = "available" if model.in_litellm else "unavailable"
        served = {"availability": availability, "litellm_model_id": model.id, "api_base": f"{upstream_url}/v1"}
        limits = {"tpm": model.tpm, "rpm": model.rpm, "max_tokens": model.max_tokens}
        prices = {"input_cost_per_token": model.input_cost, "output_cost_per_token": model.output_cost}
        secret = {"encrypted_api_key": f"seeded-ciphertext-{plan.identity(model.name)}"}
        added += _insert(database, "models", about | served | limits | prices | secret)
    return added


def _subscriptions(database: Connection) -> int:
    added = 0
    for n, user in enumerate(_known_users()):
        for model in (model for model in plan.SERVED if model.in_litemaas):
            if model.restricted and n % 3 == 1:
                continue
            status = ("pending" if n % 3 else "active") if model.restricted else "active"
            row = {"id": plan.identity(f"subscription/{user.name}/{model.name}"), "user_id": user.id, "model_id": model.name}
            quota = {"quota_requests": 10_000, "quota_tokens": 10_000_000}
            added += _insert(database, "subscriptions", row | quota | {"status": status})
    return added


def _api_keys(database: Connection) -> int:
    """The keys people made in LiteMaaS: those with an owner it knows. It keeps each raw."""
    owners = {user.id for user in _known_users()}
    added = 0
    for key in plan.KEYS:
        if key.owner_id not in owners or key.team == plan.UI_TEAM:
            continue
        what = {"id": plan.identity(f"api-key/{key.name}"), "user_id": key.owner_id, "name": key.name, "litellm_key_alias": key.alias}
        secret = {"key_hash": key.token, "key_prefix": key.secret[:7], "lite_llm_key_value": key.secret}
        limits = {"max_budget": key.max_budget, "budget_duration": key.budget_duration, "tpm_limit": key.tpm, "rpm_limit": key.rpm}
        added += _insert(database, "api_keys", what | secret | limits | {"is_active": not key.blocked})
    return added


def _known_users() -> list[plan.User]:
    return [user for user in plan.USERS if user.in_litemaas]
