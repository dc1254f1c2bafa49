# shellcheck shell=bash
# What the rehearsal does in place of some commands of docs/aws.md; the page names these functions beside them.
# shellcheck disable=SC2154  # rehearsal (this folder) and root (the work tree) are set by the script that sources this

# `cloud`: the hosts.
cloud() { "$rehearsal/cloud" "$@"; }

# In place of a Docker engine and ECR: buildah, and the local cluster's registry, which its machines pull from.
rehearsal-images() {
  local lorikeet testing hub
  { read -r lorikeet && read -r testing && read -r hub; } < <(ENGINE=sim "$root/demo/images")
  push "$lorikeet" lorikeet:0.1.0
  push "$testing" lorikeet-testing:0.1.0
  push "$hub" lorikeet-demo-hub:0.1.0
}

push() { STORAGE_DRIVER=overlay buildah push -q --tls-verify=false "$1" "docker://$REGISTRY/$2"; }

# No GPU computes here: the engine simulator takes the engine's place, in a sample that asks for numbered GPUs, and a hub in
# the cluster that of Hugging Face.
# shellcheck disable=SC2034  # docs/aws.md names it
REHEARSAL_VALUES=(
  --set "engineImages.cpu=$REHEARSAL_REGISTRY/lorikeet-testing:0.1.0"
  --set hub.endpoint=http://hub.lorikeet-demo
)

rehearsal-sample() {
  sed "s#HUB_IMAGE#$REGISTRY/lorikeet-demo-hub:0.1.0#" "$root/demo/hub.yaml" | kubectl apply --server-side -f -
  kubectl apply -f "$root/manifests/samples/tiny-cpu.yaml" -f "$root/manifests/samples/pirate.yaml"
}

# After `verify`: the CIS benchmark's questions, of this very cluster.
rehearsal-cis() {
  LORIKEET_CIS="$LORIKEET_CLUSTER $LORIKEET_NETWORK" "$root/.venv/bin/python" -m pytest -c "$root/operator/pyproject.toml" --rootdir "$root" \
    -q -p no:cacheprovider "$root/tests/e2e/test_cis.py"
}
