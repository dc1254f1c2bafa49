# shellcheck shell=bash
# The API server's own files, in /etc/kubernetes/apiserver, which only root may enter.

write_apiserver_files() {
  install -d -m 700 /etc/kubernetes/apiserver
  authentication | write_if_changed /etc/kubernetes/apiserver/authentication.yaml 600 || true
  audit_policy | write_if_changed /etc/kubernetes/apiserver/audit-policy.yaml 600 || true
  # Never a second time: what was written with the first key could not be read again.
  [[ -s /etc/kubernetes/apiserver/encryption.yaml ]] || encryption | write_if_changed /etc/kubernetes/apiserver/encryption.yaml 600
}

authentication() {
  cat <<-'END'
	apiVersion: apiserver.config.k8s.io/v1
	kind: AuthenticationConfiguration
	anonymous:
	  enabled: true
	  conditions:
	    - path: /livez
	    - path: /readyz
	    - path: /healthz
	    - path: /api/v1/namespaces/kube-public/configmaps/cluster-info
	END
}

# secretbox (XSalsa20 and Poly1305) is authenticated and needs no rotation by count; aescbc can be forged, aesgcm wants a new
# key after 200,000 writes. `identity` reads what was written before there was a key. The key never leaves this host.
encryption() {
  cat <<-END
	apiVersion: apiserver.config.k8s.io/v1
	kind: EncryptionConfiguration
	resources:
	  - resources: [secrets]
	    providers:
	      - secretbox: {keys: [{name: key1, secret: $(head -c 32 /dev/urandom | base64)}]}
	      - identity: {}
	END
}

# Who changed what, who read what is secret, who went into a pod: never the content of a Secret, and nothing of what programs
# read all day long. [CIS 3.2.2]
audit_policy() {
  cat <<-'END'
	apiVersion: audit.k8s.io/v1
	kind: Policy
	omitStages: [RequestReceived]
	rules:
	  - level: None
	    nonResourceURLs: [/livez*, /readyz*, /healthz*, /version, /openapi/*]
	  - level: None
	    resources: [{group: "", resources: [events]}, {group: events.k8s.io, resources: [events]}, {group: coordination.k8s.io, resources: [leases]}]
	  - level: Metadata
	    resources:
	      - {group: "", resources: [secrets, serviceaccounts/token, pods/exec, pods/attach, pods/portforward, pods/proxy, services/proxy, nodes/proxy]}
	      - {group: authentication.k8s.io, resources: [tokenreviews]}
	  - level: None
	    verbs: [get, list, watch]
	    userGroups: ["system:nodes", "system:serviceaccounts"]
	  - level: None
	    verbs: [get, list, watch]
	    users: ["system:apiserver", "system:kube-controller-manager", "system:kube-scheduler", "system:kube-proxy"]
	  - level: Request
	    verbs: [create, update, patch, delete]
	    resources: [{group: rbac.authorization.k8s.io}]
	  - level: Metadata
	END
}
