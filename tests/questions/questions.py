"""The example questions of the source document: for each the call that a client makes of it, and what its answer must hold.

`expected` is what `seen` must find in the structured content, exactly; both are computed anew for each call.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from tests.questions.truth import Truth, moment

Structured = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """A question, the tool a client picks for it, and its exact answer.

    arguments: of today's date (UTC), what the client sends.
    expected: the right answer, found without the server.
    seen: the same facts in what the tool answered.
    short: the answer in a few words, for people.
    around: what to do before the call and to undo after it.
    """

    text: str
    tool: str
    arguments: Callable[[date], Structured]
    expected: Callable[[Truth, date], Any]
    seen: Callable[[Structured], Any]
    short: Callable[[Structured], str]
    around: Callable[[Truth], AbstractContextManager[Any]] = lambda truth: nullcontext()


def one_day(day: date) -> Structured:
    return {"date_from": day.isoformat(), "date_to": day.isoformat()}


def yesterday(today: date) -> date:
    return today - timedelta(days=1)


def monday(today: date) -> date:
    """This week is the ISO week: Monday to today, UTC."""
    return today - timedelta(days=today.weekday())


def march_25(today: date) -> date:
    """The latest one that is past."""
    this_year = date(today.year, 3, 25)
    return this_year if this_year < today else date(today.year - 1, 3, 25)


def month(today: date) -> tuple[date, date]:
    """This month's first and last day."""
    first = today.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)


USAGE = ("requests", "failures", "total_tokens", "total_spend")


def usage(row: Structured) -> Structured:
    return {name: row[name] for name in USAGE}


def summary(answer: Structured) -> Structured:
    """What an answer about spend must state beside its rows."""
    return usage(answer["total"]) | {name: answer[name] for name in ("time_zone", "truncated")}


WHOLE = {"time_zone": "UTC", "truncated": False}


def dollars(amount: float) -> str:
    return f"${amount:,.2f}"


def listed(names: list[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (f", … {len(names) - most} more" if len(names) > most else "") or "none"


# --- models


def per_million(dollars_a_token: float) -> float:
    return round(dollars_a_token * 1e6, 6)


def models_expected(truth: Truth, today: date) -> Structured:
    planned = {model.name: model for model in truth.plan.SERVED}
    names = truth.models()
    facts = {}
    for name in (name for name in names if name in planned):
        model = planned[name]
        facts[name] = {
            "mode": "chat",
            "provider": model.provider,
            "availability": "available",
            "restricted": model.restricted if model.in_litemaas else None,
            "input_$/1M": per_million(model.input_cost),
            "output_$/1M": per_million(model.output_cost),
            "tpm": model.tpm,
            "rpm": model.rpm,
            "max_tokens": model.max_tokens,
        }
    return {"names": names, "seeded": facts, "truncated": False}


def models_seen(answer: Structured) -> Structured:
    fields = ("mode", "provider", "availability", "restricted", "input_$/1M", "output_$/1M", "tpm", "rpm", "max_tokens")
    from_plan = {model["model"]: {name: model[name] for name in fields} for model in answer["models"]}
    names = [model["model"] for model in answer["models"]]
    return {"names": names, "seeded": from_plan, "truncated": answer["truncated"]}


def health_seen(answer: Structured) -> Structured:
    return {endpoint["model"]: endpoint["healthy"] for endpoint in answer["endpoints"]} | {"live": answer["live"]}


def health_in_short(answer: Structured) -> str:
    broken = [endpoint["model"] for endpoint in answer["endpoints"] if not endpoint["healthy"]]
    return f"{answer['healthy']} healthy, {answer['unhealthy']} not" + (f": {listed(broken)}" if broken else "")


# --- spend


def most_spent_seen(answer: Structured) -> Structured:
    """Of the people: the log names LiteLLM's own callers otherwise than the daily table does."""
    people = [row for row in answer["rows"] if row["email"] or row["user_id"] not in ("none", "default_user_id")]
    return {"users": [{"user_id": row["user_id"], "email": row["email"], **usage(row)} for row in people]} | {
        name: answer[name] for name in WHOLE
    }


def day_in_short(answer: Structured) -> str:
    total = answer["total"]
    return f"{dollars(total['total_spend'])}, {total['requests']:,} requests, {total['failures']} failed"


# --- users and keys


BUDGET = ("max_budget", "budget_duration", "tpm_limit", "rpm_limit")


def users_expected(truth: Truth, today: date) -> Structured:
    users = {
        user["user_id"]: {"email": user["user_email"], "spend": user["spend"], **{name: user[name] for name in BUDGET}}
        for user in truth.users()
    }
    return {"users": users, "highest first": True, "truncated": False}


def users_seen(answer: Structured) -> Structured:
    rows = answer["users"]
    users = {row["user_id"]: {"email": row["email"], "spend": row["spend"], **{name: row[name] for name in BUDGET}} for row in rows}
    spent = [row["spend"] for row in rows]
    return {"users": users, "highest first": spent == sorted(spent, reverse=True), "truncated": answer["truncated"]}


@contextmanager
def budget_put_back(truth: Truth):
    """alopezme has the budget of the seed before, and afterwards the same again."""
    user = truth.user("alopezme")
    seeded = next(user for user in truth.plan.USERS if user.name == "alopezme")
    body = {"user_id": user["user_id"], "max_budget": seeded.max_budget, "budget_duration": seeded.budget_duration}
    truth.litellm.post("/user/update", json=body).raise_for_status()
    try:
        yield
    finally:
        truth.litellm.post("/user/update", json=body).raise_for_status()


def budget_expected(truth: Truth, today: date) -> Structured:
    """What LiteLLM says now, after the call; nobody came into being by it."""
    user = truth.user("alopezme")
    seeded = next(user for user in truth.plan.USERS if user.name == "alopezme")
    return {
        "user_id": seeded.id,
        "before": [seeded.max_budget, seeded.budget_duration],
        "after": [500.0, "1d"],
        "read back from LiteLLM": [user["max_budget"], user["budget_duration"]],
    }


def budget_seen(answer: Structured) -> Structured:
    before, after = ([answer[when][name] for name in ("max_budget", "budget_duration")] for when in ("before", "after"))
    return {"user_id": answer["user_id"], "before": before, "after": after, "read back from LiteLLM": [500.0, "1d"]}


KEY = ("user_id", "spend", "max_budget", "budget_duration", "models")


def keys_of(keys: list[Structured]) -> list[Structured]:
    """LiteLLM's keys as the tool names them."""
    return [
        {
            "key_alias": key["key_alias"] or f"{key['token'][:12]}…",
            "expires": key["expires"] and moment(key["expires"]),
            "blocked": bool(key["blocked"]),
            **{name: key[name] for name in KEY},
        }
        for key in keys
    ]


def keys_seen(answer: Structured) -> Structured:
    keys = [
        {"key_alias": key["key_alias"], "expires": key["expires"] and moment(key["expires"]), "blocked": key["blocked"]}
        | {name: key[name] for name in KEY}
        for key in answer["keys"]
    ]
    return {"keys": keys, "total": answer["total"], "truncated": answer["truncated"]}


def keys_expected(keys: list[Structured]) -> Structured:
    return {"keys": keys_of(keys), "total": len(keys), "truncated": False}


# --- pods


def not_ready(pods: dict[str, Structured]) -> dict[str, str]:
    return {name: pod["phase"] for name, pod in pods.items() if pod["ready"] is False}


def restarted(pods: dict[str, Structured]) -> dict[str, Structured]:
    """In the last 24 hours."""
    since = datetime.now(UTC) - timedelta(hours=24)
    ends = {name: pod["last_restart_at"] for name, pod in pods.items() if pod["last_restart_at"]}
    return {name: {"restarts": pods[name]["restarts"], "at": at} for name, at in ends.items() if at > since}


def pods_of(answer: Structured) -> dict[str, Structured]:
    moments = {pod["name"]: pod["last_restart_at"] and moment(pod["last_restart_at"]) for pod in answer["pods"]}
    return {pod["name"]: pod | {"last_restart_at": moments[pod["name"]]} for pod in answer["pods"]}


def restarts_in_short(answer: Structured) -> str:
    return listed([f"{name} ({pod['restarts']}x)" for name, pod in restarted(pods_of(answer)).items()])


QUESTIONS = (
    Question(
        "What models are available in LiteMaaS?",
        "list_models",
        arguments=lambda today: {},
        expected=models_expected,
        seen=models_seen,
        short=lambda answer: f"{len(answer['models'])}: {listed([model['model'] for model in answer['models']])}",
    ),
    Question(
        "Is llama-scout-17b healthy right now?",
        "get_model_health",
        arguments=lambda today: {"model": "llama-scout-17b"},
        expected=lambda truth, today: truth.health(["llama-scout-17b"]) | {"live": True},
        seen=health_seen,
        short=health_in_short,
    ),
    Question(
        "Which models have restricted access?",
        "list_models",
        arguments=lambda today: {},
        expected=lambda truth, today: sorted(model.name for model in truth.plan.SERVED if model.restricted),
        seen=lambda answer: [model["model"] for model in answer["models"] if model["restricted"]],
        short=lambda answer: listed([model["model"] for model in answer["models"] if model["restricted"]]),
    ),
    Question(
        "Check the health of all models",
        "get_model_health",
        arguments=lambda today: {},
        expected=lambda truth, today: truth.health(truth.models()) | {"live": True},
        seen=health_seen,
        short=health_in_short,
    ),
    Question(
        "Who has spent the most this week?",
        "get_spend_summary",
        arguments=lambda today: {"group_by": "user", "date_from": monday(today).isoformat(), "date_to": today.isoformat()},
        expected=lambda truth, today: {"users": truth.usage_by_user(monday(today), today)} | WHOLE,
        seen=most_spent_seen,
        short=lambda answer: "{}: {} since {}".format(
            *next(((row["email"] or row["user_id"], dollars(row["total_spend"])) for row in answer["rows"]), ("nobody", dollars(0))),
            answer["date_from"],
        ),
    ),
    Question(
        "Show me today's spend broken down by model",
        "get_spend_summary",
        arguments=lambda today: one_day(today) | {"group_by": "model"},
        expected=lambda truth, today: {"models": truth.usage_by_model(today, today), **truth.usage(today, today), **WHOLE},
        seen=lambda answer: {"models": {row["model"]: usage(row) for row in answer["rows"]}, **summary(answer)},
        short=lambda answer: listed([f"{row['model']} {dollars(row['total_spend'])}" for row in answer["rows"]], 3),
    ),
    Question(
        "How many tokens did we serve yesterday?",
        "get_spend_summary",
        arguments=lambda today: one_day(yesterday(today)),
        expected=lambda truth, today: truth.usage(yesterday(today), yesterday(today)) | WHOLE,
        seen=summary,
        short=lambda answer: f"{answer['total']['total_tokens']:,} tokens",
    ),
    Question(
        "Show me daily stats for the past 14 days",
        "get_daily_stats",
        arguments=lambda today: {"days": 14},
        expected=lambda truth, today: truth.usage_by_day(today - timedelta(days=13), today),
        seen=lambda answer: [{"date": day["date"], **usage(day), "unique_models": day["unique_models"]} for day in answer["days"]],
        short=lambda answer: f"{len(answer['days'])} days, {day_in_short(answer)}",
    ),
    Question(
        "What was the spend on March 25th?",
        "get_spend_summary",
        arguments=lambda today: one_day(march_25(today)),
        expected=lambda truth, today: truth.usage(march_25(today), march_25(today)) | WHOLE,
        seen=summary,
        short=lambda answer: f"{dollars(answer['total']['total_spend'])} on {answer['date_from']}",
    ),
    Question(
        "How many requests failed today?",
        "get_spend_summary",
        arguments=one_day,
        expected=lambda truth, today: truth.usage(today, today) | WHOLE,
        seen=summary,
        short=lambda answer: f"{answer['total']['failures']} of {answer['total']['requests']} requests",
    ),
    Question(
        "List all users and their budgets",
        "list_users",
        arguments=lambda today: {"limit": 500},
        expected=users_expected,
        seen=users_seen,
        short=lambda answer: (
            f"{len(answer['users'])} users, {sum(user['max_budget'] is not None for user in answer['users'])} with a budget"
        ),
    ),
    Question(
        "Set alopezme's budget to $500 daily",
        "update_user_budget",
        arguments=lambda today: {"user_id": "alopezme", "max_budget": 500, "budget_duration": "daily"},
        expected=budget_expected,
        seen=budget_seen,
        short=lambda answer: "from {} per {} to {} per {}".format(
            *(value for when in ("before", "after") for value in (dollars(answer[when]["max_budget"]), answer[when]["budget_duration"]))
        ),
        around=budget_put_back,
    ),
    Question(
        "Show all virtual keys and their spend",
        "list_virtual_keys",
        arguments=lambda today: {"limit": 500},
        expected=lambda truth, today: keys_expected(truth.keys()),
        seen=keys_seen,
        short=lambda answer: f"{len(answer['keys'])} keys, {dollars(sum(key['spend'] for key in answer['keys']))}",
    ),
    Question(
        "Which keys expire this month?",
        "list_virtual_keys",
        arguments=lambda today: dict(zip(("expires_after", "expires_before"), map(date.isoformat, month(today)), strict=True)),
        expected=lambda truth, today: keys_expected(truth.keys_expiring(*month(today))),
        seen=keys_seen,
        short=lambda answer: listed([key["key_alias"] for key in answer["keys"]]),
    ),
    Question(
        "Are all pods running?",
        "get_pod_status",
        arguments=lambda today: {},
        expected=lambda truth, today: {"total": len(truth.pods()), "not ready": not_ready(truth.pods())},
        seen=lambda answer: {"total": answer["total"], "not ready": not_ready(pods_of(answer))},
        short=lambda answer: f"{answer['not_ready']} of {answer['total']} not ready: {listed(list(not_ready(pods_of(answer))))}",
    ),
    Question(
        "Which pods have restarted recently?",
        "get_pod_status",
        arguments=lambda today: {},
        expected=lambda truth, today: restarted(truth.pods()),
        seen=lambda answer: restarted(pods_of(answer)),
        short=restarts_in_short,
    ),
)
