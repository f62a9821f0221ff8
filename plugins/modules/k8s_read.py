#!/usr/bin/python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Several reads of a Kubernetes API in one task."""

from __future__ import annotations

DOCUMENTATION = r"""
module: k8s_read
short_description: Read several things from a Kubernetes API at once
version_added: 0.4.0
description:
  - Sends one GET for each path and returns what the API server answers. The roles of this collection learn with it, in one task, what
    a cluster has; M(kubernetes.core.k8s_info) starts a process for each kind.
  - What is not there, and what the cluster does not serve, is null. Refusals fail, and name every right that is missing, unless the
    path is O(optional).
  - Neither a playbook's output nor a callback, such as AAP's or ARA's, gets what was found, since Secrets may be among it.
author: RHDP (@rhpds)
extends_documentation_fragment:
  - kubernetes.core.k8s_auth_options
  - rhpds.litemaas.attributes.info
options:
  paths:
    description: For each name in the result the path to read, such as V(/api/v1/namespaces/litemaas/secrets).
    type: dict
    required: true
  optional:
    description: Names of O(paths) that the account need not be allowed to read. What it may not is null, and is named in RV(refused).
    type: list
    elements: str
    default: []
  since:
    description:
      - The name of the variable that an earlier result of this module is registered in. What that has and O(paths) do not name is in
        this result too, so that what has changed can be looked at alone.
    type: str
requirements:
  - kubernetes >= 24.2.0
  - kubernetes.core
seealso:
  - module: kubernetes.core.k8s_info
"""

EXAMPLES = r"""
- name: What is there?
  rhpds.litemaas.k8s_read:
    paths:
      secrets: /api/v1/namespaces/litemaas/secrets
      domain: /apis/config.openshift.io/v1/ingresses/cluster
    optional: [domain]
  register: cluster
"""

RETURN = r"""
found:
  description: For each name of O(paths) the object or list that the API server answered; null when there is none.
  returned: success
  type: dict
  sample:
    domain:
      apiVersion: config.openshift.io/v1
      kind: Ingress
      metadata: {name: cluster}
      spec: {domain: apps.example.com}
served:
  description: For each name of O(paths) whether the cluster serves that kind of object at all.
  returned: success
  type: dict
  sample:
    domain: true
refused:
  description: For each name of O(optional) that the account may not read the API server's words, which name the right.
  returned: success
  type: dict
  sample:
    domain: >-
      ingresses.config.openshift.io "cluster" is forbidden: User "me" cannot get resource "ingresses" in API group "config.openshift.io" at
      the cluster scope
"""

from ansible_collections.rhpds.litemaas.plugins.module_utils.cluster import Cluster, ClusterError, Refused, cluster_module


def main() -> None:
    module = cluster_module(
        paths={"type": "dict", "required": True},
        optional={"type": "list", "elements": "str", "default": []},
        since={"type": "str"},  # the action plugin's matter: a module knows no variables
    )
    paths, optional = module.params["paths"], module.params["optional"]
    found, served, refused = {}, {}, {}
    try:
        cluster = Cluster(module)
        for name, path in paths.items():
            try:
                found[name] = cluster.get(path)
                served[name] = path not in cluster.unserved
            except Refused as error:  # those who may not read are not told that there is nothing to be read
                found[name], served[name] = None, cluster.serves(path)
                if served[name]:
                    refused[name] = str(error)
    except ClusterError as error:
        module.fail_json(msg=str(error))
    needed = [text for name, text in refused.items() if name not in optional]
    if needed:
        module.fail_json(msg=f"The cluster refuses reads that this needs. Grant them. {'; '.join(needed)}.")
    module.exit_json(changed=False, found=found, served=served, refused=refused)


if __name__ == "__main__":
    main()
