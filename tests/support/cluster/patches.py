"""The four ways to change an object: JSON patch, merge patch, strategic merge patch, server-side apply; and who owns which field."""

from __future__ import annotations

import copy
import json
from typing import Any, NamedTuple

from tests.support.cluster.kinds import Kind, Refusal, resolve

Path = tuple[str, ...]
NOT_OWNED = {
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
    "selfLink",
    "deletionTimestamp",
}


class Owned(NamedTuple):
    """Who (manager, operation) owns which fields."""

    fields: dict[tuple[str, str], set[Path]]
    # Who applied something that is stored in other words (1024Mi for 1Gi, "" for nothing, stringData): that is news each time.
    restless: tuple[str, str] | None = None


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def json_patch(document: Any, operations: list[dict]) -> Any:
    """RFC 6902. What can't be done is refused without saying why, as the API server does."""
    refusal = Refusal(422, "Invalid", "the server rejected our request due to an error in our request", {})
    document = copy.deepcopy(document)

    def parent(pointer: str) -> tuple[Any, Any]:
        keys = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
        at = document
        for key in keys[:-1]:
            at = at[int(key) if isinstance(at, list) else key]
        last: Any = keys[-1]
        return at, (len(at) if last == "-" else int(last)) if isinstance(at, list) else last

    def add(pointer: str, value: Any) -> None:
        at, key = parent(pointer)
        if isinstance(at, list):
            at.insert(key, value)
        else:
            at[key] = value

    try:
        for operation in operations:
            at, key = parent(operation["path"])
            match operation["op"]:
                case "add":
                    add(operation["path"], operation["value"])
                case "remove":
                    del at[key]
                case "replace":
                    _ = at[key]
                    at[key] = operation["value"]
                case "test":
                    if at[key] != operation["value"]:
                        raise refusal
                case "copy" | "move" as what:
                    source, name = parent(operation["from"])
                    value = copy.deepcopy(source[name])
                    if what == "move":
                        del source[name]
                    add(operation["path"], value)
                case _:
                    raise refusal
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise refusal from error
    return document


def strategic_merge(schema: dict, target: Any, patch: Any) -> Any:
    """Merge as the schema says: lists with a merge key item by item, sets as sets, everything else as a merge patch."""
    if not isinstance(patch, dict):
        return patch
    if patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    properties = resolve(schema)[1].get("properties", {})
    additional = resolve(schema)[1].get("additionalProperties")
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.partition("/")[2]
            result[name] = [each for each in result.get(name) or [] if each not in value]
        elif key.startswith("$"):
            continue  # orders and retained keys: what kubectl sends to keep the order of lists
        elif value is None:
            result.pop(key, None)
        else:
            inner = properties.get(key) or (additional if isinstance(additional, dict) else {})
            result[key] = (
                _merged_list(inner, result.get(key), value) if isinstance(value, list) else strategic_merge(inner, result.get(key), value)
            )
    return result


def _merged_list(schema: dict, target: list | None, patch: list) -> list:
    if schema.get("x-kubernetes-patch-strategy", "").partition(",")[0] != "merge":
        return patch
    key = schema.get("x-kubernetes-patch-merge-key")
    if key is None:
        return [*(target or []), *(each for each in patch if each not in (target or []))]
    if any(each == {"$patch": "replace"} for each in patch):
        return [each for each in patch if each != {"$patch": "replace"}]
    result = list(target or [])
    for item in patch:
        if key not in item:
            raise Refusal(500, None, f"map: map[] does not contain declared merge key: {key}")
        places = [number for number, each in enumerate(result) if each.get(key) == item[key]]
        if item.get("$patch") == "delete":
            result = [each for number, each in enumerate(result) if number not in places]
        elif places:
            result[places[0]] = strategic_merge(schema["items"], result[places[0]], item)
        else:
            result.append(strategic_merge(schema["items"], {}, item))
    return result


# --- server-side apply


def list_keys(schema: dict) -> list[str] | None:
    """The keys that name an item of an associative list; [] for a set; None for a list that is one value."""
    kind = schema.get("x-kubernetes-list-type")
    if kind == "map":
        return schema["x-kubernetes-list-map-keys"]
    if kind == "set":
        return []
    if kind is None and schema.get("x-kubernetes-patch-strategy", "").partition(",")[0] == "merge":
        key = schema.get("x-kubernetes-patch-merge-key")
        return [key] if key else []
    return None


def _item(keys: list[str], item: Any) -> str:
    if not keys:
        return f"v:{json.dumps(item)}"
    named = {key: item.get(key, "TCP" if key == "protocol" else None) for key in sorted(keys)}
    return f"k:{json.dumps(named, separators=(',', ':'))}"


def flatten(schema: dict, value: Any, path: Path = ()) -> dict[Path, Any]:
    """Every field that can have an owner, with its value."""
    schema = resolve(schema)[1]
    keys = list_keys(schema) if isinstance(value, list) else None
    if keys is not None:
        found: dict[Path, Any] = {}
        for item in value:
            here = (*path, _item(keys, item))
            found[here] = None  # that it is there
            if keys:
                found |= flatten(schema["items"], item, here)
        return found
    inner = schema.get("properties") or schema.get("additionalProperties") or schema.get("x-kubernetes-preserve-unknown-fields")
    if not isinstance(value, dict) or not value or schema.get("x-kubernetes-map-type") == "atomic" or not inner:
        return {path: value}
    found = {}
    for key, each in value.items():
        if not path and key in ("apiVersion", "kind"):
            continue
        if path == ("f:metadata",) and key in NOT_OWNED:
            continue
        sub = schema["properties"].get(key, {}) if "properties" in schema else inner if isinstance(inner, dict) else {}
        found |= flatten(sub, each, (*path, f"f:{key}"))
    return found


def _written(paths: set[Path]) -> dict:
    """As metadata.managedFields says it."""
    tree: dict = {}
    for path in sorted(paths):
        at = tree
        for part in path:
            at = at.setdefault(part, {})
    for path in paths:
        at = tree
        for part in path:
            at = at[part]
        if at and path[-1][:2] in ("k:", "v:"):
            at["."] = {}
    return tree


def _read(tree: dict, path: Path = ()) -> set[Path]:
    found = {path} if not tree or "." in tree else set()
    for part, inner in tree.items():
        if part != ".":
            found |= _read(inner, (*path, part))
    return found - {()}


def owners(item: dict) -> dict[tuple[str, str], set[Path]]:
    """(manager, operation) → fields."""
    return {(each["manager"], each["operation"]): _read(each["fieldsV1"]) for each in item["metadata"].get("managedFields", [])}


def record_owners(kind: Kind, before: dict | None, after: dict, owned: Owned, now: str) -> None:
    """Write what is owned into `after`; an entry that did not change keeps its time."""
    old = {(each["manager"], each["operation"]): each for each in (before or {"metadata": {}})["metadata"].get("managedFields", [])}
    entries = []
    for (manager, operation), paths in owned.fields.items():
        if paths:
            entry = {"manager": manager, "operation": operation, "apiVersion": kind.api_version, "time": now, "fieldsType": "FieldsV1"}
            entry["fieldsV1"] = _written(paths)
            known = old.get((manager, operation))
            same = known and known["fieldsV1"] == entry["fieldsV1"] and (manager, operation) != owned.restless
            entries.append(known if same else entry)
    after["metadata"].pop("managedFields", None)
    if entries:
        after["metadata"]["managedFields"] = sorted(entries, key=lambda each: (each["operation"] != "Apply", each["time"], each["manager"]))


def updated_owners(kind: Kind, before: dict | None, after: dict, manager: str) -> Owned:
    """Who owns what after a write that is no apply: the writer owns what it changed, and nobody what is gone."""
    old, new = flatten(kind.schema, before or {}), flatten(kind.schema, after)
    changed = {path for path, value in new.items() if path not in old or old[path] != value}
    held = {
        who: {path for path in paths if path in new and path not in changed} for who, paths in owners(before or {"metadata": {}}).items()
    }
    mine = held.get((manager, "Update"), set()) | changed
    return Owned(held | {(manager, "Update"): mine})


def apply(kind: Kind, live: dict | None, config: dict, manager: str, force: bool) -> tuple[dict, Owned]:
    """Server-side apply: the new object, and who owns what in it."""
    wrong = None if kind.custom else _mistake(kind.schema, config)
    if wrong:
        raise Refusal(500, None, f"failed to create typed patch object: {wrong}")
    wanted = flatten(kind.schema, config)
    if live is None:
        return config, Owned({(manager, "Apply"): set(wanted)})
    there, held = flatten(kind.schema, live), owners(live)
    mine = held.pop((manager, "Apply"), set())
    differing = {path for path, value in wanted.items() if path in there and there[path] != value}
    conflicts = sorted((who, path) for who, paths in held.items() for path in paths & differing)
    if conflicts and not force:
        raise _conflict(kind, conflicts)
    held = {who: paths - differing for who, paths in held.items()}
    given_up = mine - set(wanted) - set().union(*held.values(), set())
    owned = Owned(held | {(manager, "Apply"): set(wanted)}, (manager, "Apply") if differing or not set(wanted) <= set(there) else None)
    return _without(kind.schema, _merged(kind.schema, live, config), given_up), owned


def _mistake(schema: dict, value: Any, path: Path = ()) -> str | None:
    """The first thing in an applied configuration that the schema does not know."""
    schema = resolve(schema)[1]
    if value is None or schema.get("format") == "int-or-string":
        return None
    wanted = schema.get("type", "object")
    if wanted in ("object", "array"):
        return _mistake_within(schema, value, path)
    python, text = {"string": (str, "string"), "boolean": (bool, "boolean")}.get(wanted, ((int, float), "numeric (int or float)"))
    fits = isinstance(value, python) and (wanted == "boolean" or not isinstance(value, bool))
    return None if fits else f"{_place(path)}: expected {text}, got {value!r}"


def _mistake_within(schema: dict, value: Any, path: Path) -> str | None:
    if schema.get("type", "object") == "array":
        if not isinstance(value, list):
            return f"{_place(path)}: expected list, got {value!r}"
        keys = list_keys(schema)
        names = [_item(keys, each) if keys is not None else "" for each in value]
        twice = [name for number, name in enumerate(names) if name and name in names[:number]]
        if twice:
            return f"{_place(path)}: duplicate entries for key {_place((twice[0],))}"
        below = [_mistake(schema["items"], each, (*path, name)) for name, each in zip(names, value, strict=True)]
        return next(filter(None, below), None)
    if not isinstance(value, dict):
        return f"{_place(path)}: expected map, got {value!r}"
    properties, additional = schema.get("properties"), schema.get("additionalProperties")
    for key, each in value.items():
        here = (*path, f"f:{key}")
        if properties is not None and key not in properties:
            return f"{_place(here)}: field not declared in schema"
        inner = properties[key] if properties is not None else additional
        if isinstance(inner, dict) and (found := _mistake(inner, each, here)):
            return found
    return None


def _conflict(kind: Kind, conflicts: list[tuple[tuple[str, str], Path]]) -> Refusal:
    def who(manager: str, operation: str) -> str:
        return f'"{manager}"' + (f" using {kind.api_version}" if operation == "Update" else "")

    causes = [{"reason": "FieldManagerConflict", "message": f"conflict with {who(*by)}", "field": _place(path)} for by, path in conflicts]
    if len(causes) == 1:
        text = f"Apply failed with 1 conflict: {causes[0]['message']}: {causes[0]['field']}"
    else:
        by_whom: dict[str, list[str]] = {}
        for by, path in conflicts:
            by_whom.setdefault(who(*by), []).append(_place(path))
        lists = "\n".join(f"conflicts with {name}:\n" + "\n".join(f"- {place}" for place in places) for name, places in by_whom.items())
        text = f"Apply failed with {len(causes)} conflicts: {lists}"
    return Refusal(409, "Conflict", text, {"causes": causes})


def _place(path: Path) -> str:
    text = ""
    for part in path:
        kind, _, name = part.partition(":")
        if kind == "f":
            text += f".{name}"
        elif kind == "k":
            text += "[" + ",".join(f"{key}={json.dumps(value)}" for key, value in json.loads(name).items()) + "]"
        else:
            text += f"[={name}]"
    return text


def _merged(schema: dict, live: Any, config: Any) -> Any:
    schema = resolve(schema)[1]
    if isinstance(config, list) and isinstance(live, list) and (keys := list_keys(schema)) is not None:
        names = {_item(keys, each): number for number, each in enumerate(live)}
        result = list(live)
        for item in config:
            at = names.get(_item(keys, item))
            if at is None:
                result.append(item)
            elif keys:
                result[at] = _merged(schema["items"], live[at], item)
        return result
    if not isinstance(config, dict) or not isinstance(live, dict) or schema.get("x-kubernetes-map-type") == "atomic":
        return config
    properties, additional = schema.get("properties", {}), schema.get("additionalProperties")
    result = dict(live)
    for key, value in config.items():
        inner = properties.get(key) or (additional if isinstance(additional, dict) else {})
        result[key] = _merged(inner, live[key], value) if live.get(key) is not None else value
    return result


def _without(schema: dict, value: Any, paths: set[Path]) -> Any:
    """`value` less the fields of `paths`, and less the maps that are empty then."""
    if not paths or not isinstance(value, (dict, list)):
        return value
    schema = resolve(schema)[1]
    if isinstance(value, list):
        keys = list_keys(schema) or []
        kept = []
        for item in value:
            below = {path[1:] for path in paths if path[0] == _item(keys, item)}
            if () not in below:
                kept.append(_without(schema["items"], item, below))
        return kept
    properties, additional = schema.get("properties", {}), schema.get("additionalProperties")
    result = {}
    for key, each in value.items():
        below = {path[1:] for path in paths if path[0] == f"f:{key}"}
        if () in below:
            continue
        inner = properties.get(key) or (additional if isinstance(additional, dict) else {})
        left = _without(inner, each, below)
        if left or not below:
            result[key] = left
    return result
