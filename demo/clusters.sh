# shellcheck shell=bash
# shellcheck disable=SC2154  # root, setup, cache and ENGINE are set by the script that sources this
# Three kinds of cluster, each with: cluster_ready (make it or find it), cluster_load IMAGE…, cluster_gateway (make it
# answer at $GATEWAY), cluster_end.

# LORIKEET_CLUSTER, LORIKEET_NETWORK and GATEWAY_PORT make a second demo beside the first.
GATEWAY=http://127.0.0.1:${GATEWAY_PORT:-8080}
NODE_PORT=30080

case ${CLUSTER:=local} in
  local)
    export KUBECONFIG=$cache/cluster${LORIKEET_CLUSTER:+-$LORIKEET_CLUSTER}/kubeconfig
    cluster_ready() { "$setup/up"; }
    cluster_load() { "$setup/load-image" "$@"; }
    cluster_gateway() { "$setup/forward" "${GATEWAY##*:}" "$NODE_PORT"; }
    cluster_end() { "$setup/down"; }
    ;;
  kind)
    export KUBECONFIG=$cache/kind/kubeconfig
    cluster_ready() { mkdir -p "$(dirname "$KUBECONFIG")" && "$root/cluster-setup/kind/up"; }
    cluster_load() { kind load docker-image --name lorikeet "$@"; }
    cluster_gateway() { :; } # cluster-setup/kind/config.yaml maps the port
    cluster_end() { kind delete cluster --name lorikeet --kubeconfig "$KUBECONFIG"; }
    ;;
  current)
    cluster_ready() {
      kubectl version >/dev/null 2>&1 || fail "CLUSTER=current: kubectl reaches no cluster; set KUBECONFIG, or use CLUSTER=local"
      [[ -n ${REGISTRY:-} ]] || fail "CLUSTER=current: set REGISTRY to where this machine may push and the cluster may pull, such as registry.example.com/team"
      [[ $(kubectl get nodes -o jsonpath='{.items[*].status.allocatable.nvidia\.com/gpu}') =~ [1-9] ]] ||
        fail "CLUSTER=current: no node advertises nvidia.com/gpu; install a device plugin"
    }
    cluster_load() {
      local image
      for image in "$@"; do
        STORAGE_DRIVER=overlay buildah push -q "$image" "docker://$REGISTRY/$image" 2>/dev/null ||
          { docker tag "$image" "$REGISTRY/$image" && docker push -q "$REGISTRY/$image"; }
      done
    }
    cluster_gateway() {
      kubectl -n lorikeet-system port-forward service/lorikeet-gateway "${GATEWAY##*:}:80" >/dev/null 2>&1 &
      disown
      echo $! >"$cache/port-forward.pid"
    }
    cluster_end() {
      [[ ! -s $cache/port-forward.pid ]] || kill "$(<"$cache/port-forward.pid")" 2>/dev/null || true
      rm -f "$cache/port-forward.pid"
      kubectl delete --ignore-not-found -f "$root/manifests/samples/pirate.yaml" -f "$root/manifests/samples/poet.yaml" -f "$root/manifests/samples/tiny-cpu.yaml"
      kubectl delete --ignore-not-found namespace lorikeet-demo
      helm uninstall --ignore-not-found --wait -n lorikeet-system lorikeet
    }
    ;;
  *) fail "CLUSTER=$CLUSTER is not known: local, kind or current" ;;
esac

# in_registry IMAGE: what pods of this cluster call it.
in_registry() { echo "${REGISTRY:+$REGISTRY/}$1"; }
