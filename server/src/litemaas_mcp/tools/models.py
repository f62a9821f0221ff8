"""Models: what the gateway serves, at what price, and whether it answers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field

from litemaas_mcp.backends import Backends
from litemaas_mcp.backends.http import brief
from litemaas_mcp.errors import Failure, Unavailable
from litemaas_mcp.tools import tool
from litemaas_mcp.tools.parts import Page, Row, count, moment, table
from litemaas_mcp.tools.spend import unknown_model

Deployments = dict[str, list[dict[str, Any]]]


class Model(Row):
    model: Annotated[str, Field(description="the name that callers use")]
    mode: Annotated[str | None, Field(description="chat, embedding, …")]
    provider: str | None
    availability: Annotated[
        str,
        Field(
            description="available or unavailable, as LiteMaaS has it; of a model that LiteMaaS does not know: whether LiteLLM serves it"
        ),
    ]
    restricted: Annotated[
        bool | None, Field(description="whether a subscription needs an administrator's approval; null: LiteMaaS does not know the model")
    ]
    input_price: Annotated[
        float | None, Field(alias="input_$/1M", description="US dollars per million input tokens; 0 is free, null is unknown")
    ]
    output_price: Annotated[
        float | None, Field(alias="output_$/1M", description="US dollars per million output tokens; 0 is free, null is unknown")
    ]
    tpm: Annotated[int | None, Field(description="tokens per minute over all deployments; null is no limit")]
    rpm: Annotated[int | None, Field(description="requests per minute over all deployments; null is no limit")]
    max_tokens: int | None
    deployments: Annotated[int, Field(description="backends that share the model's load")]


class Models(Page):
    models: Annotated[list[Model], Field(description="every model that the gateway serves, by name")]
    total: int
    not_served: Annotated[list[str], Field(description="models in LiteMaaS's table that the gateway does not serve")]
    notes: list[str]

    def text(self) -> str:
        rows = (
            (
                model.model,
                model.provider,
                model.mode,
                model.availability + (", restricted" if model.restricted else ""),
                _price(model.input_price),
                _price(model.output_price),
                _number(model.tpm),
                _number(model.rpm),
                _number(model.max_tokens),
            )
            for model in self.models
        )
        header = ("model", "provider", "mode", "availability", "input $/1M", "output $/1M", "TPM", "RPM", "max tokens")
        return "\n".join(
            [
                f"{count(self.total, 'model')}; prices in US dollars per million tokens.",
                *table(header, rows, len(self.models), self.total, ""),
                *self.notes,
            ]
        )


def _price(dollars: float | None) -> str:
    return "unknown" if dollars is None else "free" if dollars == 0 else f"{Decimal(repr(dollars)).normalize():f}"


def _number(number: int | None) -> str:
    return "none" if number is None else count(number)


@tool(title="Models")
async def list_models(backends: Backends) -> Models:
    """List every model that the gateway serves: provider, availability, prices, rate limits, whether access is restricted.

    Whether a model answers right now is get_model_health's question.
    """
    served = await _served(backends)
    notes = []
    try:
        catalogue = await backends.database.litemaas_models()
    except Failure as failure:
        catalogue = None
        notes.append(f"LiteMaaS's table of models could not be read, so restrictions and availability are LiteLLM's view only: {failure}")
    else:
        if catalogue is None:
            notes.append("There is no LiteMaaS table of models here: restrictions are unknown.")
    catalogue = catalogue or {}
    not_served = sorted(catalogue.keys() - served.keys())
    if not_served:
        notes.append(f"In LiteMaaS's table but not served by the gateway: {', '.join(not_served)}.")
    models = [_model(name, deployments, catalogue.get(name)) for name, deployments in sorted(served.items())]
    return Models(models=models, total=len(models), not_served=not_served, notes=notes)


async def _served(backends: Backends) -> Deployments:
    served: Deployments = {}
    for deployment in await backends.litellm.deployments():
        served.setdefault(deployment["model_name"], []).append(deployment)
    return served


def _model(name: str, deployments: list[dict[str, Any]], row: dict[str, Any] | None) -> Model:
    """What is charged and enforced LiteLLM knows; what is offered, and to whom, LiteMaaS."""
    infos = [deployment.get("model_info") or {} for deployment in deployments]
    known = row or {}
    blocked = all(info.get("blocked") for info in infos)
    return Model.model_validate(
        {
            "model": name,
            "mode": _first(info.get("mode") for info in infos),
            "provider": known.get("provider") or _provider(deployments),
            "availability": "unavailable" if blocked else known.get("availability") or "available",
            "restricted": bool(row["restricted_access"]) if row else None,
            "input_$/1M": _per_million(_first([*(info.get("input_cost_per_token") for info in infos), known.get("input_cost_per_token")])),
            "output_$/1M": _per_million(
                _first([*(info.get("output_cost_per_token") for info in infos), known.get("output_cost_per_token")])
            ),
            "tpm": _limit(deployments, "tpm", known),
            "rpm": _limit(deployments, "rpm", known),
            "max_tokens": _first([known.get("max_tokens"), *(info.get("max_tokens") for info in infos)]),
            "deployments": len(deployments),
        }
    )


def _first(values: Iterable[Any]) -> Any:
    return next((value for value in values if value is not None), None)


def _provider(deployments: list[dict[str, Any]]) -> str | None:
    for deployment in deployments:
        info, model = deployment.get("model_info") or {}, deployment["litellm_params"].get("model", "")
        if provider := info.get("litellm_provider") or model.partition("/")[0] * ("/" in model):
            return provider
    return None


def _per_million(per_token: float | Decimal | None) -> float | None:
    """Exact: 3e-07 a token is 0.3, not 0.30000000000000004 (in decimals, a float means its shortest spelling)."""
    return None if per_token is None else float(Decimal(str(per_token)) * 1_000_000)


def _limit(deployments: list[dict[str, Any]], name: str, row: dict[str, Any]) -> int | None:
    limits = [deployment["litellm_params"].get(name) for deployment in deployments]
    # One deployment without a limit makes the whole unlimited.
    return sum(limits) if all(limit is not None for limit in limits) else row.get(name)


class Endpoint(Row):
    model: Annotated[str, Field(description="the name that callers use")]
    healthy: bool
    provider_model: Annotated[str | None, Field(description="what the provider calls the model")]
    host: Annotated[str | None, Field(description="where the model runs; null: the provider's own address")]
    error: Annotated[str | None, Field(description="what the provider answered, shortened")]


class StoredCheck(Row):
    model: str
    status: str
    healthy_count: int
    unhealthy_count: int
    checked_at: Annotated[datetime, Field(description="UTC")]


class ModelHealth(Page):
    model: Annotated[str | None, Field(description="the model that was asked for; null: all")]
    live: Annotated[bool, Field(description="whether the endpoints were checked just now")]
    healthy: Annotated[int, Field(description="endpoints, or with live=false models, that answer")]
    unhealthy: Annotated[int, Field(description="endpoints, or with live=false models, that do not")]
    endpoints: Annotated[list[Endpoint], Field(description="of the live check, unhealthy ones first; empty with live=false")]
    stored_checks: Annotated[
        list[StoredCheck],
        Field(description="the last check of each model that LiteLLM had stored before this call; it stores those of single models"),
    ]
    unchecked: Annotated[list[str], Field(description="models without any result in this answer")]
    notes: list[str]

    def text(self) -> str:
        what = f"Model {self.model}" if self.model else "All models"
        lines = [
            f"{what}, {'checked just now' if self.live else 'last stored checks'}: {self.healthy} healthy, {self.unhealthy} unhealthy."
        ]
        if self.live:
            rows = [
                (end.model, "healthy" if end.healthy else "UNHEALTHY", end.provider_model, end.host, end.error or "")
                for end in self.endpoints
            ]
            lines += table(("model", "state", "provider's model", "host", "error"), rows, len(rows), len(rows), "")
        else:
            rows = [
                (check.model, check.status, check.healthy_count, check.unhealthy_count, moment(check.checked_at))
                for check in self.stored_checks
            ]
            lines += table(("model", "state", "healthy", "unhealthy", "checked (UTC)"), rows, len(rows), len(rows), "")
        if self.unchecked:
            lines.append(f"No result for: {', '.join(self.unchecked)}.")
        lines.append(
            "A live check calls every provider once, which they may charge for; live=false shows the last stored checks instead."
            if self.live
            else "Nothing was called. live=true checks now; providers may charge for it."
        )
        return "\n".join([*lines, *self.notes])


@tool(title="Model health")
async def get_model_health(
    backends: Backends,
    model: Annotated[str | None, Field(max_length=256, description="the name that callers use; left out: all models")] = None,
    live: Annotated[
        bool,
        Field(description="true: call the providers now, which they may charge for; false: show the last stored checks, free and at once"),
    ] = True,
) -> ModelHealth:
    """Check whether a model, or every model, answers: each endpoint healthy or unhealthy, with the error.

    A live check makes a small paid call to each provider and may take many seconds. live=false answers from the checks that
    LiteLLM has stored.
    """
    notes = []
    try:
        served = await _served(backends)
    except Unavailable as failure:
        if live:
            raise Unavailable(f"{failure} live=false shows the last stored checks, which need only the database.") from failure
        served = None
        notes.append(f"Which models are served now is not known: {failure}")
    if model and served is not None and model not in served:
        unknown_model("model", model, served)
    try:
        # Asked first: a live check of one model is stored too.
        checks = await backends.database.stored_checks(model or None)
        stored = [StoredCheck(**row) for row in checks if served is None or row["model"] in served]
    except Failure as failure:
        if not live:
            raise
        stored = []
        notes.append(f"Stored checks could not be read: {failure}")
    endpoints = await _check(backends, served or {}, model or None) if live else []
    results = [(end.model, end.healthy) for end in endpoints] if live else [(check.model, check.status == "healthy") for check in stored]
    checked = {name for names, _ in results for name in names.split(", ")}
    return ModelHealth(
        model=model or None,
        live=live,
        healthy=sum(healthy for _, healthy in results),
        unhealthy=sum(not healthy for _, healthy in results),
        endpoints=endpoints,
        stored_checks=stored,
        unchecked=sorted(({model} if model else (served or {}).keys()) - checked),
        notes=notes,
    )


async def _check(backends: Backends, served: Deployments, model: str | None) -> list[Endpoint]:
    try:
        health = await backends.litellm.model_health(model)
    except Unavailable as error:
        raise Unavailable(
            f"{error} A check waits for every provider: ask for one model, or for the stored checks with live=false."
        ) from error
    return [
        _endpoint(end, healthy, served, model)
        for healthy, key in ((False, "unhealthy_endpoints"), (True, "healthy_endpoints"))
        for end in health[key]
    ]


def _endpoint(endpoint: dict[str, Any], healthy: bool, served: Deployments, model: str | None) -> Endpoint:
    base = urlsplit(endpoint.get("api_base") or "")
    return Endpoint(
        model=model or _name(endpoint, served),
        healthy=healthy,
        provider_model=endpoint.get("model"),
        # The address may hold a user, a password or a key: only the host is told.
        host=base.netloc.rpartition("@")[2] or None,
        error=None if healthy else brief(str(endpoint.get("error") or "no reason given")),
    )


def _name(endpoint: dict[str, Any], served: Deployments) -> str:
    """The public name of an endpoint: by its id in 1.106; 1.81 gives none, so by what it calls, which several names may share."""
    names = [
        name
        for name, deployments in served.items()
        for deployment in deployments
        if (
            deployment["model_info"].get("id") == endpoint["model_id"]
            if "model_id" in endpoint
            else all(deployment["litellm_params"].get(key) == endpoint.get(key) for key in ("model", "api_base"))
        )
    ]
    return ", ".join(dict.fromkeys(names)) or endpoint.get("model") or "unknown"
