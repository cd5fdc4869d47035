"""Rules for what runs before an install or an upgrade."""

from collections.abc import Iterator

from tests.chart.rendering import Manifest, Rendered, containers_of
from tests.chart.rules.objects import hook, named

MIGRATIONS, TOPICS, SCHEMAS = ("migrate", "up"), ("topics", "create"), ("schemas", "register")


def hooks_read_nothing_of_ours(rendered: Rendered) -> Iterator[str]:
    """What runs before the install needs nothing that the install makes, and comes in order."""
    ours = {(each["kind"], each["metadata"]["name"]) for each in rendered.manifests if not hook(each)}
    weights: dict[tuple[str, ...], int] = {}
    for job in rendered.of("Job"):
        annotations = job["metadata"].get("annotations", {})
        if hook(job) != "pre-install,pre-upgrade":
            yield f"{named(job)} is no hook before install and upgrade"
        if "before-hook-creation" not in annotations.get("helm.sh/hook-delete-policy", ""):
            yield f"{named(job)} is in the way of the next one of its name"
        pod = job["spec"]["template"]
        weights[tuple(containers_of(pod)[0]["args"])] = int(annotations.get("helm.sh/hook-weight", 0))
        for need in sorted(_needs(pod) & ours):
            yield f"{named(job)} reads {need[0]} {need[1]}, which the chart makes after it"
    for policy in rendered.of("NetworkPolicy"):
        if hook(policy) and int(policy["metadata"]["annotations"]["helm.sh/hook-weight"]) >= min(
            weights.values(), default=0
        ):
            yield f"{named(policy)} comes after the jobs that it lets out"
    order = [weights[each] for each in (MIGRATIONS, TOPICS, SCHEMAS) if each in weights]
    if order != sorted(set(order)):
        yield f"the jobs have the weights {weights}, which is no order"


def jobs_fit_the_values(rendered: Rendered) -> Iterator[str]:
    """Each subcommand that the values ask for runs in a job of its own, and no other; SQLite needs none."""
    values, found = (
        rendered.values,
        [tuple(containers_of(job["spec"]["template"])[0]["args"]) for job in rendered.of("Job")],
    )
    wanted = set()
    if values["database"]["existingSecret"] and values["jobs"]["migrate"]:
        wanted.add(MIGRATIONS)
    if values["topics"]["managedBy"] == "job":
        wanted.add(TOPICS)
    if values["schemaRegistry"]["url"] and values["jobs"]["registerSchemas"]:
        wanted.add(SCHEMAS)
    if sorted(found) != sorted(wanted):
        yield f"the jobs are {sorted(found)}, not {sorted(wanted)}"
    initial = [each["name"] for each in rendered.workload["spec"]["template"]["spec"].get("initContainers", ())]
    if initial != [each["name"] for each in values["initContainers"]]:
        yield f"{initial} come before the service, which a team did not ask for"


def _needs(pod: Manifest) -> set[tuple[str, str]]:
    """Return what a pod cannot start without."""
    needs = {("ServiceAccount", pod["spec"]["serviceAccountName"])}
    for container in containers_of(pod):
        for source in container.get("envFrom", ()):
            needs |= {(kind, source[key]["name"]) for key, kind in _REFERENCES.items() if key in source}
        for variable in container.get("env", ()):
            chosen = variable.get("valueFrom", {})
            needs |= {(kind, chosen[key]["name"]) for key, kind in _REFERENCES.items() if key in chosen}
    for volume in pod["spec"].get("volumes", ()):
        if "persistentVolumeClaim" in volume:
            needs.add(("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]))
        for source in volume.get("projected", {}).get("sources", ()):
            needs |= {("ConfigMap", each["name"]) for key, each in source.items() if key == "configMap"}
    return needs


_REFERENCES = {
    "configMapRef": "ConfigMap",
    "secretRef": "Secret",
    "configMapKeyRef": "ConfigMap",
    "secretKeyRef": "Secret",
}
