"""The control plane on a virtual clock: an hour of it in seconds, and the same each time.

Real: the operator's loops, passes, links, lease and resolver; the agents' keepers, stores and clients. Played: the API
server's objects and watches, HTTP between processes, the hub, engines, Deployments and kubelets. Nothing here waits:
when all sleep, the clock jumps to whoever wakes first.

    with simulated(folder) as cluster:
        cluster.create_server(replicas=2)
        cluster.create_adapter("sql")
        cluster.pass_time(10)
        assert cluster.is_ready("sql")
"""

from lorikeet.testing.simulation.cluster import Cluster, simulated

__all__ = ["Cluster", "simulated"]
