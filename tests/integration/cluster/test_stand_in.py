"""The stand-in for the Kubernetes API does as a real API server does: every test here runs against both, where there is a real one.

KUBEBUILDER_ASSETS names a folder with etcd, kube-apiserver and kube-controller-manager; TEST_KUBECONFIG any cluster.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.cluster.conversation import NAMESPACE, ask, deployment, name_of, steps, template
from tests.support.clusters import Cluster, eventually, running

REAL = [name for name in ("TEST_KUBECONFIG", "KUBEBUILDER_ASSETS") if os.environ.get(name)][:1]
ANSWERS = Path(__file__).with_name("answers.json")
OLD_NAMES = {"batch/v1/CronJob": "batch/v1beta1", "policy/v1/PodDisruptionBudget": "policy/v1beta1"}


@pytest.fixture(scope="module", params=["stand-in", *REAL])
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with running(request.param) as found:
        yield found


def make(cluster: Cluster, path: str, body: dict[str, Any]) -> dict[str, Any]:
    return cluster.client.post(path, json=body).raise_for_status().json()


def deploy(cluster: Cluster, namespace: str, name: str, **spec: Any) -> str:
    """Make a Deployment and return its path."""
    labels = {"app": name}
    spec = {"selector": {"matchLabels": labels}, "template": template() | {"metadata": {"labels": labels}}} | spec
    make(cluster, f"/apis/apps/v1/namespaces/{namespace}/deployments", deployment(name, **spec))
    return f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"


def pods(cluster: Cluster, namespace: str, app: str | None = None) -> list[dict[str, Any]]:
    return cluster.get(f"/api/v1/namespaces/{namespace}/pods", **({"labelSelector": f"app={app}"} if app else {}))["items"]


def condition(thing: dict[str, Any] | None, kind: str) -> dict[str, Any]:
    return next((each for each in (thing or {}).get("status", {}).get("conditions", []) if each["type"] == kind), {})


def has_events(cluster: Cluster, namespace: str, kind: str, reason: str, text: str) -> list[str]:
    events = cluster.get(f"/api/v1/namespaces/{namespace}/events")["items"]
    said = [each["message"] for each in events if each["involvedObject"]["kind"] == kind and each["reason"] == reason]
    return [each for each in said if text in each]


# --- one request, one answer


def test_every_answer_of_a_long_conversation_is_the_recorded_one(cluster: Cluster) -> None:
    if cluster.get(f"/api/v1/namespaces/{NAMESPACE}"):
        cluster.remove_namespace(NAMESPACE)
        eventually(lambda: not cluster.get(f"/api/v1/namespaces/{NAMESPACE}"), "the last conversation is gone", 60)
    make(cluster, "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    eventually(lambda: cluster.get(f"/api/v1/namespaces/{NAMESPACE}/configmaps/kube-root-ca.crt"), "the namespace is furnished")
    answers = {name_of(step): ask(cluster.client, step) for step in steps()}
    cluster.remove_namespace(NAMESPACE)
    version = cluster.get("/version")
    if os.environ.get("UPDATE_SNAPSHOTS") and cluster.name == "KUBEBUILDER_ASSETS":
        ANSWERS.write_text(json.dumps(answers, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    recorded = json.loads(ANSWERS.read_text())
    if cluster.name == "TEST_KUBECONFIG" or (cluster.name != "stand-in" and version["minor"] != "20"):
        # one that was set up otherwise, or is newer, knows more and words some things otherwise
        answers, recorded = ({name: each["status"] for name, each in found.items()} for found in (answers, recorded))
    assert sorted(answers) == sorted(recorded)
    different = [
        f"{name}\n  here:     {json.dumps(answers[name])}\n  recorded: {json.dumps(recorded[name])}"
        for name in answers
        if answers[name] != recorded[name]
    ]
    assert not different, "\n".join(different)


def test_discovery_names_every_kind_and_how_to_ask_for_it(cluster: Cluster) -> None:
    core = {each["name"]: each for each in cluster.get("/api/v1")["resources"]}
    assert core["pods"].items() >= {"namespaced": True, "kind": "Pod", "shortNames": ["po"]}.items()
    assert not core["namespaces"]["namespaced"]
    assert set(core["secrets"]["verbs"]) >= {"create", "delete", "get", "list", "patch", "update", "watch"}
    assert core["pods/log"]["verbs"] == ["get"]
    for group, kind in (("apps/v1", "Deployment"), ("batch/v1", "Job"), ("networking.k8s.io/v1", "NetworkPolicy")):
        assert cluster.has(kind, group), kind
    assert not cluster.has("Bogus")
    assert cluster.client.get("/readyz").text == "ok"
    groups = {each["name"]: each["preferredVersion"] for each in cluster.get("/apis")["groups"]}
    assert groups["apps"] == {"groupVersion": "apps/v1", "version": "v1"}


def test_without_a_known_token_nothing_is_answered(cluster: Cluster) -> None:
    answer = cluster.client.get("/api/v1/namespaces", headers={"Authorization": "Bearer wrong"})
    assert (answer.status_code, answer.json()["message"]) == (401, "Unauthorized")


def test_a_dry_run_changes_nothing(cluster: Cluster, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    made = cluster.client.post(path, params={"dryRun": "All"}, json={"metadata": {"name": "dry"}, "data": {"a": "b"}})
    assert (made.status_code, made.json()["data"]) == (201, {"a": "b"})
    assert cluster.get(f"{path}/dry") is None
    make(cluster, path, {"metadata": {"name": "wet"}, "data": {"a": "b"}})
    before = cluster.get(f"{path}/wet")
    patched = cluster.client.patch(
        f"{path}/wet", params={"dryRun": "All"}, json={"data": {"a": "c"}}, headers={"Content-Type": "application/merge-patch+json"}
    )
    assert patched.json()["data"] == {"a": "c"}
    cluster.client.delete(f"{path}/wet", params={"dryRun": "All"}).raise_for_status()
    assert cluster.get(f"{path}/wet") == before


def test_a_write_that_changes_nothing_keeps_the_version(cluster: Cluster, namespace: str) -> None:
    path = deploy(cluster, namespace, "same", paused=True)
    before = eventually(lambda: cluster.get(path), "it is there")["metadata"]
    for kind in ("merge", "strategic-merge"):
        body = {"spec": {"paused": True, "template": {"spec": {"hostNetwork": False}}}}
        after = cluster.client.patch(path, json=body, headers={"Content-Type": f"application/{kind}-patch+json"}).json()["metadata"]
        assert after["generation"] == before["generation"] == 1


def test_lists_come_in_pages(cluster: Cluster, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/services"
    for number in range(5):
        make(cluster, path, {"metadata": {"name": f"s{number}", "labels": {"n": str(number)}}, "spec": {"ports": [{"port": 1}]}})
    first = cluster.get(path, limit="2")
    second = cluster.get(path, limit="2", **{"continue": first["metadata"]["continue"]})
    last = cluster.get(path, limit="2", **{"continue": second["metadata"]["continue"]})
    assert [each["metadata"]["name"] for each in first["items"] + second["items"] + last["items"]] == ["s0", "s1", "s2", "s3", "s4"]
    assert first["metadata"]["remainingItemCount"] == 3
    assert "continue" not in last["metadata"]
    assert "kind" not in first["items"][0]
    named = cluster.get(path, labelSelector="n notin (1,2),n!=0")["items"]
    assert [each["metadata"]["name"] for each in named] == ["s3", "s4"]


def test_a_watch_tells_what_is_there_and_what_comes(cluster: Cluster, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/secrets"
    make(cluster, path, {"metadata": {"name": "w", "labels": {"watched": "yes"}}, "data": {}})
    seen: list[tuple[str, str]] = []

    def watch() -> None:
        query = {"watch": "true", "timeoutSeconds": "4", "labelSelector": "watched=yes"}
        with httpx.Client(verify=False, trust_env=False, timeout=30) as client, client.stream(
            "GET", f"{cluster.url}{path}", params=query, headers=dict(cluster.client.headers)
        ) as answer:  # fmt: skip
            for line in answer.iter_lines():
                event = json.loads(line)
                seen.append((event["type"], event["object"]["metadata"]["name"]))

    thread = threading.Thread(target=watch)
    thread.start()
    eventually(lambda: ("ADDED", "w") in seen, "what was there")
    headers = {"Content-Type": "application/merge-patch+json"}
    cluster.client.patch(f"{path}/w", json={"stringData": {"a": "b"}}, headers=headers).raise_for_status()
    make(cluster, path, {"metadata": {"name": "other"}})
    cluster.client.delete(f"{path}/w").raise_for_status()
    thread.join()
    assert seen == [("ADDED", "w"), ("MODIFIED", "w"), ("DELETED", "w")]


# --- namespaces and owners


def test_a_namespace_takes_everything_with_it(cluster: Cluster, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}"
    make(cluster, f"{path}/configmaps", {"metadata": {"name": "c"}})
    answer = cluster.client.delete(path)
    assert (answer.status_code, answer.json()["kind"], answer.json()["status"]["phase"]) == (200, "Namespace", "Terminating")
    refused = cluster.client.post(f"{path}/configmaps", json={"metadata": {"name": "late"}})
    text = f'configmaps "late" is forbidden: unable to create new content in namespace {namespace} because it is being terminated'
    assert (refused.status_code, refused.json()["message"]) == (403, text)
    assert refused.json()["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    eventually(lambda: cluster.get(path) is None, "the namespace is gone", 60)
    assert cluster.get(f"{path}/configmaps")["items"] == []


def test_what_an_owner_leaves_is_deleted(cluster: Cluster, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    owner = make(cluster, path, {"metadata": {"name": "owner"}})
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    for name, references in (("owned", [reference]), ("free", [])):
        make(cluster, path, {"metadata": {"name": name, "ownerReferences": references}})
    cluster.client.delete(f"{path}/owner").raise_for_status()
    eventually(lambda: cluster.get(f"{path}/owned") is None, "the owned one is gone")
    assert cluster.get(f"{path}/free")


@pytest.mark.parametrize("policy", ["Background", "Foreground", "Orphan"])
def test_a_deployment_goes_with_its_pods_or_without_them(cluster: Cluster, namespace: str, policy: str) -> None:
    path = deploy(cluster, namespace, "goes")
    eventually(lambda: condition(cluster.get(path), "Available").get("status") == "True", "it is available")
    answer = cluster.client.request("DELETE", path, json={"propagationPolicy": policy}).json()
    assert answer["kind"] == ("Status" if policy == "Background" else "Deployment")
    eventually(lambda: cluster.get(path) is None, "the Deployment is gone")
    sets = f"/apis/apps/v1/namespaces/{namespace}/replicasets"
    if policy == "Orphan":
        assert "ownerReferences" not in cluster.get(sets)["items"][0]["metadata"]
        assert len(pods(cluster, namespace)) == 1
    else:
        eventually(lambda: not pods(cluster, namespace) and not cluster.get(sets)["items"], "its ReplicaSet and pods are gone")


# --- workloads


def test_a_deployment_gets_a_replica_set_and_pods_that_become_ready(cluster: Cluster, namespace: str) -> None:
    path = deploy(cluster, namespace, "app", replicas=2)
    eventually(lambda: cluster.get(path)["status"].get("readyReplicas") == 2, "both are ready")
    found = cluster.get(path)
    name = cluster.get(f"/apis/apps/v1/namespaces/{namespace}/replicasets")["items"][0]["metadata"]["name"]
    counts = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2}
    assert {key: value for key, value in found["status"].items() if key != "conditions"} == counts
    assert condition(found, "Available")["reason"] == "MinimumReplicasAvailable"
    progressing = condition(found, "Progressing")
    assert (progressing["reason"], progressing["message"]) == (
        "NewReplicaSetAvailable",
        f'ReplicaSet "{name}" has successfully progressed.',
    )
    assert found["metadata"]["annotations"] == {"deployment.kubernetes.io/revision": "1"}
    pod = pods(cluster, namespace, "app")[0]
    assert re.fullmatch(r"app-[a-z0-9]{6,10}-[a-z0-9]{5}", pod["metadata"]["name"])
    assert pod["metadata"]["ownerReferences"][0]["kind"] == "ReplicaSet"
    assert pod["metadata"]["labels"].keys() == {"app", "pod-template-hash"}
    assert (pod["status"]["phase"], condition(pod, "Ready")["status"]) == ("Running", "True")
    assert pod["status"]["containerStatuses"][0]["ready"] is True
    assert has_events(cluster, namespace, "Deployment", "ScalingReplicaSet", f"Scaled up replica set {name} to 2")
    assert has_events(cluster, namespace, "ReplicaSet", "SuccessfulCreate", "Created pod: app-")


def test_a_new_template_rolls_the_pods(cluster: Cluster, namespace: str) -> None:
    path = deploy(cluster, namespace, "rolls", replicas=2)
    eventually(lambda: cluster.get(path)["status"].get("readyReplicas") == 2, "both are ready")
    old = {each["metadata"]["name"] for each in pods(cluster, namespace)}
    body = {"spec": {"template": {"metadata": {"annotations": {"checksum": "1"}}}}}
    headers = {"Content-Type": "application/strategic-merge-patch+json"}
    assert cluster.client.patch(path, json=body, headers=headers).json()["metadata"]["generation"] == 2

    def rolled() -> bool:
        status = cluster.get(path)["status"]
        new = {each["metadata"]["name"] for each in pods(cluster, namespace)}
        return status["observedGeneration"] == 2 and status.get("updatedReplicas") == 2 and len(new) == 2 and not new & old

    eventually(rolled, "two new pods")
    assert cluster.get(path)["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
    sets = cluster.get(f"/apis/apps/v1/namespaces/{namespace}/replicasets")["items"]
    assert sorted(each["spec"]["replicas"] for each in sets) == [0, 2]
    cluster.client.patch(path, json={"metadata": {"labels": {"a": "b"}}}, headers=headers).raise_for_status()
    assert cluster.get(path)["metadata"]["generation"] == 2
    assert {each["metadata"]["name"] for each in pods(cluster, namespace)} & old == set()


def test_pods_that_do_not_become_ready_keep_the_old_ones_running(cluster: Cluster, namespace: str) -> None:
    path = deploy(cluster, namespace, "stuck", progressDeadlineSeconds=2)
    eventually(lambda: cluster.get(path)["status"].get("readyReplicas") == 1, "it is ready")
    cluster.kubelet.behave("example/bad", "never_ready")
    body = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "example/bad:1"}]}}}}
    headers = {"Content-Type": "application/strategic-merge-patch+json"}
    cluster.client.patch(path, json=body, headers=headers).raise_for_status()
    found = eventually(lambda: (it := cluster.get(path)) and condition(it, "Progressing")["status"] == "False" and it, "it is given up")
    assert condition(found, "Progressing")["reason"] == "ProgressDeadlineExceeded"
    assert condition(found, "Progressing")["message"].endswith("has timed out progressing.")
    assert (condition(found, "Available")["status"], found["status"]["readyReplicas"]) == ("True", 1)
    assert (found["status"]["updatedReplicas"], found["status"]["unavailableReplicas"]) == (1, 1)


@pytest.mark.parametrize(
    ("how", "waiting", "reason", "text"),
    [
        ("image_pull", "ImagePullBackOff", "Failed", 'Failed to pull image "quay.io/example/app:1"'),
        ("crash", "CrashLoopBackOff", "BackOff", "Back-off restarting failed container"),
        ("unschedulable", None, "FailedScheduling", "0/6 nodes are available: 6 Insufficient memory."),
    ],
)
def test_pods_fail_as_told(cluster: Cluster, namespace: str, how: str, waiting: str | None, reason: str, text: str) -> None:
    cluster.kubelet.behave("fails-", how, log="starting\nno such table\n")
    path = deploy(cluster, namespace, "fails")
    eventually(lambda: has_events(cluster, namespace, "Pod", reason, text), "the event")
    pod = pods(cluster, namespace)[0]
    if waiting:
        assert pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == waiting
    else:
        assert condition(pod, "PodScheduled")["reason"] == "Unschedulable"
    found = eventually(lambda: (it := cluster.get(path)) and condition(it, "Available") and it, "the condition")
    assert (condition(found, "Available")["status"], condition(found, "Available")["reason"]) == ("False", "MinimumReplicasUnavailable")
    assert found["status"]["unavailableReplicas"] == 1
    if how == "crash":
        log = f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}/log"
        assert cluster.client.get(log).text == "starting\nno such table\n"
        assert cluster.client.get(log, params={"tailLines": "1"}).text == "no such table\n"


def test_pods_wait_as_long_as_told(cluster: Cluster, namespace: str) -> None:
    cluster.kubelet.behave("slow", after=2.0)
    path = deploy(cluster, namespace, "slow")
    started = time.monotonic()
    eventually(lambda: condition(cluster.get(path), "Available").get("status") == "False", "it is not yet there")
    eventually(lambda: condition(cluster.get(path), "Available")["status"] == "True", "it is there")
    assert time.monotonic() - started > 1.5


def test_a_deployment_says_why_no_pod_can_be_made(cluster: Cluster, namespace: str) -> None:
    make(cluster, f"/api/v1/namespaces/{namespace}/resourcequotas", {"metadata": {"name": "small"}, "spec": {"hard": {"pods": "0"}}})
    quota = f"/api/v1/namespaces/{namespace}/resourcequotas/small"
    eventually(lambda: cluster.get(quota).get("status", {}).get("hard") == {"pods": "0"}, "the quota holds")
    path = deploy(cluster, namespace, "much")
    found = eventually(lambda: (it := cluster.get(path)) and condition(it, "ReplicaFailure") and it, "the condition")
    text = "exceeded quota: small, requested: pods=1, used: pods=0, limited: pods=0"
    assert condition(found, "ReplicaFailure")["reason"] == "FailedCreate"
    assert condition(found, "ReplicaFailure")["message"].endswith(text)
    assert eventually(lambda: has_events(cluster, namespace, "ReplicaSet", "FailedCreate", text), "the event")


def test_a_pod_needs_its_service_account(cluster: Cluster, namespace: str) -> None:
    body = template(serviceAccountName="missing") | {"metadata": {"labels": {"app": "alone"}}}
    path = deploy(cluster, namespace, "alone", template=body)
    found = eventually(lambda: (it := cluster.get(path)) and condition(it, "ReplicaFailure") and it, "the condition")
    text = f'error looking up service account {namespace}/missing: serviceaccount "missing" not found'
    assert condition(found, "ReplicaFailure")["message"].endswith(text)


def test_a_stateful_set_makes_pods_in_order_with_their_claims(cluster: Cluster, namespace: str) -> None:
    claim = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
    body = template() | {"metadata": {"labels": {"app": "db"}}}
    spec = {"serviceName": "db", "replicas": 2, "selector": {"matchLabels": {"app": "db"}}, "template": body}
    path = f"/apis/apps/v1/namespaces/{namespace}/statefulsets"
    make(cluster, path, {"metadata": {"name": "db"}, "spec": spec | {"volumeClaimTemplates": [claim]}})
    eventually(lambda: cluster.get(f"{path}/db")["status"].get("readyReplicas") == 2, "both are ready")
    status = cluster.get(f"{path}/db")["status"]
    assert (status["replicas"], status["updatedReplicas"], status["currentReplicas"]) == (2, 2, 2)
    assert status["currentRevision"] == status["updateRevision"]
    assert sorted(each["metadata"]["name"] for each in pods(cluster, namespace)) == ["db-0", "db-1"]
    claims = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
    assert sorted(each["metadata"]["name"] for each in cluster.get(claims)["items"]) == ["data-db-0", "data-db-1"]
    cluster.client.delete(f"{path}/db").raise_for_status()
    eventually(lambda: not pods(cluster, namespace), "the pods are gone")
    assert len(cluster.get(claims)["items"]) == 2
    cluster.client.delete(f"{claims}/data-db-0").raise_for_status()
    eventually(lambda: cluster.get(f"{claims}/data-db-0") is None, "an unused claim goes")


def test_a_stateful_set_replaces_a_pod_that_hangs_only_when_it_is_deleted(cluster: Cluster, namespace: str) -> None:
    cluster.kubelet.behave("example/bad", "image_pull")
    labels = {"app": "db"}
    body = template({"name": "main", "image": "example/bad:1"}) | {"metadata": {"labels": labels}}
    path = f"/apis/apps/v1/namespaces/{namespace}/statefulsets"
    make(cluster, path, {"metadata": {"name": "db"}, "spec": {"serviceName": "db", "selector": {"matchLabels": labels}, "template": body}})
    first = eventually(lambda: (found := pods(cluster, namespace)) and found[0]["status"].get("containerStatuses") and found[0], "it hangs")
    right = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "example/good:1"}]}}}}
    headers = {"Content-Type": "application/strategic-merge-patch+json"}
    cluster.client.patch(f"{path}/db", json=right, headers=headers).raise_for_status()
    status = eventually(lambda: (it := cluster.get(f"{path}/db")["status"])["observedGeneration"] == 2 and it, "the correction is seen")
    assert status["updateRevision"] != first["metadata"]["labels"]["controller-revision-hash"]
    time.sleep(1)
    assert [each["metadata"]["uid"] for each in pods(cluster, namespace)] == [first["metadata"]["uid"]]
    cluster.client.delete(f"/api/v1/namespaces/{namespace}/pods/db-0").raise_for_status()
    eventually(lambda: cluster.get(f"{path}/db")["status"].get("readyReplicas") == 1, "the corrected one is ready")
    (second,) = pods(cluster, namespace)
    assert second["metadata"]["labels"]["controller-revision-hash"] == status["updateRevision"]


@pytest.mark.parametrize(("how", "kind"), [("ready", "Complete"), ("crash", "Failed")])
def test_a_job_runs_to_its_end(cluster: Cluster, namespace: str, how: str, kind: str) -> None:
    cluster.kubelet.behave("once", how)
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    spec = {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x:1"}]}}}
    make(cluster, path, {"metadata": {"name": "once"}, "spec": spec})
    found = eventually(lambda: (it := cluster.get(f"{path}/once")) and condition(it, kind) and it, "it has ended")
    assert condition(found, kind)["status"] == "True"
    assert found["status"].get("succeeded" if how == "ready" else "failed") == 1
    assert found["metadata"]["uid"] in found["spec"]["selector"]["matchLabels"].values()
    if how == "crash":
        assert condition(found, kind)["reason"] == "BackoffLimitExceeded"
    # deleted without a word on its pods, it leaves them
    cluster.client.delete(f"{path}/once").raise_for_status()
    eventually(lambda: cluster.get(f"{path}/once") is None, "the Job is gone")
    assert len(pods(cluster, namespace)) == 1
    make(cluster, path, {"metadata": {"name": "twice"}, "spec": spec})
    eventually(lambda: len(pods(cluster, namespace)) == 2, "another pod")
    cluster.client.delete(f"{path}/twice", params={"propagationPolicy": "Background"}).raise_for_status()
    eventually(lambda: len(pods(cluster, namespace)) == 1, "its pod is gone")


@pytest.mark.parametrize(
    ("value", "restless"),
    [({}, False), ({"requests": {"memory": "1024Mi"}}, True), ({"requests": {"memory": "1Gi", "cpu": "100m"}}, False)],
)
def test_applying_what_is_stored_in_other_words_changes_the_object_each_time(
    cluster: Cluster, namespace: str, value: dict[str, Any], restless: bool
) -> None:
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/words"
    body = deployment("words", paused=True, template=template({"name": "main", "image": "x:1", "resources": value}))
    body |= {"apiVersion": "apps/v1", "kind": "Deployment"}

    def apply() -> dict[str, Any]:
        headers = {"Content-Type": "application/apply-patch+yaml"}
        answer = cluster.client.patch(path, params={"fieldManager": "one"}, json=body, headers=headers)
        return answer.raise_for_status().json()["metadata"]

    apply()
    eventually(lambda: cluster.get(path)["status"].get("observedGeneration"), "the controllers are done")
    time.sleep(1.1)  # the change is that of a time in seconds
    before = cluster.get(path)["metadata"]
    after = apply()
    assert (after["resourceVersion"] != before["resourceVersion"]) == restless
    assert after["generation"] == 1


@pytest.mark.parametrize("kind", ["batch/v1/CronJob", "policy/v1/PodDisruptionBudget"])
def test_what_a_server_of_1_20_has_under_an_older_name(cluster: Cluster, namespace: str, kind: str) -> None:
    group, _, name = kind.rpartition("/")
    version = group if cluster.has(name, group) else OLD_NAMES[kind]
    spec: dict[str, Any] = {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "x"}}}
    expected: dict[str, Any] = spec
    if name == "CronJob":
        job = {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x:1"}]}}}
        spec = {"schedule": "0 2 * * *", "jobTemplate": {"spec": job}}
        expected = {"concurrencyPolicy": "Allow", "suspend": False, "successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1}
    path = f"/apis/{version}/namespaces/{namespace}/{name.lower()}s"
    made = make(cluster, path, {"metadata": {"name": "it"}, "spec": spec})
    assert made["spec"].items() >= expected.items()
    if name == "PodDisruptionBudget":
        assert eventually(lambda: cluster.get(f"{path}/it")["status"].get("observedGeneration"), "it is seen to") == 1


# --- rights


def test_a_service_account_may_do_what_its_roles_say_and_no_more(cluster: Cluster, namespace: str) -> None:
    rule = {"apiGroups": [""], "resources": ["pods", "configmaps"], "verbs": ["get", "list"]}
    kubeconfig = json.loads(cluster.deployer(rule, namespace=namespace).read_text())
    token = kubeconfig["users"][0]["user"]["token"]
    user = json.loads(json.dumps(kubeconfig))["contexts"][0]["context"]["user"]
    assert user == "test"
    headers = {"Authorization": f"Bearer {token}"}

    def ask(method: str, path: str, body: Any = None) -> tuple[int, str]:
        answer = cluster.client.request(method, path, json=body, headers=headers)
        said = answer.json().get("message", "") if answer.headers["content-type"].startswith("application/json") else ""
        return answer.status_code, re.sub(r"deployer-[0-9a-f]+", "DEPLOYER", said)

    home = f"/api/v1/namespaces/{namespace}"
    cannot = 'is forbidden: User "system:serviceaccount:default:DEPLOYER" cannot'
    here, everywhere = f'in the namespace "{namespace}"', "at the cluster scope"
    eventually(lambda: ask("GET", f"{home}/pods")[0] == 200, "the rights hold")
    assert ask("GET", f"{home}/pods/x")[0] == 404
    assert ask("GET", "/apis/apps/v1")[0] == 200
    assert ask("GET", "/version")[0] == 200
    for method, path, text in (
        ("GET", f"{home}/secrets", f'secrets {cannot} list resource "secrets" in API group "" {here}'),
        ("GET", f"{home}/secrets/x", f'secrets "x" {cannot} get resource "secrets" in API group "" {here}'),
        ("GET", f"{home}/pods/x/log", f'pods "x" {cannot} get resource "pods/log" in API group "" {here}'),
        ("POST", f"/apis/apps/v1/namespaces/{namespace}/deployments",
         f'deployments.apps {cannot} create resource "deployments" in API group "apps" {here}'),
        ("PATCH", f"{home}/configmaps/x", f'configmaps "x" {cannot} patch resource "configmaps" in API group "" {here}'),
        ("DELETE", f"{home}/configmaps/x", f'configmaps "x" {cannot} delete resource "configmaps" in API group "" {here}'),
        ("GET", home, f'namespaces "{namespace}" {cannot} get resource "namespaces" in API group "" {here}'),
        ("GET", "/api/v1/namespaces", f'namespaces {cannot} list resource "namespaces" in API group "" {everywhere}'),
        ("POST", "/api/v1/namespaces", f'namespaces {cannot} create resource "namespaces" in API group "" {everywhere}'),
        ("GET", "/api/v1/pods", f'pods {cannot} list resource "pods" in API group "" {everywhere}'),
        ("GET", "/apis/oauth.openshift.io/v1/oauthclients/x",
         f'oauthclients.oauth.openshift.io "x" {cannot} get resource "oauthclients" in API group "oauth.openshift.io" {everywhere}'),
    ):  # fmt: skip
        assert ask(method, path, {} if method in ("POST", "PATCH") else None) == (403, text), path
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    for resource, allowed in (("pods", True), ("secrets", False)):
        spec = {"resourceAttributes": {"verb": "list", "resource": resource, "namespace": namespace}}
        answer = cluster.client.post(
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", json=review | {"spec": spec}, headers=headers
        )
        assert (answer.status_code, answer.json()["status"]["allowed"]) == (201, allowed)


def test_nobody_grants_what_he_may_not_do(cluster: Cluster, namespace: str) -> None:
    rules = {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles"], "verbs": ["create"]}
    pods_only = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    token = json.loads(cluster.deployer(rules, pods_only, namespace=namespace).read_text())["users"][0]["user"]["token"]
    path, headers = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles", {"Authorization": f"Bearer {token}"}

    def grant(name: str, *verbs: str) -> httpx.Response:
        body = {"metadata": {"name": name}, "rules": [pods_only | {"verbs": list(verbs)}]}
        return cluster.client.post(path, json=body, headers=headers)

    eventually(lambda: grant("held", "get").status_code in (201, 409), "the rights hold")
    refused = grant("more", "get", "list")
    assert refused.status_code == 403
    assert "is attempting to grant RBAC permissions not currently held:\n" in refused.json()["message"]
    assert refused.json()["message"].endswith('{APIGroups:[""], Resources:["pods"], Verbs:["list"]}')
