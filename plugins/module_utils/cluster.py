"""Plain requests to a Kubernetes API with kubernetes.core's way of signing in, and errors in words."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import urlencode

from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.client import get_api_client
from ansible_collections.kubernetes.core.plugins.module_utils.k8s.core import AnsibleK8SModule

try:
    import urllib3
    from kubernetes.client.exceptions import ApiException
    from kubernetes.dynamic.exceptions import DynamicApiError
except ImportError:  # kubernetes.core says so when the module starts
    urllib3 = None
    ApiException = DynamicApiError = Exception


class ClusterError(Exception):
    """What went wrong and what to do, in a sentence without secrets."""


class Refused(ClusterError):
    """The account lacks a right; the API server's words name it."""


def cluster_module(**options: dict[str, Any]) -> AnsibleK8SModule:
    """Return a module with these options and those of kubernetes.core.k8s_auth_options."""
    return AnsibleK8SModule(argument_spec={**AUTH_ARG_SPEC, **options}, supports_check_mode=True)


class Cluster:
    """A Kubernetes API. Every request raises ClusterError when the API can't be reached, and Refused when it is not allowed.

    Attributes:
        unserved: the paths that were asked for and that the cluster does not know.
    """

    def __init__(self, module: AnsibleK8SModule) -> None:
        self.unserved: set[str] = set()
        try:
            self._client = get_api_client(module=module).client
        except Exception as error:
            raise ClusterError(
                f"The cluster can't be reached: {_short(error)}. Check kubeconfig, or host and api_key (K8S_AUTH_*)."
            ) from error

    def get(self, path: str, **parameters: Any) -> dict[str, Any] | None:
        """Return the object or list at this path; None when there is none."""
        answer = self._request("get", path, parameters)
        return None if answer is None else json.loads(answer)

    def text(self, path: str, **parameters: Any) -> str:
        """Return the text at this path, such as a log; empty when there is none."""
        return self._request("get", path, parameters) or ""

    def create(self, definition: dict[str, Any], dry_run: bool = False) -> None:
        """Make an object. Raises ClusterError when there is one of its name."""
        path = list_path(definition)
        if self._request("post", path, {"dryRun": "All"} if dry_run else {}, definition) is None:
            raise ClusterError(f"The cluster has no {path}: the namespace is missing, or it does not serve {definition['kind']}.")

    def delete(self, path: str) -> None:
        """Delete the object at this path, if there is one."""
        self._request("delete", path, {})

    def serves(self, path: str) -> bool:
        """Whether the cluster has the kind of object that a path names, which it also tells those who may not read one.

        Where it tells them nothing at all the answer is yes: there, the right that is missing is what matters.
        """
        folder, plural = re.match(r"(/api/v1|/apis/[^/]+/[^/]+)/(?:namespaces/[^/]+/)?([^/?]+)", path).groups()
        try:
            listed = self.get(folder)
        except Refused:
            return True
        return listed is not None and any(each["name"] == plural for each in listed["resources"])

    def _request(self, method: str, path: str, parameters: dict[str, Any], body: dict[str, Any] | None = None) -> str | None:
        where = f"{path}?{urlencode(parameters)}" if parameters else path
        try:
            return self._client.request(method, where, body=body, serialize=False).data.decode(errors="replace")
        except (ApiException, DynamicApiError) as error:
            body = _status(error.body)
            if error.status == 404:
                if not (body or {}).get("details"):  # which name the object where only that is missing
                    self.unserved.add(path)
                return None
            if error.status == 401:
                raise ClusterError(
                    "The cluster does not know these credentials. Sign in again, or check api_key (K8S_AUTH_API_KEY)."
                ) from error
            if error.status == 403:
                raise Refused((body or {}).get("message", f"{method} {path} is forbidden")) from error
            raise ClusterError(
                f"The cluster answered {path} with HTTP {error.status}: {(body or {}).get('message', error.reason)}"
            ) from error
        except urllib3.exceptions.HTTPError as error:
            raise ClusterError(f"The cluster can't be reached: {_short(error)}.") from error


def list_path(definition: dict[str, Any]) -> str:
    """Return where objects of this one's kind are in its namespace. The plural is English's, as it is of all kinds that roles make."""
    version, kind, namespace = definition["apiVersion"], definition["kind"].lower(), definition["metadata"].get("namespace")
    plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}es" if kind.endswith("s") else f"{kind}s"
    return f"/{'apis' if '/' in version else 'api'}/{version}/{f'namespaces/{namespace}/' if namespace else ''}{plural}"


def _status(body: Any) -> dict[str, Any] | None:
    try:
        status = json.loads(body)
    except (TypeError, ValueError):
        return None
    return status if isinstance(status, dict) and status.get("kind") == "Status" else None


def _short(error: Exception) -> str:
    line = " ".join(str(error).split())
    return line if len(line) <= 300 else f"{line[:299]}…"
