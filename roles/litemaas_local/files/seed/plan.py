"""What the seeded LiteMaaS holds: models, teams, users, keys and traffic.

Nothing here talks to anything: the same SEED and the same day give the same data, on every machine. Days are UTC.
Traffic is a function of its own calendar day, so a history topped up later equals one written at once.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from random import Random

SEED = "litemaas-local"
EDITION = 1  # raise it with any change of what is seeded: data of another edition is refused, for half old, half new is neither
HISTORY_DAYS = 60
STUB_HEALTHY, STUB_FAILING = "how many pods fit on a node", "please fail"


def identity(name: str) -> str:
    """Return the UUID that `name` has in every seeded stack."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{SEED}/{name}"))


@dataclass(frozen=True)
class Model:
    """A chat model; prices in dollars per token, limits per minute."""

    name: str
    provider: str = "hosted_vllm"
    input_cost: float = 0.0
    output_cost: float = 0.0
    tpm: int | None = 200_000
    rpm: int | None = 600
    max_tokens: int = 8192
    restricted: bool = False
    popularity: int = 10
    in_litellm: bool = True
    in_litemaas: bool = True
    provider_name: str = ""  # what the provider calls it, where that is not its public name
    in_config: bool = False  # LiteLLM has it from templates/config.yaml.j2, which says the same; the API does not create it

    @property
    def id(self) -> str:
        """LiteLLM's model_info.id; fixed, because posting a model again without one adds a load-balanced duplicate."""
        return self.name if self.in_config else identity(f"model/{self.name}")

    @property
    def upstream(self) -> str:
        """LiteLLM's name for the provider's model."""
        return f"{self.provider}/{self.provider_name or self.name}"

    @property
    def broken(self) -> bool:
        """Whether the upstream stub answers every call with an error: it goes by the name."""
        return self.name.startswith("broken")

    def price(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Return the dollars LiteLLM computes for one call, to the last bit."""
        return prompt_tokens * self.input_cost + completion_tokens * self.output_cost


MODELS = (
    Model(
        "llama-scout-17b",
        input_cost=1.2e-6,
        output_cost=4.8e-6,
        tpm=400_000,
        max_tokens=131072,
        popularity=40,
        provider_name="llama-4-scout-17b-16e",
    ),
    Model("granite-3-8b-instruct", "openai", input_cost=2e-7, output_cost=6e-7, tpm=100_000, rpm=1000, popularity=25, in_config=True),
    Model("deepseek-r1-distill-qwen-14b", input_cost=2e-6, output_cost=8e-6, max_tokens=32768, restricted=True, popularity=12),
    Model("codellama-7b-instruct", input_cost=9e-7, output_cost=9e-7, max_tokens=16384, restricted=True, popularity=8),
    Model("qwen3-14b", "openai", input_cost=5e-7, output_cost=1.5e-6, max_tokens=40960, popularity=15),
    Model("llama-guard-3-1b", tpm=100_000, rpm=1000, popularity=10),
    Model("phi-4-preview", "openai", max_tokens=16384, popularity=6, in_litemaas=False),
    Model("broken-mistral-7b", input_cost=6e-7, output_cost=1.2e-6, max_tokens=32768, popularity=2),
    Model("mixtral-8x7b-instruct", input_cost=3e-6, output_cost=3e-6, max_tokens=32768, popularity=0, in_litellm=False),
)
SERVED = tuple(model for model in MODELS if model.in_litellm)


@dataclass(frozen=True)
class Team:
    """A team; the budget in dollars."""

    id: str
    alias: str
    max_budget: float | None = None
    budget_duration: str | None = None


TEAMS = (
    Team(identity("team/ai-business-unit"), "AI Business Unit", 2000.0, "30d"),
    Team(identity("team/summit-workshops"), "Summit workshops"),
)
AI_BUSINESS_UNIT, WORKSHOPS = (team.id for team in TEAMS)
UI_TEAM = "litellm-dashboard"  # LiteLLM's own name for the keys its web interface makes for a session


@dataclass(frozen=True)
class User:
    """A user; the budget in dollars per duration, limits per minute. `joined` is days before the seed."""

    name: str
    email: str | None
    full_name: str
    max_budget: float | None = None
    budget_duration: str | None = None
    tpm: int | None = None
    rpm: int | None = None
    team: str | None = None
    in_litemaas: bool = True
    joined: int = 90
    alias: str | None = None

    @property
    def id(self) -> str:
        return identity(f"user/{self.name}") if self.in_litemaas or self.alias else self.name

    @property
    def user_alias(self) -> str:
        return self.alias or self.name


USERS = (
    User("alopezme", "alopezme@redhat.com", "Alberto Lopez Medina", 100.0, "30d", 400_000, 500, team=AI_BUSINESS_UNIT, joined=210),
    User("alopezmo", "alopezmo@example.com", "Ana Lopez Montoya", 50.0, "7d", joined=180),  # one letter from alopezme
    User("jkim", "jkim@example.com", "Jae Kim", joined=200, team=AI_BUSINESS_UNIT),  # no budget at all
    User("mrossi", "mrossi@example.com", "Marta Rossi", 0.0, joined=75),  # a budget of nothing: not the same as none
    User("ptanaka", "ptanaka@example.com", "Pat Tanaka", 2000.0, "1d", 400_000, 500, joined=150),
    User("nhassan", "nhassan@example.com", "Nadia Hassan", 250.0, "7d", 200_000, 300, joined=140, team=AI_BUSINESS_UNIT),
    User("dschmidt", "dschmidt@example.com", "Dana Schmidt", 1000.0, "30d", joined=130),
    User("lbernard", "lbernard@example.com", "Lou Bernard", tpm=50_000, rpm=60, joined=120),  # limits without a budget
    User("rwilson", "rwilson@example.com", "Robin Wilson", 0.5, "30d", joined=110),  # has spent more than allowed
    User("egarcia", "egarcia@example.com", "Elena Garcia", 2000.0, "1d", 400_000, 500, joined=80, team=WORKSHOPS),
    User("fnovak", "fnovak@example.com", "Filip Novak", 25.0, "1d", joined=30),  # invited, has never called
    User("workshop-runner", None, "", 20.0, "7d", joined=100, in_litemaas=False),  # a machine: no e-mail
    # two people whom LiteLLM knows by one alias and LiteMaaS not at all: a name that does not say who is meant
    User("scarter-1", "scarter@example.com", "Sam Carter", 10.0, "30d", joined=60, in_litemaas=False, alias="scarter"),
    User("scarter-2", "sasha.carter@example.com", "Sasha Carter", 10.0, "30d", joined=59, in_litemaas=False, alias="scarter"),
)


def in_days(days: int) -> Callable[[date], datetime]:
    """Expire at the end of the day that many days after the seed; negative: expired."""
    return lambda seeded_on: datetime.combine(seeded_on + timedelta(days=days), time(23, 59, 59))


def end_of_month(seeded_on: date) -> datetime:
    """Expire with the last second of the seed's month."""
    first_of_next = (seeded_on.replace(day=1) + timedelta(days=32)).replace(day=1)
    return datetime.combine(first_of_next, time()) - timedelta(seconds=1)


@dataclass(frozen=True)
class Key:
    """A virtual key; the budget in dollars. `weight` is its share of the traffic, `created` is days before the seed."""

    name: str
    owner: str | None
    created: int
    weight: int = 0
    aliased: bool = True
    team: str | None = None
    models: tuple[str, ...] = ()
    max_budget: float | None = None
    budget_duration: str | None = None
    tpm: int | None = None
    rpm: int | None = None
    expires: Callable[[date], datetime] | None = None
    blocked: bool = False

    @property
    def secret(self) -> str:
        return "sk-" + hashlib.sha256(f"{SEED}/key/{self.name}".encode()).hexdigest()[:22]

    @property
    def token(self) -> str:
        """What LiteLLM stores instead of the key."""
        return hashlib.sha256(self.secret.encode()).hexdigest()

    @property
    def alias(self) -> str | None:
        return self.name if self.aliased else None

    @property
    def owner_id(self) -> str | None:
        return next((user.id for user in USERS if user.name == self.owner), None)


KEYS = (
    Key("alopezme-notebook", "alopezme", 200, weight=20),
    Key("alopezme-scout", "alopezme", 120, weight=8, models=("llama-scout-17b",), max_budget=75.0, budget_duration="30d"),
    Key("alopezme-rag", "alopezme", 90, weight=6, team=AI_BUSINESS_UNIT),
    Key("alopezmo-default", "alopezmo", 170, weight=7),
    Key("jkim-agent", "jkim", 190, weight=24, team=AI_BUSINESS_UNIT),
    Key("jkim-scratch", "jkim", 40, weight=3, aliased=False),
    Key("ptanaka-ide", "ptanaka", 145, weight=16),
    Key("ptanaka-trial", "ptanaka", 70, weight=2, expires=in_days(-10)),
    Key("nhassan-eval", "nhassan", 135, weight=18, models=("llama-scout-17b", "qwen3-14b", "deepseek-r1-distill-qwen-14b")),
    Key("nhassan-nightly", "nhassan", 100, weight=9, team=AI_BUSINESS_UNIT, expires=in_days(90)),
    Key("dschmidt-batch", "dschmidt", 125, weight=14, max_budget=800.0, budget_duration="30d", tpm=200_000, rpm=300),
    Key("dschmidt-lost", "dschmidt", 110, weight=2, blocked=True),
    Key("lbernard-chat", "lbernard", 115, weight=6, tpm=50_000, rpm=60),
    Key("rwilson-demo", "rwilson", 105, weight=5),
    Key("mrossi-waiting", "mrossi", 70),
    Key("egarcia-class", "egarcia", 78, weight=12, team=WORKSHOPS, expires=end_of_month),
    Key("egarcia-backup", "egarcia", 50, weight=1, aliased=False, team=WORKSHOPS, expires=in_days(3)),
    Key("fnovak-first", "fnovak", 29, expires=in_days(0)),
    Key("workshop-seat-01", "workshop-runner", 21, weight=4, team=WORKSHOPS, max_budget=15.0, expires=in_days(7)),
    Key("workshop-seat-02", "workshop-runner", 21, weight=4, team=WORKSHOPS, max_budget=15.0, expires=in_days(7)),
    Key("workshop-seat-03", "workshop-runner", 21, weight=1, team=WORKSHOPS, max_budget=15.0, expires=in_days(-1)),
    Key("scarter-one", "scarter-1", 55, weight=2),
    Key("scarter-two", "scarter-2", 54, weight=1),
    Key("smoke-test", None, 160, weight=3, models=("granite-3-8b-instruct",)),  # nobody's
    Key("retired-pipeline", "jkim", 150, blocked=True, expires=in_days(-40)),
    Key("ui-session", "alopezme", 1, aliased=False, team=UI_TEAM, max_budget=0.25, expires=in_days(1)),  # lists hide it
)
BUSY_KEYS = tuple(key for key in KEYS if key.weight)


@dataclass(frozen=True)
class Request:
    """One call through the gateway. `moment` is its place in the day, 0 to 1; `duration` in milliseconds."""

    key: Key
    model: Model
    moment: float
    prompt_tokens: int
    completion_tokens: int
    duration: int
    failed: bool


def quiet(day: date) -> bool:
    """Say whether nobody called all day: every second Sunday."""
    return day.weekday() == 6 and day.isocalendar().week % 2 == 0


def traffic(day: date) -> list[Request]:
    """Return the day's requests in their order."""
    if quiet(day):
        return []
    random = Random(f"{SEED}/{day.isoformat()}")
    count = random.randint(180, 320) if day.weekday() < 5 else random.randint(20, 60)
    return sorted((_request(random) for _ in range(count)), key=lambda request: request.moment)


def _request(random: Random) -> Request:
    key = random.choices(BUSY_KEYS, [key.weight for key in BUSY_KEYS])[0]
    models = [model for model in SERVED if not key.models or model.name in key.models]
    model = random.choices(models, [model.popularity for model in models])[0]
    failed = model.broken or random.random() < 0.03
    return Request(
        key=key,
        model=model,
        moment=min(max(random.gauss(0.55, 0.17), 0.0), 0.9999),
        prompt_tokens=int(random.lognormvariate(8.6, 1.0)) + 8,
        completion_tokens=0 if failed else int(random.lognormvariate(6.3, 0.8)) + 1,
        duration=random.randint(30, 400) if failed else random.randint(300, 9000),
        failed=failed,
    )


def last_25_march(today: date) -> date:
    """Return the latest 25 March before `today`."""
    this_year = date(today.year, 3, 25)
    return this_year if this_year < today else this_year.replace(year=today.year - 1)


def history(seeded_on: date) -> list[date]:
    """Return the days that hold traffic history: 60 up to and including `seeded_on`, and those around the latest 25 March."""
    march = last_25_march(seeded_on)
    days = {seeded_on - timedelta(days=n) for n in range(HISTORY_DAYS)} | {march + timedelta(days=n) for n in range(-2, 3)}
    return sorted(day for day in days if day <= seeded_on)


def completions() -> list[tuple[Key, Model, str]]:
    """Return the calls that really pass through the proxy on the day of a seed: key, model, message."""
    callers = [key for key in KEYS if key.name in ("alopezme-notebook", "jkim-agent", "ptanaka-ide", "alopezme-rag", "dschmidt-batch")]
    healthy = [model for model in SERVED if not model.broken]
    broken = [model for model in SERVED if model.broken]
    calls = [(key, model, f"{STUB_HEALTHY} of kind {model.name}") for key in callers for model in healthy]
    again = zip(callers * 4, healthy * 3, strict=False)
    calls += [(key, model, f"{STUB_HEALTHY} when {'very ' * n}small") for n, (key, model) in enumerate(again)]
    calls += [(key, model, STUB_FAILING) for key, model in zip(callers, healthy, strict=False)]
    return calls + [(key, model, STUB_HEALTHY) for key in callers[:2] for model in broken]
