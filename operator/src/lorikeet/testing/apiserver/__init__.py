"""A real etcd and kube-apiserver on loopback, for tests that need the API and no nodes: ready in about 3 s.

with api_server() as server:
    server.install_crds()
    async with await Kube.connect(server.kubeconfig) as kube: ...
    server.kubectl("get", "modelservers.lorikeet.dev")
"""

from lorikeet.testing.apiserver.binaries import MissingBinaries
from lorikeet.testing.apiserver.process import Failed
from lorikeet.testing.apiserver.server import ApiServer, api_server

__all__ = ["ApiServer", "Failed", "MissingBinaries", "api_server"]
