"""Which objects the filter leaves out of an apply."""

from __future__ import annotations

import copy
import json

import pytest
from ansible_collections.rhpds.litemaas.plugins.filter.k8s_differing import LAST_APPLIED, k8s_differing

WANTED = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "n", "labels": {"app": "web"}},
    "spec": {
        "replicas": 2,
        "template": {
            "spec": {
                "initContainers": [],
                "containers": [
                    {"name": "web", "resources": {"limits": {"cpu": "2000m", "memory": "1Gi"}}, "env": [{"name": "A", "value": "1"}]}
                ],
            }
        },
    },
}


def live(**spec):
    """As an API server gives it back in a list: without its kind, with defaults, canonical amounts, and no empty lists."""
    there = copy.deepcopy(WANTED)
    del there["kind"], there["apiVersion"]
    there["metadata"].update(uid="1", annotations={LAST_APPLIED: json.dumps(WANTED)})
    pod = there["spec"]["template"]["spec"]
    del pod["initContainers"]
    pod.update(restartPolicy="Always")
    pod["containers"][0].update(terminationMessagePath="/dev/termination-log")
    pod["containers"][0]["resources"]["limits"]["cpu"] = "2"
    there["spec"].update(spec, progressDeadlineSeconds=600)
    return there


def differing(there, wanted=None):
    return k8s_differing(
        [wanted or WANTED], {"Deployment": {"items": [there] if there else []}, "Route": None, "other": {"kind": "Secret"}}
    )


def test_what_stands_is_left_out():
    assert differing(live()) == []


def test_what_is_not_there_is_applied():
    assert differing(None) == [WANTED]
    assert k8s_differing([WANTED], {"Service": {"items": [live()]}}) == [WANTED]


def test_what_was_applied_otherwise_is_applied():
    wanted = copy.deepcopy(WANTED)
    del wanted["spec"]["replicas"]  # an apply takes it away
    assert differing(live(), wanted) == [wanted]


def test_what_was_never_applied_is_applied():
    there = live()
    there["metadata"]["annotations"] = {}
    assert differing(there) == [WANTED]
    del there["metadata"]["annotations"]
    assert differing(there) == [WANTED]


@pytest.mark.parametrize(
    "change",
    [
        lambda there: there["spec"].update(replicas=3),
        lambda there: there["metadata"]["labels"].update(app="other"),
        lambda there: there["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"].update(cpu="2500m"),
        lambda there: there["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"].update(memory="1G"),
        lambda there: there["spec"]["template"]["spec"]["containers"][0]["env"].append({"name": "B", "value": "2"}),
        lambda there: there["spec"]["template"]["spec"].update(initContainers=[{"name": "wait"}]),
        lambda there: there["spec"]["template"]["spec"]["containers"].clear(),
    ],
)
def test_what_somebody_changed_is_applied(change):
    there = live()
    change(there)
    assert differing(there) == [WANTED]


@pytest.mark.parametrize(("one", "other"), [("0.5", "500m"), ("1024Mi", "1Gi"), ("2", "2000m"), ("1k", "1000")])
def test_amounts_are_compared_as_amounts(one, other):
    wanted, there = copy.deepcopy(WANTED), live()
    wanted["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"] = one
    there["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"] = other
    there["metadata"]["annotations"][LAST_APPLIED] = json.dumps(wanted)
    assert differing(there, wanted) == []


def test_what_is_missing_and_what_is_otherwise_can_be_told_apart():
    other = {**WANTED, "metadata": {**WANTED["metadata"], "name": "other"}}
    found = {"Deployment": {"items": [live(replicas=3)]}}
    assert k8s_differing([WANTED, other], found) == [WANTED, other]
    assert k8s_differing([WANTED, other], found, missing=True) == [other]
    assert k8s_differing([WANTED, other], found, missing=False) == [WANTED]


def test_a_kind_may_be_read_as_one_object():
    assert k8s_differing([WANTED], {"Deployment": live()}) == []
    assert k8s_differing([WANTED], {"Deployment": live(replicas=3)}, missing=False) == [WANTED]
    assert k8s_differing([WANTED], {"Deployment": None}, missing=True) == [WANTED]
