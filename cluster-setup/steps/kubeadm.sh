# shellcheck shell=bash
# shellcheck disable=SC2154  # versions and settings come from versions.sh and the seam
# What kubeadm is told: printed, so that it can be read before it is written. Each setting that is not kubeadm's own default
# has its reason beside it; numbers in brackets are those of the CIS Kubernetes Benchmark 1.12.

# [1.2.29, 4.2.12] Suites that keep past traffic secret and authenticate what they encrypt; TLS 1.3 has no others.
TLS_SUITES=(TLS_ECDHE_{ECDSA,RSA}_WITH_{AES_128_GCM_SHA256,AES_256_GCM_SHA384,CHACHA20_POLY1305_SHA256})

# control_plane_config ADDRESS
control_plane_config() {
  cat <<END
apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
localAPIEndpoint: {advertiseAddress: $1}
$(node_registration)
---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: $KUBERNETES_VERSION
networking: {podSubnet: $POD_SUBNET, serviceSubnet: $SERVICE_SUBNET}
$KUBEADM_IMAGE_TAGS
apiServer:
  certSANs: [127.0.0.1, localhost] # the other end of a port forward
  extraArgs:
    # [1.2.1] Nobody is served without a name, but for the three paths of probes and the one that a joining host starts from.
    - {name: authentication-config, value: /etc/kubernetes/apiserver/authentication.yaml}
    # [1.2.16-19, 3.2.1] Who changed what: a month of it, at most a gigabyte.
    - {name: audit-policy-file, value: /etc/kubernetes/apiserver/audit-policy.yaml}
    - {name: audit-log-path, value: /var/log/kubernetes/audit/audit.log}
    - {name: audit-log-maxage, value: "30"}
    - {name: audit-log-maxbackup, value: "10"}
    - {name: audit-log-maxsize, value: "100"}
    # [1.2.27-28] Who reads etcd's disk or a backup of it reads no Secret.
    - {name: encryption-provider-config, value: /etc/kubernetes/apiserver/encryption.yaml}
    # [1.2.15] Profiles tell of requests, and cost time.
    - {name: profiling, value: "false"}
    # [1.2.20] The default, said aloud: a list of ten thousand objects takes seconds, nothing takes a minute.
    - {name: request-timeout, value: 60s}
    # [1.2.30] A token that leaked is worth an hour, not a year; the kubelet renews it in time.
    - {name: service-account-extend-token-expiration, value: "false"}
    # [1.2.3, 1.2.14] A kubelet changes its own node and pods only, and nobody claims a foreign address by a Service.
    - {name: enable-admission-plugins, value: "NodeRestriction,DenyServiceExternalIPs"}
    - {name: tls-min-version, value: VersionTLS12}
    - {name: tls-cipher-suites, value: "$(comma_separated "${TLS_SUITES[@]}")"}
  extraVolumes:
    - {name: settings, hostPath: /etc/kubernetes/apiserver, mountPath: /etc/kubernetes/apiserver, readOnly: true, pathType: Directory}
    - {name: audit-log, hostPath: /var/log/kubernetes/audit, mountPath: /var/log/kubernetes/audit, pathType: DirectoryOrCreate}
controllerManager:
  extraArgs:
    - {name: profiling, value: "false"} # [1.3.2]
    - {name: terminated-pod-gc-threshold, value: "500"} # [1.3.1] the default of 12500 dead pods is for clusters of thousands of nodes
scheduler:
  extraArgs:
    - {name: profiling, value: "false"} # [1.4.1]
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
$(kubelet_settings)
$KUBELET_SETTINGS
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
$KUBE_PROXY_SETTINGS
END
}

# worker_config ENDPOINT TOKEN CA_HASH. The time limits: with a token that has expired, give up soon and ask for another.
worker_config() {
  cat <<END
apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
discovery:
  bootstrapToken: {apiServerEndpoint: "$1", token: "$2", caCertHashes: ["$3"]}
timeouts: {discovery: 1m0s, tlsBootstrap: 2m0s}
$(node_registration)
END
}

# What holds on every node: kubeadm keeps it in the cluster and gives it to hosts that join.
kubelet_settings() {
  cat <<END
rotateCertificates: true # [4.2.10] its client certificate ends after a year
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}} # [4.2.1]
authorization: {mode: Webhook} # [4.2.2]
readOnlyPort: 0 # [4.2.4] that port asks nobody's name
streamingConnectionIdleTimeout: 30m # [4.2.5] an exec or port forward that nobody uses ends
protectKernelDefaults: true # install-k8s sets the kernel's values; a kubelet that finds others does not start
makeIPTablesUtilChains: true # [4.2.6]
eventRecordQPS: 50 # [4.2.8] enough to miss nothing, and no flood
podPidsLimit: 16384 # [4.2.13] a pod that forks without end harms itself alone; an engine has hundreds of threads
seccompDefault: true # [4.2.14] pods that say nothing get the runtime's filter
tlsMinVersion: VersionTLS12
tlsCipherSuites: [$(comma_separated "${TLS_SUITES[@]}")]
END
}

# node_registration: NODE_LABELS and NODE_TAINTS (arrays, the taints as KEY=VALUE:EFFECT) and KUBELET_FLAGS (NAME=VALUE …)
# are this node's own. No taint said means kubeadm's own choice: one for a control plane, none for a worker.
node_registration() {
  local flag taint rest
  echo 'nodeRegistration:'
  echo '  criSocket: unix:///run/containerd/containerd.sock'
  echo '  imagePullPolicy: IfNotPresent'
  [[ ${#NODE_TAINTS[@]} -eq 0 ]] || echo '  taints:'
  for taint in "${NODE_TAINTS[@]}"; do
    rest=${taint#*=}
    echo "    - {key: \"${taint%%=*}\", value: \"${rest%:*}\", effect: \"${rest##*:}\"}"
  done
  [[ ${#NODE_LABELS[@]} -gt 0 || -n ${KUBELET_FLAGS:-} ]] || return 0
  echo '  kubeletExtraArgs:'
  [[ ${#NODE_LABELS[@]} -eq 0 ]] || echo "    - {name: node-labels, value: \"$(comma_separated "${NODE_LABELS[@]}")\"}"
  for flag in ${KUBELET_FLAGS:-}; do echo "    - {name: \"${flag%%=*}\", value: \"${flag#*=}\"}"; done
}

# [4.1.9] kubeadm leaves it open for all to read.
close_files() { chmod 600 /var/lib/kubelet/config.yaml; }

comma_separated() {
  local IFS=,
  echo "$*"
}

NODE_LABELS=()
NODE_TAINTS=()
