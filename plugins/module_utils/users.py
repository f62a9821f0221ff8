"""How internal users are found; LiteLLM's own look-ups match parts of an id, and its writes create whom they don't find."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from ansible_collections.rhpds.litemaas.plugins.module_utils.client import Client, LiteLLMError, NotFound

PROXY_USER = "default_user_id"  # LiteLLM's own, in whose name the master key acts
ROLES = ["proxy_admin", "proxy_admin_viewer", "internal_user", "internal_user_viewer"]


def user_of(client: Client, user_id: str) -> dict[str, Any] | None:
    """Return the user of exactly this id, with `keys` and `key_count` as LiteLLM counts them, or None."""
    try:
        # LiteLLM takes the + that stands for a space in a query for a plus.
        answer = client.get(f"/user/info?user_id={quote(user_id, safe='')}") or {}
    except NotFound:
        return None
    user = answer.get("user_info")
    if not user or user.get("user_id") != user_id:
        return None
    keys = answer.get("keys") or []
    return {**user, "keys": keys, "key_count": len(keys)}


def users_of(client: Client, **filters: Any) -> list[dict[str, Any]]:
    """Return the users that LiteLLM's filters find; `user_email` finds parts of e-mails too."""
    # By id, because users made at the same moment have no order otherwise, and could slip between two pages.
    return client.pages("/user/list", "users", sort_by="user_id", sort_order="asc", **filters)


def user_by_email(client: Client, user_email: str) -> dict[str, Any] | None:
    """Return the one user of this e-mail, or None. Raises LiteLLMError when there are several: they are named."""
    users = users_by_email(client, user_email)
    if len(users) > 1:
        ids = ", ".join(user["user_id"] for user in users)
        raise LiteLLMError(f"user_email: LiteLLM has several users of {user_email}: {ids}. Give user_id.")
    return user_of(client, users[0]["user_id"]) if users else None


def users_by_email(client: Client, user_email: str) -> list[dict[str, Any]]:
    """Return the users of this e-mail, in any case of letters."""
    return [user for user in users_of(client, user_email=user_email) if (user.get("user_email") or "").lower() == user_email.lower()]


def find_user(client: Client, name: str) -> dict[str, Any]:
    """Return the one user whose id, e-mail, alias, or local part of the e-mail is this; the first of these that matches counts.

    Raises LiteLLMError when there is none, or more than one: the candidates are named.
    """
    if not name.strip():
        raise LiteLLMError("user: is empty. Give an id, an e-mail, an alias, or what stands before the @ of an e-mail.")
    if name == PROXY_USER:
        raise LiteLLMError(f"user: {PROXY_USER} is LiteLLM's own, and is left alone.")
    if user := user_of(client, name):
        return user
    by_email = users_of(client, user_email=name) if "@" not in name or name.count("@") == 1 else []
    candidates = [user for user in by_email if (user.get("user_email") or "").lower() == name.lower()]
    if not candidates:
        by_alias = [user for user in users_of(client) if user.get("user_alias") == name]
        local = [user for user in by_email if (user.get("user_email") or "").partition("@")[0].lower() == name.lower()]
        candidates = list({user["user_id"]: user for user in by_alias + local}.values())
    if not candidates:
        raise LiteLLMError(f"user: LiteLLM has no user whose id, e-mail, alias, or part before the @ is {name!r}. Nobody was changed.")
    if len(candidates) > 1:
        names = ", ".join(
            sorted(f"{user['user_id']} ({user.get('user_email') or user.get('user_alias') or 'no e-mail'})" for user in candidates)
        )
        raise LiteLLMError(f"user: {name!r} can be any of {names}. Give the id.")
    found = user_of(client, candidates[0]["user_id"])
    if found is None:
        raise LiteLLMError(f"user: {name!r} was removed while it was looked up.")
    return found
