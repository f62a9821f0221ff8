"""Who may do what in the stand-in: the Roles and bindings in it decide, as in a cluster with RBAC."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tests.support.cluster.kinds import Kind, Refusal

Objects = Callable[[str, str | None], Iterable[dict]]  # (kind, namespace) → the objects


@dataclass(frozen=True)
class User:
    name: str
    groups: tuple[str, ...] = ("system:authenticated",)

    @classmethod
    def service_account(cls, namespace: str, name: str) -> User:
        groups = "system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"
        return cls(f"system:serviceaccount:{namespace}:{name}", groups)

    @property
    def is_admin(self) -> bool:
        return "system:masters" in self.groups


def rules_of(user: User, objects: Objects, namespace: str | None) -> Iterator[dict]:
    """The rules that hold for the user in the namespace; with None, in the whole cluster."""
    bindings = list(objects("ClusterRoleBinding", None)) + (list(objects("RoleBinding", namespace)) if namespace else [])
    for binding in bindings:
        if any(_means(each, user, binding["metadata"].get("namespace")) for each in binding.get("subjects", [])):
            ref = binding["roleRef"]
            for role in objects(ref["kind"], namespace if ref["kind"] == "Role" else None):
                if role["metadata"]["name"] == ref["name"]:
                    yield from role.get("rules") or []


def _means(subject: dict, user: User, namespace: str | None) -> bool:
    if subject["kind"] == "ServiceAccount":
        return user.name == f"system:serviceaccount:{subject.get('namespace', namespace)}:{subject['name']}"
    return subject["name"] in (user.groups if subject["kind"] == "Group" else (user.name,))


def allows(rule: dict, verb: str, group: str, resource: str, name: str) -> bool:
    def among(key: str, value: str) -> bool:
        return bool({"*", value} & set(rule.get(key, [])))

    names = rule.get("resourceNames") or []
    return among("verbs", verb) and among("apiGroups", group) and among("resources", resource) and (not names or name in names)


def forbidden(user: User, verb: str, group: str, resource: str, namespace: str | None, name: str) -> Refusal:
    plural = resource.partition("/")[0]
    full = f"{plural}.{group}" if group else plural
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    what = f'{full} "{name}"' if name else full
    details = ({"name": name} if name else {}) | ({"group": group} if group else {}) | {"kind": plural}
    text = f'{what} is forbidden: User "{user.name}" cannot {verb} resource "{resource}" in API group "{group}" {where}'
    return Refusal(403, "Forbidden", text, details)


def forbid_escalation(user: User, kind: Kind, role: dict, held: list[dict]) -> None:
    """Nobody grants by a Role what he may not do himself."""
    missing = [
        f'{{APIGroups:["{group}"], Resources:["{resource}"], Verbs:["{verb}"]}}'
        for rule in role.get("rules") or []
        for group in rule.get("apiGroups", [])
        for resource in rule.get("resources", [])
        for verb in rule.get("verbs", [])
        if not any(allows(each, verb, group, resource, "") for each in held)
    ]
    if missing and not user.is_admin:
        name, groups = role["metadata"]["name"], " ".join(f'"{each}"' for each in user.groups)
        who = f'user "{user.name}" (groups=[{groups}])'
        text = f'{kind.resource} "{name}" is forbidden: {who} is attempting to grant RBAC permissions not currently held:\n'
        raise Refusal(403, "Forbidden", text + "\n".join(missing), kind.details(name))
