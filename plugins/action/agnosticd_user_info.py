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
        given = self.validate_argument_spec(
            {
                "msg": {"type": "str"},
                "body": {"type": "str"},
                "data": {"type": "dict"},
                "data_prefix": {"type": "str"},
                "user": {"type": "str"},
            },
            mutually_exclusive=[("msg", "body")],
            required_one_of=[("msg", "body", "data")],
        )[1]
        prefix = self.data_prefix() if given["data_prefix"] is None else given["data_prefix"]
        # Ansible's own kinds of text and lists are not what YAML writers of every AgnosticD know: plain ones.
        data = json.loads(json.dumps({f"{prefix}{name}": value for name, value in (given["data"] or {}).items()}, default=str))
        info = {name: str(given[name]) for name in ("msg", "body", "user") if given[name] is not None} | ({"data": data} if data else {})

        # Values are secrets often enough: what comes back, and so what is displayed, are names.
        result |= {"changed": False, "stored": sorted(data)}
        if given["user"]:
            result["user"] = info["user"]
        else:
            for name in {"msg", "body"} & info.keys():
                result |= {"msg": f"user.{'info' if name == 'msg' else name}: {info[name]}", "_ansible_verbose_always": True}
        if self._task.check_mode:
            return result
        delegate = self.delegate(info)
        if delegate is None:
            result["changed"] = store(self.output_dir(task_vars), **info)
            return result
        outcome = delegate.run(task_vars=task_vars)
        if outcome.get("failed"):
            raise AnsibleActionFail(f"AgnosticD's agnosticd_user_info failed: {outcome.get('error') or outcome.get('msg')}")
        return result

    def data_prefix(self):
        """What AgnosticD v2 sets by module_defaults for its own plugin, which a call of ours does not get."""
        prefix = ""
        for defaults in self._task.module_defaults or []:
            prefix = defaults.get(V2, {}).get("data_prefix", prefix)
        return self._templar.template(prefix)

    def delegate(self, info):
        """AgnosticD's own action plugin for this information, or None where there is no AgnosticD."""
        task = self._task.copy()
        task.args = info
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


def store(folder, msg=None, body=None, data=None, user=None):
    """Merges into user-info.yaml, user-body.yaml and user-data.yaml of the folder; says whether that changed any."""
    data = dict(data or {})
    changed = False
    os.makedirs(folder, mode=0o700, exist_ok=True)
    with alone(folder):
        texts = {name: text for name, text in (("msg", msg), ("body", body)) if text is not None}
        if user is None:
            for name, text in texts.items():
                path = os.path.join(folder, "user-info.yaml" if name == "msg" else "user-body.yaml")
                listed = read(path, [])
                changed |= text not in listed and write(path, [*listed, text])
        if data or user is not None:
            path = os.path.join(folder, "user-data.yaml")
            before = read(path, {})
            after = copy.deepcopy(before)
            kept = after if user is None else after.setdefault("users", {}).setdefault(user, {})
            kept.update(data)
            if user is not None:
                for name, text in texts.items():
                    so_far = kept.get(name, "")
                    if f"\n{text}\n" not in f"\n{so_far}\n":
                        kept[name] = f"{so_far}\n{text}" if so_far else text
            changed |= after != before and write(path, after)
    return changed


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
    return True
