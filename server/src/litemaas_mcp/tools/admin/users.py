"""Internal users: list, look at, create, change, delete."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from litemaas_mcp.backends.admin import Admin
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
    paged,
    place,
    reading_back,
)

_OF_TEAMS = ("team_id", "team_alias", "max_budget", "spend", "models")
KEYS = 100  # keys that an answer about one user shows
AGAIN = "Before you call again, look for it with litellm_user_list, sorted by created_at: each call without a user_id makes another user."

Role = Literal["proxy_admin", "proxy_admin_viewer", "internal_user", "internal_user_viewer"]
Email = Annotated[str, Field(min_length=3, max_length=320, pattern=r"^\S+@\S+$")]
Ids = Annotated[list[Id], Field(min_length=1, max_length=100)]
Filters = Annotated[list[Filter], Field(min_length=1, max_length=100)]
Clearable = Literal["max_budget", "budget_duration", "tpm_limit", "rpm_limit"]

# What callers may set of a user, alike when it is made and when it is changed.
Models = Annotated[list[Id] | None, Field(description="models that the user may call; no-default-models: none by itself")]
MaxBudget = Annotated[Dollars | None, Field(description="US dollars that the user may spend in each period; 0 stops all paid use")]


class Users(Rows):
    users: Brief


class UserInfo(Data):
    user_id: str
    user_info: Annotated[Row, Field(description="the user, as LiteLLM has it")]


class UserDetails(UserInfo):
    keys: Annotated[list[Row], Field(description="the user's first 100 keys, in brief: token is the key's hash")]
    key_count: Annotated[int, Field(description="keys in all; litellm_key_list with user_id shows the rest")]
    teams: Annotated[list[Row], Field(description="the user's teams, in brief")]


class UserChange(UserInfo):
    before: Annotated[Row, Field(description="the fields that were changed, as they were; empty when all was so already")]


class DeletedUser(Data):
    user_id: str
    user_email: str | None
    user_alias: str | None
    spend: float | None
    keys: Annotated[list[str], Field(description="the keys that go with the user, by alias or else hash; the first 100")]
    key_count: int
    teams: Annotated[list[str], Field(description="ids of the teams that the user leaves")]
    organizations: Annotated[list[str], Field(description="ids of the organizations that the user leaves")]


class Deletion(Data):
    dry_run: Annotated[bool, Field(description="whether nothing was deleted")]
    users: Annotated[list[DeletedUser], Field(description="who was deleted, or in a dry run would be")]


@admin_tool(title="List users")
async def litellm_user_list(
    litellm: Admin,
    role: Annotated[Role | None, Field(description="only users of this role")] = None,
    user_ids: Annotated[Filters | None, Field(description="only these users: whole ids")] = None,
    sso_user_ids: Annotated[Filters | None, Field(description="only users of these ids in single sign-on")] = None,
    user_email: Annotated[Filter | None, Field(description="only users whose e-mail contains this")] = None,
    search: Annotated[Filter | None, Field(description="only users whose id or e-mail contains this (not in 1.81)")] = None,
    team: Annotated[Filter | None, Field(description="only members of the team of this id")] = None,
    organization_ids: Annotated[Filters | None, Field(description="only members of these organizations (not in 1.81)")] = None,
    sort_by: Annotated[
        Literal["user_id", "user_email", "created_at", "spend", "user_alias", "user_role"], Field(description="what to sort by")
    ] = "created_at",
    sort_order: Annotated[Literal["asc", "desc"], Field(description="ascending or descending")] = "desc",
    page: Page = 1,
    page_size: Size = 25,
    cursor: Cursor = None,
) -> Users:
    """List LiteLLM's internal users with roles, spend, budgets and limits, a page at a time. Several filters narrow each other down."""
    # A single id would match as a part of longer ones; twice the same is whole.
    ids = user_ids * 2 if user_ids and len(user_ids) == 1 else user_ids
    filters = given(
        role=role,
        user_ids=_csv("user_ids", ids),
        sso_user_ids=_csv("sso_user_ids", sso_user_ids),
        user_email=user_email,
        search=search,
        team=team,
        organization_ids=_csv("organization_ids", organization_ids),
        sort_by=sort_by,
        sort_order=sort_order,
    )
    page, page_size = place("litellm_user_list", cursor, page, page_size, filters)
    answer = await litellm.rows("/user/list", **filters, page=page, page_size=page_size)
    return Users(
        users=list(map(brief, answer["users"])),
        **paged("litellm_user_list", page, page_size, filters, total=answer["total"], pages=answer["total_pages"]),
    )


@admin_tool(title="Look at a user")
async def litellm_user_info(
    litellm: Admin,
    user_id: Annotated[Id | None, Field(description="the user's whole id")] = None,
    user_email: Annotated[Email | None, Field(description="the user's whole e-mail, in any case of letters; instead of user_id")] = None,
) -> UserDetails:
    """Show one user with budget, limits, keys (never their values) and teams. Give either user_id or user_email."""
    if (user_id is None) == (user_email is None):
        raise Failure("user_id: give either user_id or user_email, and not both.")
    answer = await _find(litellm, user_id or user_email or "", "user_id" if user_id else "user_email")
    user, keys = answer["user_info"], answer.get("keys") or []
    return UserDetails(
        user_id=user["user_id"],
        user_info=user,
        keys=list(map(brief, keys[:KEYS])),
        key_count=len(keys),
        teams=[brief({name: team.get(name) for name in _OF_TEAMS}) for team in answer.get("teams") or []],
    )


@admin_tool(title="Create a user", writes=True, idempotent=False, unsure=AGAIN)
async def litellm_user_create(
    litellm: Admin,
    user_id: Annotated[Id | None, Field(description="an id of your choice; left out, LiteLLM makes one")] = None,
    user_email: Annotated[Email | None, Field(description="the user's e-mail; nobody else may have it")] = None,
    user_alias: Annotated[Id | None, Field(description="a name for people")] = None,
    user_role: Annotated[Role | None, Field(description="what the user may do; left out, LiteLLM's default")] = None,
    models: Models = None,
    max_budget: MaxBudget = None,
    budget_duration: Period = None,
    tpm_limit: Tpm = None,
    rpm_limit: Rpm = None,
    max_parallel_requests: Parallel = None,
    teams: Annotated[list[Id] | None, Field(description="ids of teams to join")] = None,
    organizations: Annotated[list[Id] | None, Field(description="ids of organizations to join")] = None,
    sso_user_id: Annotated[Id | None, Field(description="the user's id in single sign-on")] = None,
    send_invite_email: Annotated[bool | None, Field(description="whether LiteLLM sends an invitation")] = None,
    metadata: Metadata = None,
    object_permission: Permission = None,
) -> UserInfo:
    """Create an internal user, without a key: litellm_key_generate makes one. An id or e-mail that exists is refused.

    Teams and organizations must exist: LiteLLM itself would ignore those that don't. Shows the user as LiteLLM then has it, with what
    it added by itself.
    """
    fields = given(
        user_id=user_id,
        user_email=user_email,
        user_alias=user_alias,
        user_role=user_role,
        models=models,
        max_budget=max_budget,
        budget_duration=duration("budget_duration", budget_duration),
        tpm_limit=tpm_limit,
        rpm_limit=rpm_limit,
        max_parallel_requests=max_parallel_requests,
        teams=teams,
        organizations=organizations,
        sso_user_id=sso_user_id,
        send_invite_email=send_invite_email,
        metadata=metadata,
        object_permission=object_permission,
    )
    for field, path, parameter, names in (
        ("teams", "/team/info", "team_id", teams),
        ("organizations", "/organization/info", "organization_id", organizations),
    ):
        for name in names or ():
            if not await litellm.exists(path, **{parameter: name}):
                raise Failure(f"{field}: there is no {field[:-1]} {name!r}. Create it first, or leave it out.", 404)
    made = (await litellm.write("POST", "/user/new", {**fields, "auto_create_key": False}))["user_id"]
    with reading_back(f"user_id {made}"):
        user = await litellm.user(made)
    if user is None:
        raise Failure(f"LiteLLM said that it created user {made}, but does not know it.", 502)
    return UserInfo(user_id=made, user_info=user)


@admin_tool(title="Change a user", writes=True, destructive=True)
async def litellm_user_update(
    litellm: Admin,
    user_id: Annotated[Id, Field(description="whole id, or else e-mail, of an existing user")],
    user_email: Annotated[Email | None, Field(description="the new e-mail")] = None,
    user_alias: Annotated[Id | None, Field(description="a name for people")] = None,
    user_role: Annotated[Role | None, Field(description="what the user may do")] = None,
    models: Models = None,
    max_budget: MaxBudget = None,
    budget_duration: Period = None,
    tpm_limit: Tpm = None,
    rpm_limit: Rpm = None,
    max_parallel_requests: Parallel = None,
    spend: Annotated[Dollars | None, Field(description="US dollars spent in this period; 0 begins anew")] = None,
    metadata: Metadata = None,
    object_permission: Permission = None,
    clear: Annotated[list[Clearable] | None, Field(description="limits to remove, so that there is none")] = None,
) -> UserChange:
    """Change an existing user; what is left out stays as it is. Never creates one: LiteLLM itself would.

    Shows the changed fields before, and the user read back.
    """
    fields = given(
        user_email=user_email,
        user_alias=user_alias,
        user_role=user_role,
        models=models,
        max_budget=max_budget,
        budget_duration=duration("budget_duration", budget_duration),
        tpm_limit=tpm_limit,
        rpm_limit=rpm_limit,
        max_parallel_requests=max_parallel_requests,
        spend=spend,
        metadata=metadata,
        object_permission=object_permission,
    )
    before = (await _find(litellm, user_id))["user_info"]
    sent = changes(before, fields, clear)
    if "user_email" in sent and (others := set(await _with_email(litellm, sent["user_email"])) - {before["user_id"]}):
        raise Failure(f"user_email: {sent['user_email']!r} is the e-mail of {min(others)} already. Give another, or change that user.", 409)
    after: Row | None = before
    if sent:
        await litellm.update_user(before["user_id"], sent)
        with reading_back(f"user_id {before['user_id']}"):
            after = await litellm.user(before["user_id"])
    # LiteLLM creates a user that it does not find. If this one was deleted a moment ago, we can only tell.
    if after is None or after.get("created_at") != before.get("created_at"):
        raise Failure(f"user_id: {before['user_id']} was deleted while it was being changed. LiteLLM may have made it anew, empty.", 409)
    check_kept(after, sent)
    return UserChange(user_id=before["user_id"], before={name: before.get(name) for name in sent}, user_info=after)


@admin_tool(title="Delete users", writes=True, destructive=True, idempotent=False)
async def litellm_user_delete(
    litellm: Admin,
    user_ids: Annotated[Ids, Field(description="whole ids, or else e-mails, of existing users")],
    dry_run: Annotated[bool, Field(description="say who would be deleted, and delete nobody")] = False,
) -> Deletion:
    """Delete users with all their keys and memberships, and say whom. When one of them is unknown, nobody is deleted."""
    found = await all_of(_find(litellm, user_id, "user_ids") for user_id in dict.fromkeys(user_ids))
    users = {answer["user_info"]["user_id"]: _deleted(answer) for answer in found}
    if not dry_run:
        await litellm.write("POST", "/user/delete", {"user_ids": list(users)})
    return Deletion(dry_run=dry_run, users=list(users.values()))


def _deleted(answer: Row) -> DeletedUser:
    user, keys = answer["user_info"], answer.get("keys") or []
    return DeletedUser(
        **{name: user.get(name) for name in ("user_id", "user_email", "user_alias", "spend")},
        keys=[key.get("key_alias") or key["token"] for key in keys[:KEYS]],
        key_count=len(keys),
        teams=[team["team_id"] for team in answer.get("teams") or []],
        organizations=[membership["organization_id"] for membership in user.get("organization_memberships") or []],
    )


async def _find(litellm: Admin, name: str, field: str = "user_id") -> Row:
    """Return LiteLLM's answer about the one user with this id or else this e-mail. Raises `Failure`, naming the field."""
    if field != "user_email" and (answer := await litellm.user_info(name)):
        return answer
    ids = await _with_email(litellm, name) if "@" in name else []
    if len(ids) > 1:
        raise Failure(f"{field}: {name!r} is the e-mail of {len(ids)} users: {', '.join(ids[:20])}. Give the id.", 409)
    answer = await litellm.user_info(ids[0]) if ids else None
    if answer is None:
        raise Failure(f"{field}: there is no user {name!r}. Nothing was changed; litellm_user_list shows who there is.", 404)
    return answer


async def _with_email(litellm: Admin, email: str) -> list[str]:
    """Return the ids of the users with this whole e-mail: LiteLLM's filter finds also those whose e-mail contains it."""
    rows = await litellm.every("/user/list", user_email=email, sort_by="user_id", sort_order="asc", page_size=100)
    return [row["user_id"] for row in rows if (row.get("user_email") or "").lower() == email.lower()]


def _csv(field: str, names: list[str] | None) -> str | None:
    if names and any("," in name for name in names):
        raise Failure(f"{field}: LiteLLM separates names by commas, so that one with a comma can't be asked for.")
    return ",".join(names) if names else None
