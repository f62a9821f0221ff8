"""A role's variables and templates as Ansible itself evaluates them, in this process and without a host."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar, trust_as_template
from ansible.utils.collection_loader import AnsibleCollectionConfig

ROOT = Path(__file__).resolve().parents[2]
if AnsibleCollectionConfig.collection_finder is None:
    init_plugin_loader([str(ROOT / ".venv/ansible/collections")])
    # A test may have imported the collection as the plain package that it is; from here on Ansible asks it for its routing.
    collection = importlib.import_module("ansible_collections.rhpds.litemaas")
    collection._collection_meta = getattr(collection, "_collection_meta", {})
    # Likewise the folder of its filters, which Ansible finds by a __file__ that a plain package without __init__.py does not have.
    filters = importlib.import_module("ansible_collections.rhpds.litemaas.plugins.filter")
    filters.__file__ = filters.__file__ or str(ROOT / "plugins/filter/__synthetic__")


class Role:
    """A role of this collection, with its defaults and variables, and those that are given.

    `variables` are given as text or data; text may hold templates, as in a playbook.
    """

    def __init__(self, name: str, **variables: Any) -> None:
        self.path = ROOT / "roles" / name
        loader = DataLoader()
        files = [self.path / "defaults/main.yml", self.path / "vars/main.yml", *sorted(self.path.glob("vars/main/*.yml"))]
        known = {name: value for file in files for name, value in _load(loader, file).items()}
        known = {"ansible_check_mode": False} | known | variables
        folders = [str(self.path), str(self.path / "templates")]
        self._templar = Templar(loader=loader, variables={**known, "role_path": str(self.path), "ansible_search_path": folders})

    def value(self, expression: str) -> Any:
        """Return what the expression is, such as the name of a variable."""
        return self._templar.template(trust_as_template("{{ " + expression + " }}"))

    def text(self, template: str) -> str:
        """Return the text that a template gives, such as a message of a task."""
        return self._templar.template(trust_as_template(template))

    def template(self, name: str) -> list[dict[str, Any]]:
        """Return the objects that templates/`name`.yaml.j2 gives."""
        text = self.value(f"lookup('ansible.builtin.template', '{name}.yaml.j2')")
        return [each for each in yaml.safe_load_all(text or "") if each]

    def one(self, name: str) -> dict[str, Any]:
        """Return the one object that a template gives."""
        (found,) = self.template(name)
        return found


def _load(loader: DataLoader, path: Path) -> dict[str, Any]:
    return loader.load_from_file(str(path), trusted_as_template=True) if path.exists() else {}
