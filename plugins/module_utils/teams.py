"""How teams are found: LiteLLM lets several have one alias, and its own look-up matches parts of aliases."""

from __future__ import annotations

from typing import Any

from ansible_collections.rhpds.litemaas.plugins.module_utils.client import Client, LiteLLMError, NotFound


def team_of(client: Client, team_id: str) -> dict[str, Any] | None:
    """Return the team of exactly this id, with what its members may spend in `memberships`, or None."""
    try:
        answer = client.get("/team/info", team_id=team_id, key_limit=1)  # 1.81 gives every key all the same
    except NotFound:
        return None
    return {**answer["team_info"], "memberships": answer.get("team_memberships") or []}


def teams_by_alias(client: Client, team_alias: str) -> list[dict[str, Any]]:
    """Return the teams of exactly this alias, as LiteLLM lists them: without what they may reach beside models."""
    found = client.pages("/v2/team/list", "teams", team_alias=team_alias, sort_by="team_id", sort_order="asc")
    return [team for team in found if team.get("team_alias") == team_alias]


def team_by_alias(client: Client, team_alias: str) -> dict[str, Any] | None:
    """Return the one team of exactly this alias, or None. Raises LiteLLMError when there are several: they are named."""
    teams = teams_by_alias(client, team_alias)
    if len(teams) > 1:
        ids = ", ".join(team["team_id"] for team in teams)
        raise LiteLLMError(f"team_alias: LiteLLM has several teams called {team_alias!r}: {ids}. Give the id.")
    return team_of(client, teams[0]["team_id"]) if teams else None


def team_id_of(client: Client, name: str) -> str:
    """Return the id of the team whose id or alias this is. Raises LiteLLMError when there is none, or more than one."""
    team = team_of(client, name) or team_by_alias(client, name)
    if team is None:
        raise LiteLLMError(f"teams: LiteLLM has no team whose id or alias is {name!r}. Nothing was changed.")
    return team["team_id"]


def key_count(client: Client, **filters: str) -> int:
    """Return how many keys match LiteLLM's filters (`team_id`, `user_id`: each the whole value)."""
    return client.get("/key/list", size=1, **filters)["total_count"]
