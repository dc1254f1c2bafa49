# shellcheck shell=bash
# shellcheck disable=SC2154  # settings come from the seam
# What `verify` asks by pods of its own, in a namespace that goes when it ends: do pods reach each other, a Service and names;
# do they get GPUs; and, where the chart is installed, do its tests pass.

probes=lorikeet-verify

verify_pods() {
  trap 'admin delete namespace --ignore-not-found --wait=false "$probes" >/dev/null' EXIT
  # What a run that was cut short left, or one that has just ended is still deleting.
  admin delete namespace --ignore-not-found --timeout=120s "$probes" >/dev/null
  probe_objects | admin apply -f - >/dev/null
  check_within 180 "a pod starts on every worker" "look at 'kubectl -n $probes describe pods'; the namespace goes when this ends" probes_run
  verify_network
  verify_gpus
  verify_chart
}

probe_objects() {
  cat <<-END
	apiVersion: v1
	kind: Namespace
	metadata: {name: $probes}
	---
	apiVersion: apps/v1
	kind: DaemonSet
	metadata: {name: probe, namespace: $probes}
	spec:
	  selector: {matchLabels: {app: probe}}
	  template:
	    metadata: {labels: {app: probe}}
	    spec:
	      automountServiceAccountToken: false
	      terminationGracePeriodSeconds: 0
	      tolerations: [{key: nvidia.com/gpu, operator: Exists}]
	      containers:
	        - name: probe
	          image: $PROBE_IMAGE
	          imagePullPolicy: IfNotPresent
	          command: $PROBE_SERVER
	          readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
	          resources: {requests: {cpu: 1m, memory: 16Mi}}
	---
	apiVersion: v1
	kind: Service
	metadata: {name: probe, namespace: $probes}
	spec:
	  selector: {app: probe}
	  ports: [{port: 80, targetPort: 8080}]
	END
}

probes_run() { admin -n "$probes" rollout status daemonset/probe --timeout=1s; }

# From each probe to every other pod, to a Service, to a name.
verify_network() {
  local pod node address target at
  while read -r pod node address; do
    while read -r target at; do
      [[ $target == "$address:8080" ]] || check_connection "$pod" "a pod on $node reaches one on $at" "$target"
    done < <(targets)
    check_connection "$pod" "a pod on $node reaches a Service by its address" "$(admin -n "$probes" get service probe -o jsonpath='{.spec.clusterIP}'):80"
    check_connection "$pod" "a pod on $node reaches a Service by its name" "probe.$probes.svc.cluster.local:80"
  done < <(pods_of "$probes" app=probe)
}

# CoreDNS often is where no probe is: on the control plane.
targets() {
  pods_of "$probes" app=probe | awk '{ print $3 ":8080", $2 }'
  pods_of kube-system k8s-app=kube-dns | awk '{ print $3 ":53", $2 }'
}

# pods_of NAMESPACE LABEL: name, node and address of each that runs.
pods_of() {
  admin -n "$1" get pods -l "$2" --field-selector status.phase=Running \
    -o jsonpath='{range .items[*]}{.metadata.name} {.spec.nodeName} {.status.podIP}{"\n"}{end}'
}

# check_connection POD WHAT HOST:PORT. One packet may be lost; two are not.
check_connection() {
  check_within 10 "$2 ($3)" "compare 'ip route' of the nodes, the network's agents, and what a firewall between the hosts lets through" \
    admin -n "$probes" exec "$1" -- "${PROBE_CONNECT[@]}" "$3"
}

verify_gpus() {
  local node
  for node in $(admin get nodes -l nvidia.com/gpu.present=true -o jsonpath='{.items[*].metadata.name}'); do
    check_within 150 "$node advertises GPUs" "look at 'kubectl -n kube-system logs -l app.kubernetes.io/name=device-plugin', and run verify on $node" has_gpus "$node"
    ! has_gpus "$node" || verify_gpu_pod "$node"
  done
}

has_gpus() { [[ $(admin get node "$1" -o jsonpath='{.status.allocatable.nvidia\.com/gpu}') =~ ^[1-9] ]]; }

verify_gpu_pod() {
  gpu_pod "$1" | admin apply -f - >/dev/null
  wait_for 300 "a pod with a GPU on $1" gpu_pod_is_settled "$1" || true
  if gpu_pod_waits "$1"; then
    skip "$1: a pod that computes on a GPU" "other pods have all its GPUs"
  else
    check "$1: a pod that asks for a GPU gets one and uses it" "look at 'kubectl -n kube-system logs -l app.kubernetes.io/name=device-plugin'; the pod says: $(admin -n "$probes" logs "gpu-$1" 2>&1 | tail -n 1)" gpu_pod_is_content "$1"
  fi
}

gpu_pod() {
  cat <<-END
	apiVersion: v1
	kind: Pod
	metadata: {name: gpu-$1, namespace: $probes}
	spec:
	  restartPolicy: Never
	  automountServiceAccountToken: false
	  nodeSelector: {kubernetes.io/hostname: $1}
	  tolerations: [{key: nvidia.com/gpu, operator: Exists}]
	  containers:
	    - name: gpu
	      image: $GPU_PROBE_IMAGE
	      imagePullPolicy: IfNotPresent
	      command: $GPU_PROBE_COMMAND
	      resources: {limits: {nvidia.com/gpu: 1}}
	END
}

gpu_pod_says() { admin -n "$probes" get pod "gpu-$1" -o jsonpath="$2"; }

gpu_pod_is_settled() { [[ $(gpu_pod_says "$1" '{.status.phase}') =~ Succeeded|Failed ]] || gpu_pod_waits "$1"; }

gpu_pod_waits() { [[ $(gpu_pod_says "$1" '{.status.conditions[?(@.type=="PodScheduled")].message}') == *'Insufficient nvidia.com/gpu'* ]]; }

gpu_pod_is_content() {
  [[ $(gpu_pod_says "$1" '{.status.phase}') == Succeeded ]] && admin -n "$probes" logs "gpu-$1" | grep "$GPU_PROBE_SAYS"
}

# helm keeps a release as a Secret with these labels.
verify_chart() {
  local namespace
  namespace=$(admin get secrets -A -l owner=helm,name=lorikeet,status=deployed -o jsonpath='{.items[0].metadata.namespace}' 2>/dev/null) || true
  if [[ -z $namespace ]]; then
    skip "the chart's tests" "there is no release 'lorikeet'"
  elif ! command -v helm >/dev/null; then
    skip "the chart's tests" "no helm on this host: run 'helm test lorikeet --namespace $namespace' where there is one"
  else
    check "the chart's tests pass" "run 'helm test lorikeet --namespace $namespace --logs'" \
      helm --kubeconfig /etc/kubernetes/admin.conf test lorikeet --namespace "$namespace" --timeout 3m
  fi
}
