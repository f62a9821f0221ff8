"""Kubernetes: the pods of the namespace, read with the pod's own credentials or those of KUBECONFIG."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

from litemaas_mcp.errors import Failure, Unavailable
from litemaas_mcp.settings import Settings

PAGE = 500  # pods in one answer of the API server
SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount/token"


class Cluster:
    """The pods of one namespace.

    kubernetes-asyncio is imported and the credentials are read at the first question: the import takes half a second and
    44 MiB, and a server that nobody asks about pods needs neither.
    """

    def __init__(self, settings: Settings) -> None:
        self.namespace = settings.namespace
        self._timeout = settings.litellm_timeout
        self._client: Any = None
        self._connecting = asyncio.Lock()

    async def start(self) -> None:
        """Nothing to do before the first question."""

    async def stop(self) -> None:
        if self._client:
            await self._client.close()

    async def describe(self) -> str:
        """Say what can be read. Raises like `pods`."""
        return f"namespace {self.namespace}: {len(await self.pods())} pods"

    async def pods(self) -> list[dict[str, Any]]:
        """Return every pod of the namespace as Kubernetes gives it (v1 Pod, camelCase).

        Raises:
            Failure: there are no credentials here, or they may not list pods.
            Unavailable: the API server can't be reached or does not answer in time.
        """
        import aiohttp

        try:
            async with asyncio.timeout(self._timeout):
                return await self._all_pages(await self._connect())
        except TimeoutError:
            raise Unavailable(f"The Kubernetes API did not answer within {self._timeout:g} s.") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(
                "The Kubernetes API can't be reached: check the server's network and, outside a cluster, KUBECONFIG."
            ) from error

    async def _all_pages(self, api: Any) -> list[dict[str, Any]]:
        pods: list[dict[str, Any]] = []
        token = None
        while True:
            more = {"_continue": token} if token else {}
            # The plain JSON: the client's model classes would drop fields that are newer than they are.
            response = await api.list_namespaced_pod(self.namespace, limit=PAGE, _preload_content=False, **more)
            if response.status in (401, 403):
                raise Failure(
                    f"The server's Kubernetes credentials may not list pods in namespace {self.namespace}: "
                    "bind them to a Role with the verbs get and list on pods, or set NAMESPACE to the right one."
                )
            if response.status != 200:
                raise Unavailable(f"The Kubernetes API answered with status {response.status}: try again later.")
            page = json.loads(await response.read())
            pods += page["items"]
            token = page["metadata"].get("continue")
            if not token:
                return pods

    async def _connect(self) -> Any:
        import yaml

        async with self._connecting:
            # In a thread, or every other call would wait for the import.
            kubernetes, config = await asyncio.to_thread(_import)
            if self._client is None:
                configuration = kubernetes.Configuration()
                try:
                    if os.path.exists(SERVICE_ACCOUNT):  # noqa: ASYNC240 (a file in memory)
                        source = "The pod's service account"
                        config.load_incluster_config(client_configuration=configuration)
                    elif os.environ.get("KUBECONFIG"):
                        source = "KUBECONFIG"
                        # Named, because the library looks at the variable only when it is imported.
                        await config.load_kube_config(config_file=os.environ["KUBECONFIG"], client_configuration=configuration)
                    else:
                        raise Failure(
                            "There are no Kubernetes credentials: run the server in a pod with a service account, or set KUBECONFIG."
                        )
                except (config.ConfigException, yaml.YAMLError, OSError) as error:
                    raise Failure(f"{source} can't be used: {' '.join(str(error).split())}") from error
                self._client = kubernetes.ApiClient(configuration)
            return kubernetes.CoreV1Api(self._client)


def _import() -> tuple[Any, Any]:
    from kubernetes_asyncio import client, config

    return client, config
