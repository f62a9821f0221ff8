"""The cluster that tests deploy to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.clusters import Cluster, running


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """One for the whole run: of TEST_KUBECONFIG, of KUBEBUILDER_ASSETS, or the stand-in."""
    with running() as found:
        yield found


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own; pods do as the test says, until it ends."""
    name = cluster.create_namespace()
    yield name
    cluster.remove_namespace(name)
    if cluster.server:
        cluster.server.kubelet.reset()
