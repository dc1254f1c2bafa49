# shellcheck shell=bash
# What `verify` asks of the cluster without starting anything. A cluster that has just begun gets its time.

verify_cluster() {
  check_within 150 "every node is Ready" "'kubectl describe node' says why one is not" nodes_ready
  check_within 90 "kube-proxy runs on every node" "look at 'kubectl -n kube-system get pods -l k8s-app=kube-proxy'" rolled_out daemonset/kube-proxy
  [[ $CNI == bridge ]] || check_within 300 "the network's agents run on every node" "look at 'kubectl -n kube-system get pods -l k8s-app=calico-node'" rolled_out daemonset/calico-node
  check_within 120 "CoreDNS runs" "look at 'kubectl -n kube-system describe pods -l k8s-app=kube-dns'" rolled_out deployment/coredns
  check_within 30 "$HOST reaches the address of the Service kubernetes" "does kube-proxy write its rules? look at its log" service_answers
  check "Secrets are encrypted in etcd" "was the API server started with --encryption-provider-config? see /etc/kubernetes/manifests/kube-apiserver.yaml" encrypts
  check "the API server keeps an audit log" "look at /var/log/kubernetes/audit, and at --audit-log-path of the API server" test -s /var/log/kubernetes/audit/audit.log
}

nodes_ready() { admin wait --for=condition=Ready node --all --timeout=1s; }

rolled_out() { admin -n kube-system rollout status "$1" --timeout=1s; }

# The API server's certificate holds its Service's address as well; that it answers there needs kube-proxy's rules.
service_answers() { admin --server "https://$(admin get service kubernetes -o jsonpath='{.spec.clusterIP}')" get --raw=/version; }

# The API server itself counts what it encrypted, and with which provider. (grep -q would close the pipe, which is an error.)
encrypts() { admin get --raw=/metrics | grep '^apiserver_storage_transformation_operations_total{.*transformer_prefix="k8s:enc:secretbox:'; }
