#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What was spent and used, by model, user, key, team or day."""

from __future__ import annotations

DOCUMENTATION = r"""
module: litellm_spend_info
short_description: Sum up LiteLLM's spend and usage
version_added: 0.4.0
description:
  - Sums what was spent and used on a range of days, by day, model, user, key or team. Failed requests and free models count.
  - Days are days in UTC. LiteLLM adds a request to its daily sums some seconds, at most a minute or so, after it was answered.
  - The sums are of LiteLLM's history. They go on where a budget period ends, unlike the spend that users and keys show.
author: RHDP (@rhpds)
extends_documentation_fragment:
  - rhpds.litemaas.connection
  - rhpds.litemaas.attributes.info
  - rhpds.litemaas.attributes.actiongroup
options:
  start_date:
    description: The first day, as V(2026-11-01).
    type: str
    required: true
  end_date:
    description: The last day, which counts in full. Today (UTC) when it is not given.
    type: str
  group_by:
    description: What each row sums up. By V(day) there is a row for each day of the range, also for one without requests.
    type: str
    choices: [day, model, user, key, team]
    default: day
  model:
    description: Only requests for this model, by the name that users call.
    type: str
  user_id:
    description: Only requests of this user.
    type: str
  team_id:
    description:
      - Only requests of this team. LiteLLM keeps the sums of teams apart from those of users, so users and teams can't be combined.
    type: str
  key_alias:
    description: Only requests with the key of this alias.
    type: str
  token:
    description: Only requests with the key of this hash, which may have been removed since.
    type: str
  limit:
    description: The most rows to return. Totals are of all rows; RV(truncated) says whether there are more.
    type: int
seealso:
  - module: rhpds.litemaas.litellm_user_info
  - module: rhpds.litemaas.litellm_key_info
"""

EXAMPLES = r"""
- name: The ten users who spent most in November
  rhpds.litemaas.litellm_spend_info:
    start_date: "2026-11-01"
    end_date: "2026-11-30"
    group_by: user
    limit: 10

- name: One model on each of the last seven days, today included
  rhpds.litemaas.litellm_spend_info:
    start_date: "{{ '%Y-%m-%d' | strftime(now().timestamp() - 6 * 86400, utc=true) }}"
    model: granite-3-8b-instruct
"""

RETURN = r"""
rows:
  description:
    - The sums. By day from the first to the last; otherwise those with the greatest spend first.
    - What LiteLLM assigns to no model, user or team has null in its place.
  returned: success
  type: list
  elements: dict
  contains:
    day:
      description: The day (UTC).
      type: str
      returned: when O(group_by=day)
    model:
      description: The name that users call.
      type: str
      returned: when O(group_by=model)
    user_id:
      description: The user's id.
      type: str
      returned: when O(group_by=user)
    user_email:
      description: The user's e-mail; null when there is none, or the user was removed.
      type: str
      returned: when O(group_by=user)
    user_alias:
      description: The user's alias.
      type: str
      returned: when O(group_by=user)
    token:
      description: The key's hash.
      type: str
      returned: when O(group_by=key)
    key_alias:
      description: The key's alias; null when it has none, or LiteLLM does not know it any more.
      type: str
      returned: when O(group_by=key)
    team_id:
      description: The team's id.
      type: str
      returned: when O(group_by=team)
    team_alias:
      description: The team's alias.
      type: str
      returned: when O(group_by=team)
    spend:
      description: US dollars.
      type: float
    prompt_tokens:
      description: Tokens sent to models.
      type: int
    completion_tokens:
      description: Tokens that models answered.
      type: int
    total_tokens:
      description: Both.
      type: int
    api_requests:
      description: Requests, failed ones included.
      type: int
    successful_requests:
      description: Requests that were answered.
      type: int
    failed_requests:
      description: Requests that failed.
      type: int
  sample:
    - day: "2026-11-21"
      spend: 0.2223306
      prompt_tokens: 214433
      completion_tokens: 22211
      total_tokens: 236644
      api_requests: 94
      successful_requests: 85
      failed_requests: 9
totals:
  description: The sums of all rows, those that were cut off included, in the same units.
  returned: success
  type: dict
  sample:
    spend: 0.2223306
    prompt_tokens: 214433
    completion_tokens: 22211
    total_tokens: 236644
    api_requests: 94
    successful_requests: 85
    failed_requests: 9
row_count:
  description: How many rows there are, those that were cut off included.
  returned: success
  type: int
truncated:
  description: Whether O(limit) cut rows off.
  returned: success
  type: bool
start_date:
  description: The first day.
  returned: success
  type: str
end_date:
  description: The last day.
  returned: success
  type: str
"""

from collections import defaultdict
from datetime import date, datetime, timedelta, timezone
from typing import Any

from ansible_collections.rhpds.litemaas.plugins.module_utils.client import Client, LiteLLMError
from ansible_collections.rhpds.litemaas.plugins.module_utils.info import only_administrators, run_info
from ansible_collections.rhpds.litemaas.plugins.module_utils.keys import check_team, key_of, keys_of
from ansible_collections.rhpds.litemaas.plugins.module_utils.models import list_models
from ansible_collections.rhpds.litemaas.plugins.module_utils.spend import Activity, Figures
from ansible_collections.rhpds.litemaas.plugins.module_utils.users import user_of, users_of

LONGEST = 3660  # days
OPTIONS = {
    "start_date": {"type": "str", "required": True},
    "end_date": {"type": "str"},
    "group_by": {"type": "str", "choices": ["day", "model", "user", "key", "team"], "default": "day"},
    "model": {"type": "str"},
    "user_id": {"type": "str"},
    "team_id": {"type": "str"},
    "key_alias": {"type": "str", "no_log": False},
    "token": {"type": "str", "no_log": False},
    "limit": {"type": "int"},
}


def read(client: Client, parameters: dict[str, Any]) -> dict[str, Any]:
    first, last = _range(parameters)
    group, limit = parameters["group_by"], parameters["limit"]
    if limit is not None and limit < 1:
        raise LiteLLMError(f"limit: must be 1 or more. It is {limit}.")
    only_administrators(client)
    filters = {
        name: parameters[option] for name, option in (("model", "model"), ("user", "user_id"), ("team", "team_id")) if parameters[option]
    }
    wanted = {group, *filters}
    if {"user", "team"} <= wanted:
        raise LiteLLMError("group_by, user_id and team_id: LiteLLM keeps sums of users and sums of teams, none of both. Leave out one.")
    owner = "team" if "team" in wanted else "user"
    activity = Activity(client, owner, first, last, _token(client, parameters))

    groups: dict[str | None, Figures] = defaultdict(Figures)
    if group == "day":
        groups.update({(first + timedelta(days=day)).isoformat(): Figures() for day in range((last - first).days + 1)})
    totals = Figures()
    for place, figures in activity.rows(models="model" in wanted, owners=owner in wanted):
        if all(place[name] == value for name, value in filters.items()):
            groups[place[group]].add(figures)
            totals.add(figures)
    if not totals.any():
        _check_filters(client, parameters)
    rows = [_identity(group, name, activity) | _rounded(figures) for name, figures in groups.items()]
    if group == "user":
        _name_users(client, rows)
    if group != "day":
        rows.sort(key=lambda row: (-row["spend"], -row["api_requests"], str(next(iter(row.values())))))
    return {
        "rows": rows[:limit],
        "totals": _rounded(totals),
        "row_count": len(rows),
        "truncated": limit is not None and len(rows) > limit,
        "start_date": first.isoformat(),
        "end_date": last.isoformat(),
    }


def _range(parameters: dict[str, Any]) -> tuple[date, date]:
    first = _day("start_date", parameters["start_date"])
    last = _day("end_date", parameters["end_date"]) if parameters["end_date"] else datetime.now(timezone.utc).date()
    if first > last:
        raise LiteLLMError(f"start_date: {first} lies after end_date, {last}.")
    if (last - first).days >= LONGEST:
        raise LiteLLMError(f"start_date: {first} to {last} are more than ten years.")
    return first, last


def _day(option: str, text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text:  # newer Pythons read 20261101 too
        raise LiteLLMError(f"{option}: must be a day, such as 2026-11-01. It is {text!r}.")
    return day


def _token(client: Client, parameters: dict[str, Any]) -> str | None:
    alias = parameters["key_alias"]
    if not alias:
        return parameters["token"]
    tokens = [key["token"] for key in keys_of(client, key_alias=alias)]
    if not tokens:
        raise LiteLLMError(f"key_alias: LiteLLM has no key with the alias {alias!r}. Of a key that was removed give the token.")
    if len(tokens) > 1:
        raise LiteLLMError(f"key_alias: several keys have the alias {alias!r}: {', '.join(tokens)}. Give the token of one.")
    return tokens[0]


def _check_filters(client: Client, parameters: dict[str, Any]) -> None:
    """Tell nothing spent from a name that was mistyped."""
    model, user_id, team_id, token = (parameters[name] for name in ("model", "user_id", "team_id", "token"))
    what = "and nothing was requested with it on these days"
    if model and not any(served["model_name"] == model for served in list_models(client)):
        raise LiteLLMError(f"model: LiteLLM serves no model named {model!r}, {what}.")
    if user_id and user_of(client, user_id) is None:
        raise LiteLLMError(f"user_id: LiteLLM has no user {user_id!r}, {what}.")
    if token and key_of(client, token) is None:
        raise LiteLLMError(f"token: LiteLLM has no key of the hash {token!r}, {what}.")
    if team_id:
        check_team(client, team_id)


def _identity(group: str, name: str | None, activity: Activity) -> dict[str, Any]:
    known = activity.names.get(name or "", {})
    if group == "key":
        return {"token": name, "key_alias": known.get("key_alias")}
    if group == "team":
        return {"team_id": name, "team_alias": known.get("team_alias")}
    if group == "user":
        return {"user_id": name, "user_email": known.get("user_email"), "user_alias": known.get("user_alias")}
    return {group: name}


def _name_users(client: Client, rows: list[dict[str, Any]]) -> None:
    """Add e-mails and aliases, which LiteLLM 1.81 does not tell with the sums."""
    if any(row["user_email"] or row["user_alias"] for row in rows) or not any(row["user_id"] for row in rows):
        return
    users = {user["user_id"]: user for user in users_of(client)}
    for row in rows:
        user = users.get(row["user_id"], {})
        row.update(user_email=user.get("user_email"), user_alias=user.get("user_alias"))


def _rounded(figures: Figures) -> dict[str, Any]:
    return {**figures, "spend": round(float(figures["spend"]), 12)}  # sums of doubles: 0.1 + 0.2


def main() -> None:
    run_info(OPTIONS, read, mutually_exclusive=[("key_alias", "token")])


if __name__ == "__main__":
    main()
