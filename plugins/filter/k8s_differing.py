# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which objects an apply would have to touch."""

from __future__ import annotations

import json
import re
from fractions import Fraction

DOCUMENTATION = r"""
name: k8s_differing
short_description: The Kubernetes objects that the cluster does not have as they shall be
version_added: 0.4.0
description:
  - Returns those of the given objects that the cluster lacks, that were last applied with another content, or that somebody has changed
    since. What C(kubernetes.core.k8s) with C(apply) need not look at is left out, which saves it four requests an object.
  - Fields that the API server or a controller has added are no difference, as with C(kubectl apply).
author: RHDP (@rhpds)
positional: found
options:
  _input:
    description: The objects as they shall be.
    type: list
    elements: dict
    required: true
  found:
    description:
      - What the cluster has, as M(rhpds.litemaas.k8s_read) answers it, with an object or a list of objects for each kind under the kind's
        name.
    type: dict
    required: true
  missing:
    description:
      - Whether to return those only that the cluster lacks, for M(rhpds.litemaas.k8s_create), or those only that it has, for an apply.
        All when not given.
    type: bool
"""

EXAMPLES = r"""
- name: What is missing is made
  rhpds.litemaas.k8s_create:
    definitions: "{{ objects | rhpds.litemaas.k8s_differing(cluster.found, missing=true) }}"

- name: What differs is applied
  kubernetes.core.k8s:
    apply: true
    definition: "{{ objects | rhpds.litemaas.k8s_differing(cluster.found, missing=false) }}"
"""

RETURN = r"""
_value:
  description: The objects to apply.
  type: list
  elements: dict
"""

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|[kMGTPE]|[KMGTPE]i)?$")
SUFFIXES = {"m": Fraction(1, 1000), "": 1, "k": 1000, "Ki": 1024}
SUFFIXES.update({letter: 1000**power for power, letter in enumerate("MGTPE", 2)})
SUFFIXES.update({f"{letter}i": 1024**power for power, letter in enumerate("MGTPE", 2)})


def k8s_differing(wanted, found, missing=None):
    there = {
        (kind, item["metadata"]["name"]): item
        for kind, answer in found.items()
        for item in ((answer["items"] or []) if "items" in (answer or {}) else [answer])
        if item and "metadata" in item
    }
    pairs = ((each, there.get((each["kind"], each["metadata"]["name"]))) for each in wanted)
    return [each for each, one in pairs if not stands(each, one) and missing in (None, one is None)]


def stands(wanted, there):
    """Whether the object is there, was last applied just so, and still has every field of it."""
    if there is None:
        return False
    applied = there["metadata"].get("annotations", {}).get(LAST_APPLIED)
    # The items of a list do not say their kind.
    return applied is not None and json.loads(applied) == plain(wanted) and covers(there, {**wanted, "kind": None, "apiVersion": None})


def plain(value):
    """As it is after a way through JSON: of its own types Ansible lets only texts compare with others."""
    return json.loads(json.dumps(value, default=str))


def covers(there, wanted):
    """Whether what is there has all that is wanted. Nothing, and an empty list or mapping, are the same to the API server."""
    if wanted is None or (isinstance(wanted, (dict, list)) and not wanted):
        return wanted is None or not there
    if isinstance(wanted, dict):
        return isinstance(there, dict) and all(covers(there.get(name), value) for name, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(there, list) and len(there) == len(wanted) and all(map(covers, there, wanted))
    return there == wanted or (isinstance(there, str) and isinstance(wanted, str) and same_quantity(there, wanted))


def same_quantity(one, other):
    """Whether both are the same amount, such as 2000m and 2."""
    amounts = [QUANTITY.match(text) for text in (one, other)]
    return all(amounts) and len({Fraction(found[1]) * SUFFIXES[found[2] or ""] for found in amounts}) == 1


class FilterModule:
    def filters(self):
        return {"k8s_differing": k8s_differing}
