# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Finds variables that look like a role's and are none."""

from __future__ import annotations

from pathlib import Path

import yaml
from ansible.plugins.action import ActionBase

ROLES = Path(__file__).resolve().parents[2] / "roles"
NEAR = 2  # letters


class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        result = super().run(tmp, task_vars)
        given = self.validate_argument_spec(
            {
                "prefix": {"type": "str", "required": True},
                "others": {"type": "list", "elements": "str", "default": []},
            }
        )[1]
        known = known_variables(given["prefix"])
        unknown = sorted(
            name
            for name in task_vars
            if name.startswith(given["prefix"]) and name not in known and not name.startswith(tuple(given["others"]))
        )
        misspelt = {name: near for name in unknown if (near := nearest(name, known))}
        strange = [name for name in unknown if name not in misspelt]
        result |= {"changed": False, "unknown": unknown}
        if strange:
            result["warnings"] = [f"No role knows {', '.join(strange)}: such variables have no effect here."]
        if misspelt:
            sentences = [f"{name} is no variable of these roles; {near} is." for name, near in misspelt.items()]
            result |= {"failed": True, "msg": " ".join([*sentences, "Correct the name, or remove it."])}
        return result


def known_variables(prefix):
    """Return the variables with this prefix that the roles of this collection document."""
    known = set()
    for file in ROLES.glob("*/meta/argument_specs.yml"):
        entries = yaml.safe_load(file.read_text(encoding="utf-8"))["argument_specs"].values()
        known |= {name for entry in entries for name in entry.get("options", {}) if name.startswith(prefix)}
    return known


def nearest(name, known):
    """Return the known name that differs in the fewest letters, if those are few; else None."""
    near = [(distance, other) for other in known if (distance := letters_apart(name, other)) <= NEAR]
    return min(near)[1] if near else None


def letters_apart(one, other):
    """Return how many letters must be added, removed or replaced to make one of the other; more than NEAR is not told apart."""
    if abs(len(one) - len(other)) > NEAR:
        return NEAR + 1
    row = list(range(len(other) + 1))
    for index, letter in enumerate(one, 1):
        last, row = row, [index]
        for place, another in enumerate(other, 1):
            row.append(min(last[place] + 1, row[-1] + 1, last[place - 1] + (letter != another)))
    return row[-1]
