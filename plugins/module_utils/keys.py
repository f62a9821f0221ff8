"""What a virtual key is: its fields, how it is found, and when it expires."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.rhpds.litemaas.plugins.module_utils import durations
from ansible_collections.rhpds.litemaas.plugins.module_utils.client import Client, LiteLLMError, NotFound
from ansible_collections.rhpds.litemaas.plugins.module_utils.fields import (
    COUNT,
    DOLLARS,
    FLAG,
    MAPPING,
    NAMES,
    PERIOD,
    TEXT,
    Field,
    Kind,
)

# What a key may reach beside models. LiteLLM keeps a part that is not sent.
PERMISSIONS: dict[str, dict[str, Any]] = {
    "mcp_servers": {"type": "list", "elements": "str"},
    "mcp_access_groups": {"type": "list", "elements": "str"},
    "mcp_toolsets": {"type": "list", "elements": "str"},
    "mcp_tool_permissions": {"type": "dict"},
    "vector_stores": {"type": "list", "elements": "str"},
    "agents": {"type": "list", "elements": "str"},
    "agent_access_groups": {"type": "list", "elements": "str"},
}


def _permissions(value: dict[str, Any]) -> dict[str, Any]:
    return {name: value[name] for name in PERMISSIONS if value.get(name) is not None}


def _same_permissions(have: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(_unordered(have.get(name) or type(part)()) == _unordered(part) for name, part in wanted.items())


def _unordered(part: Any) -> Any:
    return {name: set(tools) for name, tools in part.items()} if isinstance(part, dict) else set(part)


PERMISSION = Kind(
    {"type": "dict", "options": PERMISSIONS},
    parse=_permissions,
    read=lambda have: {name: have[name] for name in PERMISSIONS if have.get(name)},
    same=_same_permissions,
    merge=lambda have, wanted: {**(have or {}), **wanted},
    show=lambda value: {name: part for name, part in value.items() if part},
)

# What a set of keys shares, and one key can have too.
KEY_FIELDS = (
    Field("models", NAMES, clear=[], cleared=[]),
    Field("max_budget", DOLLARS, clear=None),
    Field("budget_duration", PERIOD, clear=None),
    Field("tpm_limit", COUNT, clear=None),
    Field("rpm_limit", COUNT, clear=None),
    Field("max_parallel_requests", COUNT, clear=None),
    Field("team_id", TEXT),
    Field("metadata", MAPPING, cleared={}),
    Field("object_permission", PERMISSION, cleared={}),
    Field("blocked", FLAG, cleared=False),
)

SET = "litemaas_set"  # the metadata that names the set which litellm_keys made a key or a user for

# What the old key is called while a rotation is under way: aliases are unique, and the name says what is left to do. It is of letters
# that LiteLLM takes with enable_key_alias_format_validation too.
ROTATING = ".being-rotated"
REPLACES = "litemaas_replaces"  # the metadata that tells a key made by a rotation from a stranger's
# What a new value keeps beside the declared fields.
KEPT = (
    "aliases",
    "allowed_routes",
    "permissions",
    "config",
    "tpd_limit",
    "budget_limits",
    "allowed_cache_controls",
    "router_settings",
    "agent_id",
    "project_id",
    "access_group_ids",
)

# How much earlier or later than asked a key may expire: LiteLLM reckons from the moment at which it handles the request.
TOLERANCE = timedelta(minutes=2)
NEVER = "-1"  # the duration that every LiteLLM version takes for "never expires"


def hash_of(key: str) -> str:
    """Return what LiteLLM stores in a key's place: its `token`."""
    return hashlib.sha256(key.encode()).hexdigest()


def budget_used(record: dict[str, Any]) -> float | None:
    """Return which fraction of its budget a key or a user has spent; None without a budget, 1 for a budget of 0."""
    budget = record.get("max_budget")
    if budget is None:
        return None
    return record["spend"] / budget if budget else 1.0


def check_value(key: str) -> str:
    """Return the value of a key to be made. Raises LiteLLMError when LiteLLM would not take it, without showing it."""
    if not re.fullmatch(r"sk-[A-Za-z0-9_-]{13,}", key):
        raise LiteLLMError("key: must begin with sk- and have 16 characters or more, of letters, digits, - and _.")
    return key


def check_token(token: str) -> str:
    """Return the hash of a key. Raises LiteLLMError, without showing it, when it is none: it may be a key's value."""
    if not re.fullmatch("[0-9a-f]{64}", token):
        raise LiteLLMError("token: must be a key's hash, 64 hexadecimal digits. The value of a key belongs in the option key.")
    return token


def new_value() -> str:
    """Return a value for a new key."""
    return f"sk-{secrets.token_urlsafe(24)}"


def keys_of(client: Client, **filters: Any) -> list[dict[str, Any]]:
    """Return the keys that match LiteLLM's filters (`key_alias`, `key_hash`, `user_id`, `team_id`: each the whole value)."""
    parameters = {name: value for name, value in filters.items() if value is not None}
    found = list(client.pages("/key/list", "keys", "size", return_full_object="true", **parameters))
    if alias := filters.get("key_alias"):
        found = [key for key in found if key.get("key_alias") == alias]
    return [_plain(key) for key in found]


def _plain(key: dict[str, Any]) -> dict[str, Any]:
    # What is not in a virtual key's own row is about its owner, and with 1.81 wrong.
    return {
        name: value
        for name, value in key.items()
        if not name.startswith(("team_", "user_", "organization_")) or name in ("team_id", "user_id")
    }


def key_of(client: Client, token: str) -> dict[str, Any] | None:
    """Return the key of this hash, or None."""
    return next((key for key in keys_of(client, key_hash=token) if key["token"] == token), None)


def budget_id_of(client: Client, token: str) -> str | None:
    """Return the named budget that a key refers to, which 1.81 leaves out of its lists."""
    try:
        return client.get("/key/info", key=token)["info"].get("budget_id")
    except NotFound:
        return None


def check_team(client: Client, team_id: str) -> None:
    """Raise LiteLLMError unless there is such a team: LiteLLM gives keys to teams that don't exist."""
    try:
        client.get("/team/info", team_id=team_id)
    except NotFound:
        raise LiteLLMError(f"team_id: LiteLLM has no team {team_id!r}. Make the team first, with litellm_team.") from None


def moment(text: str | None) -> datetime | None:
    """Return a time of LiteLLM's, in UTC."""
    if not text:
        return None
    found = datetime.fromisoformat(re.sub(r"(\.\d+)?(Z|\+00:00)?$", "", text))
    return found.replace(tzinfo=timezone.utc)


def lifetime(duration: str) -> timedelta | None:
    """Return how long a key lives, None being for ever. Raises LiteLLMError, naming the option."""
    if duration.strip().lower() in ("unlimited", "null", NEVER):
        return None
    try:
        return timedelta(seconds=durations.seconds(duration))
    except ValueError as error:
        raise LiteLLMError(f"duration: {error}, or unlimited for a key that never expires. It is {duration!r}.") from None


def expiry(key: dict[str, Any], duration: str) -> str | None:
    """Return the `duration` to send so that the key expires that long after it was made; None when it does already.

    Raises LiteLLMError when that moment has passed.
    """
    life, expires = lifetime(duration), moment(key.get("expires"))
    if life is None:
        return None if expires is None else NEVER
    due = moment(key["created_at"]) + life
    if expires is not None and abs(expires - due) <= TOLERANCE:
        return None
    left = int((due - datetime.now(timezone.utc)).total_seconds())
    if left < 1:
        raise LiteLLMError(
            f"duration: the key was made at {key['created_at']}, so {duration} ended before now. Give more, or rotate the key."
        )
    return f"{left}s"


def sent_duration(duration: str) -> str | None:
    """Return the `duration` for a key to be made; None when it never expires."""
    life = lifetime(duration)
    return None if life is None else f"{int(life.total_seconds())}s"


def successor(fields: tuple[Field, ...], old: dict[str, Any], wanted: dict[str, Any], duration: str | None) -> dict[str, Any]:
    """Return what to send, beside alias and value, for a key that takes the old one's place.

    It keeps the old key's fields, spend and expiry, as far as `wanted` and `duration` do not say otherwise.
    """
    kept = {field.name: field.held(old) for field in fields} | {name: old.get(name) for name in KEPT}
    given = {field.name: field.sent(field.held(old), wanted[field.name]) for field in fields if field.name in wanted}
    # A limit of 0 is kept, though it equals False.
    body = {name: value for name, value in (kept | given).items() if value is not None and value is not False and value not in ([], {})}
    others = {name: part for name, part in (old.get("object_permission") or {}).items() if name not in PERMISSIONS and part}
    others.pop("object_permission_id", None)
    if others:
        body["object_permission"] = others | body.get("object_permission", {})
    if old.get("org_id"):
        body["organization_id"] = old["org_id"]
    if duration:
        life = sent_duration(duration)
    else:
        expires = moment(old["expires"])
        life = expires and f"{max(1, int((expires - datetime.now(timezone.utc)).total_seconds()))}s"
    return {"duration": life, "spend": old["spend"], **body}
