"""Virtual keys: list, look at, generate, change, delete. A key itself is in one answer only, that of generating it."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, SecretStr

from litemaas_mcp.backends.admin import Admin
from litemaas_mcp.backends.http import Refused
from litemaas_mcp.errors import Failure
from litemaas_mcp.tools.admin import (
    Brief,
    Cursor,
    Data,
    Dollars,
    Filter,
    Id,
    Metadata,
    Page,
    Parallel,
    Period,
    Permission,
    Row,
    Rows,
    Rpm,
    Size,
    Tpm,
    admin_tool,
    all_of,
    brief,
    changes,
    check_kept,
    duration,
    given,
    hash_of,
    paged,
    place,
    reading_back,
)

# What callers may set of a key, alike when it is made and when it is changed.
Models = Annotated[list[Id] | None, Field(description="models that the key may call; an empty list: all that its user or team may")]
MaxBudget = Annotated[Dollars | None, Field(description="US dollars that the key may spend in each period; 0 stops all paid use")]
Lifetime = Annotated[str | None, Field(description="how long from now the key is valid, such as 12h, 30d or 1mo", max_length=20)]
Aliases = Annotated[Row | None, Field(description="other names of models for this key: {name: model}")]
Routes = Annotated[list[Id] | None, Field(description="the only routes that the key may call")]
Blocked = Annotated[bool | None, Field(description="whether all calls with the key are refused")]
Clearable = Literal["max_budget", "budget_duration", "duration", "tpm_limit", "rpm_limit", "max_parallel_requests"]
Name = Annotated[str, Field(min_length=1, max_length=256, description="hash (token) of the key, or else its alias")]

# What LiteLLM's list says of a key's team, user and organization is not in the key's own row, and wrong in 1.81.
_NOT_OF_KEYS = re.compile(r"(?:team|user|organization|end_user|project)_(?!id$)")

AGAIN = (
    "Before you call again, look for it with litellm_key_list, sorted by created_at, and delete what was made: "
    "each call makes another key, and one whose answer was lost can't be had again."
)
_HASH = re.compile(r"[0-9a-f]{64}")
NOTICE = "This is the only time that the key itself is shown: hand it to its owner by a safe way, and don't repeat it."


class Keys(Rows):
    keys: Annotated[Brief, Field(description="token is the key's hash; fields that are null or empty are left out")]


class KeyInfo(Data):
    key: Annotated[str, Field(description="the key's hash")]
    info: Annotated[Row, Field(description="the key, as LiteLLM has it")]


class NewKey(Data):
    key: Annotated[
        SecretStr,
        Field(description="the key itself, in plain text; shown only now", json_schema_extra=lambda schema: schema.pop("writeOnly")),
    ]
    notice: Annotated[str, Field(description="what to mind about the key")]
    token: Annotated[str, Field(description="the key's hash, by which it is named from now on")]
    info: Annotated[Row, Field(description="the key, as LiteLLM has it")]


class KeyChange(KeyInfo):
    before: Annotated[Row, Field(description="the fields that were changed, as they were; empty when all was so already")]


class DeletedKey(Data):
    token: str
    key_alias: str | None
    user_id: str | None
    team_id: str | None
    spend: float | None


class Deletion(Data):
    dry_run: Annotated[bool, Field(description="whether nothing was deleted")]
    keys: Annotated[list[DeletedKey], Field(description="which were deleted, or in a dry run would be")]


@admin_tool(title="List keys")
async def litellm_key_list(
    litellm: Admin,
    user_id: Annotated[Filter | None, Field(description="only this user's keys: the whole id")] = None,
    team_id: Annotated[Filter | None, Field(description="only keys of this team")] = None,
    organization_id: Annotated[Filter | None, Field(description="only keys of this organization")] = None,
    project_id: Annotated[Filter | None, Field(description="only keys of this project (not in 1.81)")] = None,
    access_group_id: Annotated[Filter | None, Field(description="only keys of this access group (not in 1.81)")] = None,
    agent_id: Annotated[Filter | None, Field(description="only keys of this agent (not in 1.81)")] = None,
    key_hash: Annotated[Filter | None, Field(description="only the key of this hash")] = None,
    key_alias: Annotated[Filter | None, Field(description="only the key of this alias")] = None,
    search: Annotated[Filter | None, Field(description="only keys whose hash is this, or whose alias contains it (not in 1.81)")] = None,
    substring_matching: Annotated[bool | None, Field(description="whether key_alias and user_id may match in part (not in 1.81)")] = None,
    status: Annotated[
        Literal["active", "expired", "revoked", "deleted"] | None,
        Field(description="revoked is blocked; deleted are those of the archive, and all that 1.81 knows"),
    ] = None,
    expires: Annotated[
        Literal["active", "expired"] | None, Field(description="only keys that are past their end, or not (not in 1.81)")
    ] = None,
    include_team_keys: Annotated[bool | None, Field(description="also the keys of teams that the user administers")] = None,
    include_created_by_keys: Annotated[bool | None, Field(description="also keys that the user created for others")] = None,
    expand: Annotated[list[Literal["user"]] | None, Field(description="user: with the owner of each key")] = None,
    sort_by: Annotated[
        Literal["created_at", "updated_at", "spend", "max_budget", "key_alias", "token"], Field(description="what to sort by")
    ] = "created_at",
    sort_order: Annotated[Literal["asc", "desc"], Field(description="ascending or descending")] = "desc",
    page: Page = 1,
    size: Size = 25,
    cursor: Cursor = None,
) -> Keys:
    """List virtual keys with owner, team, spend, budget, limits and end, a page at a time. Keys themselves are never shown."""
    filters = given(
        user_id=user_id,
        team_id=team_id,
        organization_id=organization_id,
        project_id=project_id,
        access_group_id=access_group_id,
        agent_id=agent_id,
        key_hash=key_hash,
        key_alias=key_alias,
        search=search,
        substring_matching=substring_matching,
        status=status,
        expires=expires,
        include_team_keys=include_team_keys,
        include_created_by_keys=include_created_by_keys,
        expand=expand,
        sort_by=sort_by,
        sort_order=sort_order,
    )
    page, size = place("litellm_key_list", cursor, page, size, filters)
    answer = await litellm.rows("/key/list", **filters, return_full_object=True, page=page, size=size)
    return Keys(
        keys=[brief(_own(key)) for key in answer["keys"]],
        **paged("litellm_key_list", page, size, filters, total=answer["total_count"], pages=answer["total_pages"]),
    )


@admin_tool(title="Look at a key")
async def litellm_key_info(litellm: Admin, key: Name) -> KeyInfo:
    """Show one virtual key by its hash or alias: owner, team, spend, budget, limits, end. Never the key itself."""
    token, info = await _find(litellm, key, "key")
    return KeyInfo(key=token, info=info)


@admin_tool(title="Generate a key", writes=True, idempotent=False, unsure=AGAIN)
async def litellm_key_generate(
    litellm: Admin,
    key_alias: Annotated[Id | None, Field(description="a name for the key; no other key may have it")] = None,
    user_id: Annotated[Id | None, Field(description="id of the existing user whose key it will be")] = None,
    team_id: Annotated[Id | None, Field(description="id of the existing team whose key it will be")] = None,
    organization_id: Annotated[Id | None, Field(description="id of the organization whose key it will be")] = None,
    models: Models = None,
    max_budget: MaxBudget = None,
    soft_budget: Annotated[Dollars | None, Field(description="US dollars at which LiteLLM warns")] = None,
    budget_duration: Period = None,
    budget_id: Annotated[Id | None, Field(description="id of an existing budget that the key takes part in")] = None,
    duration: Lifetime = None,
    tpm_limit: Tpm = None,
    rpm_limit: Rpm = None,
    max_parallel_requests: Parallel = None,
    key_type: Annotated[
        Literal["default", "llm_api", "management", "read_only"] | None, Field(description="which kinds of routes the key may call")
    ] = None,
    allowed_routes: Routes = None,
    aliases: Aliases = None,
    blocked: Blocked = None,
    send_invite_email: Annotated[bool | None, Field(description="whether LiteLLM sends the key by e-mail")] = None,
    metadata: Metadata = None,
    object_permission: Permission = None,
) -> NewKey:
    """Make a virtual key. The answer holds the key itself, in plain text, and no other answer ever will.

    The user and the team must exist: LiteLLM itself would take any text for them.
    """
    _check_alias(key_alias)
    fields = given(
        key_alias=key_alias,
        user_id=user_id,
        team_id=team_id,
        organization_id=organization_id,
        models=models,
        max_budget=max_budget,
        soft_budget=soft_budget,
        budget_duration=_period("budget_duration", budget_duration),
        budget_id=budget_id,
        duration=_period("duration", duration),
        tpm_limit=tpm_limit,
        rpm_limit=rpm_limit,
        max_parallel_requests=max_parallel_requests,
        key_type=key_type,
        allowed_routes=allowed_routes,
        aliases=aliases,
        blocked=blocked,
        send_invite_email=send_invite_email,
        metadata=metadata,
        object_permission=object_permission,
    )
    await _check_owners(litellm, user_id, team_id)
    made = await litellm.write("POST", "/key/generate", fields)
    info = brief({name: value for name, value in made.items() if name not in ("key", "token", "token_id")})
    return NewKey(key=made["key"], notice=NOTICE, token=hash_of(made["key"]), info=info)


@admin_tool(title="Change a key", writes=True, destructive=True)
async def litellm_key_update(
    litellm: Admin,
    key: Name,
    key_alias: Annotated[Id | None, Field(description="the new alias; no other key may have it")] = None,
    user_id: Annotated[Id | None, Field(description="id of the existing user whose key it will be")] = None,
    team_id: Annotated[Id | None, Field(description="id of the existing team whose key it will be")] = None,
    models: Models = None,
    max_budget: MaxBudget = None,
    budget_duration: Period = None,
    budget_id: Annotated[Id | None, Field(description="id of an existing budget that the key takes part in")] = None,
    duration: Lifetime = None,
    tpm_limit: Tpm = None,
    rpm_limit: Rpm = None,
    max_parallel_requests: Parallel = None,
    spend: Annotated[Dollars | None, Field(description="US dollars spent in this period; 0 begins anew")] = None,
    allowed_routes: Routes = None,
    aliases: Aliases = None,
    blocked: Blocked = None,
    metadata: Metadata = None,
    object_permission: Permission = None,
    clear: Annotated[
        list[Clearable] | None, Field(description="limits to remove, so that there is none; duration: the key never ends")
    ] = None,
) -> KeyChange:
    """Change an existing virtual key; what is left out stays as it is. Shows the changed fields before, and the key read back."""
    _check_alias(key_alias)
    fields = given(
        key_alias=key_alias,
        user_id=user_id,
        team_id=team_id,
        models=models,
        max_budget=max_budget,
        budget_duration=_period("budget_duration", budget_duration),
        budget_id=budget_id,
        duration=_period("duration", duration),
        tpm_limit=tpm_limit,
        rpm_limit=rpm_limit,
        max_parallel_requests=max_parallel_requests,
        spend=spend,
        allowed_routes=allowed_routes,
        aliases=aliases,
        blocked=blocked,
        metadata=metadata,
        object_permission=object_permission,
    )
    token, before = await _find(litellm, key, "key")
    sent = changes(before, fields, clear)
    await _check_owners(litellm, sent.get("user_id"), sent.get("team_id"))
    after: Row | None = before
    if sent:
        # 1.81 takes only this for "never".
        never = {"duration": "-1"} if "duration" in (clear or ()) else {}
        await litellm.write("POST", "/key/update", {"key": token, **sent, **never})
        with reading_back(f"key {token}"):
            if (after := await _info(litellm, token)) is None:
                raise Failure("it was deleted in the meantime.", 404)
    check_kept(after, sent)
    before = {name: before.get(name) for name in (name if name != "duration" else "expires" for name in sent)}
    return KeyChange(key=token, info=after, before=before)


@admin_tool(title="Delete keys", writes=True, destructive=True, idempotent=False)
async def litellm_key_delete(
    litellm: Admin,
    keys: Annotated[list[Name], Field(min_length=1, max_length=100, description="hashes (tokens) of keys, or else their aliases")],
    dry_run: Annotated[bool, Field(description="say which would be deleted, and delete none")] = False,
) -> Deletion:
    """Delete virtual keys, and say which. When one of them is unknown, none is deleted."""
    found = await all_of(_find(litellm, key, "keys") for key in dict.fromkeys(keys))
    doomed = {token: DeletedKey(**{name: key.get(name) for name in DeletedKey.model_fields} | {"token": token}) for token, key in found}
    if not dry_run:
        await litellm.delete_keys(list(doomed))
    return Deletion(dry_run=dry_run, keys=list(doomed.values()))


_period = duration


def _own(key: Row) -> Row:
    return {name: value for name, value in key.items() if not _NOT_OF_KEYS.match(name)}


async def _find(litellm: Admin, name: str, field: str) -> tuple[str, Row]:
    """Return hash and row of the one key with this hash or else this alias. Raises `Failure`, naming the field.

    Whoever may look at a key by its hash may do so here: the list shows less to those who are no administrators.
    """
    token = hash_of(name)
    if _HASH.fullmatch(token) and (info := await _info(litellm, token)):
        return token, info
    if token == name:
        rows = await litellm.every("/key/list", key_alias=name, include_team_keys=True, return_full_object=True, size=100)
        tokens = sorted({row["token"] for row in rows if row["key_alias"] == name})
        if len(tokens) > 1:
            raise Failure(f"{field}: {name!r} is the alias of {len(tokens)} keys: {', '.join(tokens[:20])}. Give the hash.", 409)
        if tokens and (info := await _info(litellm, tokens[0])):
            return tokens[0], info
    shown = f"with the hash {token}" if token != name else repr(name)
    raise Failure(f"{field}: there is no key {shown}. Nothing was changed; litellm_key_list shows which there are.", 404)


async def _info(litellm: Admin, token: str) -> Row | None:
    try:
        info = (await litellm.get("/key/info", key=token))["info"]
    except Refused as refused:
        if refused.status == 404:
            return None
        raise
    # LiteLLM 1.106 goes on showing a key that was deleted.
    return None if info.get("status") == "deleted" else info


def _check_alias(alias: str | None) -> None:
    if alias and alias.startswith("sk-"):
        raise Failure("key_alias: what begins with sk- is taken for a key itself, and the key could not be found by it. Give another name.")


async def _check_owners(litellm: Admin, user_id: str | None, team_id: str | None) -> None:
    if user_id and await litellm.user(user_id) is None:
        raise Failure(f"user_id: there is no user {user_id!r}. Create it first, or leave it out.", 404)
    if team_id and not await litellm.exists("/team/info", team_id=team_id):
        raise Failure(f"team_id: there is no team {team_id!r}. Create it first, or leave it out.", 404)
