# Copyright (c) 2026, the rhpds.litemaas authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""User info the way the AgnosticD that runs us keeps it, and in files of the same shape where none does."""

from __future__ import annotations

import copy
import fcntl
import importlib.util
import json
import os
import tempfile
from contextlib import contextmanager

import yaml
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

V2 = "agnosticd.core.agnosticd_user_info"  # AgnosticD's collection
V1 = "ansible.legacy.agnosticd_user_info"  # a plugin in the folder action_plugins of AgnosticD's playbooks


class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        calls = self.calls()
        # Values are secrets often enough: what comes back, and so what is displayed, are names.
        stored = {name for call in calls for name in call.get("data", ())}
        result |= {"changed": False, "stored": sorted(stored), "users": [call["user"] for call in calls if "user" in call]}
        for call in calls:
            for name, what in ("msg", "info"), ("body", "body"):
                if name in call and "user" not in call:
                    result |= {"msg": f"user.{what}: {call[name]}", "_ansible_verbose_always": True}
        if self._task.check_mode or not calls:
            return result
        if self.delegate(calls[0]) is None:
            result["changed"] = store(self.output_dir(task_vars), calls)
            return result
        for call in calls:
            outcome = self.delegate(call).run(task_vars=task_vars)
            if outcome.get("failed"):
                raise AnsibleActionFail(f"AgnosticD's agnosticd_user_info failed: {outcome.get('error') or outcome.get('msg')}")
        return result

    def calls(self):
        """What AgnosticD's plugin is to be told: once for the environment or a user, or once for each of several users."""
        given = self.validate_argument_spec(
            {
                "msg": {"type": "str"},
                "body": {"type": "str"},
                "data": {"type": "dict"},
                "data_prefix": {"type": "str"},
                "user": {"type": "str"},
                "users": {"type": "dict"},
            },
            mutually_exclusive=[("msg", "body"), *(("users", name) for name in ("user", "msg", "body", "data"))],
            required_one_of=[("msg", "body", "data", "users")],
        )[1]
        prefix = self.data_prefix() if given["data_prefix"] is None else given["data_prefix"]
        texts = {name: given[name] for name in ("msg", "body") if given[name] is not None}
        people = {given["user"]: given["data"] or {}} if given["users"] is None else given["users"]
        calls = []
        for user, data in people.items():
            if not isinstance(data, dict):
                raise AnsibleActionFail(f"users: {user} must have a mapping of names and values.")
            named = {f"{prefix}{name}": value for name, value in data.items()}
            calls.append({**texts, **({} if user is None else {"user": user}), **({"data": named} if named else {})})
        # Ansible's own kinds of text and lists are not what YAML writers of every AgnosticD know: plain ones.
        return json.loads(json.dumps(calls, default=str))

    def data_prefix(self):
        """What AgnosticD v2 sets by module_defaults for its own plugin, which a call of ours does not get."""
        prefix = ""
        for defaults in self._task.module_defaults or []:
            prefix = defaults.get(V2, {}).get("data_prefix", prefix)
        return self._templar.template(prefix)

    def delegate(self, call):
        """AgnosticD's own action plugin, told this, or None where there is no AgnosticD."""
        task = self._task.copy()
        task.args = call
        for name in [*([V2] if installed("agnosticd.core") else []), V1]:
            plugin = self._shared_loader_obj.action_loader.get(
                name,
                task=task,
                connection=self._connection,
                play_context=self._play_context,
                loader=self._loader,
                templar=self._templar,
                shared_loader_obj=self._shared_loader_obj,
            )
            if plugin is not None:
                return plugin
        return None

    def output_dir(self, task_vars):
        """As AgnosticD finds it: this host's, the controller's, else the playbook's folder."""
        for scope in (task_vars, task_vars["hostvars"].get("localhost") or {}):
            if scope.get("output_dir"):
                return self._templar.template(scope["output_dir"])
        return task_vars["playbook_dir"]


def installed(collection):
    """Asked of Python, since Ansible's loader warns of a collection that is not there."""
    try:
        return importlib.util.find_spec(f"ansible_collections.{collection}") is not None
    except ModuleNotFoundError:
        return False


def store(folder, calls):
    """Merges into user-info.yaml, user-body.yaml and user-data.yaml of the folder; says whether that changed any."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    with alone(folder):
        paths = {what: os.path.join(folder, f"user-{what}.yaml") for what in ("info", "body", "data")}
        before = {what: read(path, {} if what == "data" else []) for what, path in paths.items()}
        after = copy.deepcopy(before)
        for call in calls:
            merge(after, **call)
        changed = [what for what in paths if after[what] != before[what]]
        for what in changed:
            write(paths[what], after[what])
    return bool(changed)


def merge(files, msg=None, body=None, data=None, user=None):
    """Adds what AgnosticD's plugin would add; a text that is there already is not added again."""
    kept = files["data"] if user is None else files["data"].setdefault("users", {}).setdefault(user, {})
    kept.update(data or {})
    for name, text in ("msg", msg), ("body", body):
        if text is None:
            continue
        if user is None:
            listed = files["info" if name == "msg" else "body"]
            if text not in listed:
                listed.append(text)
        elif f"\n{text}\n" not in f"\n{kept.get(name, '')}\n":
            kept[name] = f"{kept[name]}\n{text}" if name in kept else text


@contextmanager
def alone(folder):
    """No other host's worker writes there meanwhile."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read(path, empty):
    try:
        with open(path, encoding="utf-8") as file:
            found = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except FileNotFoundError:
        return empty
    except yaml.YAMLError as error:
        raise AnsibleActionFail(f"{path} is not YAML: repair or remove it.") from error
    if found is None:
        return empty
    if not isinstance(found, type(empty)):
        raise AnsibleActionFail(f"{path} does not hold a {'list' if isinstance(empty, list) else 'mapping'}: repair or remove it.")
    return found


def write(path, content):
    """Whole or not at all, and for its owner alone: user data holds passwords and keys."""
    descriptor, draft = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".user-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            yaml.dump(content, file, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), explicit_start=True, allow_unicode=True)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise
