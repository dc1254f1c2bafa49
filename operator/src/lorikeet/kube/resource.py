"""The kinds we speak about, and their paths at the API server."""

from __future__ import annotations

from dataclasses import dataclass

from lorikeet.api import loraadapter, modelserver
from lorikeet.api.ref import GROUP, VERSION


@dataclass(frozen=True)
class Resource:
    """One namespaced kind."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """What stands in an object's apiVersion."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """The path of the collection (of all namespaces without `namespace`), of one object, or of its subresource."""
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if namespace is not None:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part is not None]
        return "/".join(parts)


MODELSERVERS = Resource(GROUP, VERSION, modelserver.PLURAL, "ModelServer")
LORAADAPTERS = Resource(GROUP, VERSION, loraadapter.PLURAL, "LoRAAdapter")
PODS = Resource("", "v1", "pods", "Pod")
SERVICES = Resource("", "v1", "services", "Service")
SECRETS = Resource("", "v1", "secrets", "Secret")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
BUDGETS = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
EVENTS = Resource("events.k8s.io", "v1", "events", "Event")
