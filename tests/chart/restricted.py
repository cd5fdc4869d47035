"""Pod Security's profile `restricted`, and what we ask of a pod beyond it.

The controls are those of https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted.
"""

from collections.abc import Iterator, Mapping

from tests.chart.rendering import Manifest, containers_of

TEAMS_OWN = frozenset({"wait", "proxy"})
"""Containers that a values file adds."""

VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)


def problems(pod: Manifest) -> Iterator[str]:
    """Say what the profile forbids, or we do, in a pod."""
    spec = pod["spec"]
    security = spec.get("securityContext", {})
    yield from _of_pod(spec, security)
    yield from _beyond(spec)
    for container in containers_of(pod):
        for problem in (*_container(container, security), *_own(container)):
            yield f"container {container['name']}: {problem}"


def _of_pod(spec: Manifest, security: Manifest) -> Iterator[str]:
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            yield f"{name} is set"
    if security.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "no seccomp profile"
    if security.get("runAsUser") == 0:
        yield "runs as root"
    for volume in spec.get("volumes", ()):
        if not (volume.keys() - {"name"}) <= VOLUMES:
            yield f"the volume {volume['name']} is of a kind that is not allowed"


def _container(container: Manifest, pod_security: Mapping[str, object]) -> Iterator[str]:
    security = container.get("securityContext", {})
    if security.get("allowPrivilegeEscalation") is not False:
        yield "may gain privileges"
    if security.get("privileged"):
        yield "is privileged"
    capabilities = security.get("capabilities", {})
    if "ALL" not in capabilities.get("drop", ()) or set(capabilities.get("add", ())) - {"NET_BIND_SERVICE"}:
        yield "keeps capabilities"
    if not security.get("runAsNonRoot", pod_security.get("runAsNonRoot")):
        yield "may be root"
    if any("hostPort" in port for port in container.get("ports", ())):
        yield "opens a port of the node"


def _own(container: Manifest) -> Iterator[str]:
    if container["name"] in TEAMS_OWN:
        return  # the profile holds for it, and no more
    security = container.get("securityContext", {})
    if security.get("readOnlyRootFilesystem") is not True:
        yield "can write its own image"
    resources = container.get("resources", {})
    if not resources.get("requests", {}).keys() >= {"cpu", "memory"} or "memory" not in resources.get("limits", {}):
        yield "asks for no resources, or has no limit of memory"


def _beyond(spec: Manifest) -> Iterator[str]:
    if spec.get("automountServiceAccountToken") is not False:
        yield "has a token of the API server"
    if spec.get("enableServiceLinks") is not False:
        yield "gets a variable for each Service of the namespace"
