#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Making objects that a cluster is known to lack."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k8s_create
short_description: Make Kubernetes objects that the cluster lacks
version_added: 0.4.0
description:
  - Makes each object with one request. M(kubernetes.core.k8s) asks three times for an object that is not there; a role that has
    looked already (M(rhpds.litemaas.k8s_read), P(rhpds.litemaas.k8s_differing#filter)) needs not ask again.
  - The objects carry the annotation that C(apply) of M(kubernetes.core.k8s) and of kubectl compare with later.
  - An object that somebody else has made meanwhile fails the task; the next run finds it.
author: RHDP (@rhpds)
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - rhpds.litemaas.attributes
options:
  definitions:
    description: The objects, in the order in which they are made. Where Secrets are among them, set C(no_log) on the task.
    type: list
    elements: dict
    required: true
requirements:
  - kubernetes >= 24.2.0
  - kubernetes.core
seealso:
  - module: kubernetes.core.k8s
"""

EXAMPLES = r"""
- name: What is missing is made
  rhpds.litemaas.k8s_create:
    definitions: "{{ objects | rhpds.litemaas.k8s_differing(cluster.found, missing=true) }}"
"""

RETURN = r"""
created:
  description: The objects, by kind and name.
  returned: success
  type: list
  elements: str
  sample: [Deployment/litellm]
"""

import json
from typing import Any

from ansible_collections.rhpds.litemaas.plugins.module_utils.cluster import Cluster, ClusterError, cluster_module

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def applied(definition: dict[str, Any]) -> dict[str, Any]:
    """Return it as a later apply wants to find it."""
    metadata = definition["metadata"]
    text = json.dumps(definition, separators=(",", ":"), sort_keys=True)
    return {**definition, "metadata": {**metadata, "annotations": {**metadata.get("annotations", {}), LAST_APPLIED: text}}}


def main() -> None:
    module = cluster_module(definitions={"type": "list", "elements": "dict", "required": True})
    created, diff = [], []
    try:
        cluster = Cluster(module)
        for definition in module.params["definitions"]:
            name = f"{definition['kind']}/{definition['metadata']['name']}"
            try:
                cluster.create(applied(definition), dry_run=module.check_mode)
            except ClusterError as error:
                raise ClusterError(f"{name} can't be made: {error}") from error
            created.append(name)
            diff.append({"before_header": name, "after_header": name, "before": "", "after": definition})
    except ClusterError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(created), created=created, **({"diff": diff} if module._diff else {}))


if __name__ == "__main__":
    main()
