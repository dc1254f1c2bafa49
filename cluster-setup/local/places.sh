# shellcheck shell=bash
# shellcheck disable=SC2034  # read by the scripts that source this file
# Names, addresses and folders of the local cluster. LORIKEET_CLUSTER and LORIKEET_NETWORK make a second one beside the first.

CACHE=${LORIKEET_CACHE:-$HOME/.cache/lorikeet}
BIN=$CACHE/bin
IMAGES=$CACHE/images

CLUSTER=${LORIKEET_CLUSTER:-lorikeet}  # at most 8 characters: it begins the names of network links, which have 15
NETWORK=${LORIKEET_NETWORK:-10.202.0}  # the /24 between the machines; the host is .1 in it
STATE=$CACHE/cluster
[[ $CLUSTER == lorikeet ]] || STATE=$CACHE/cluster-$CLUSTER
MACHINES=$STATE/machines
KUBECONFIG_FILE=$STATE/kubeconfig
BRIDGE=${CLUSTER}0
REGISTRY_ADDRESS=$NETWORK.1:5000

export PATH=$BIN:$PATH:/usr/sbin:/sbin

# host_name MACHINE: what its cgroup is called on the host. link_name MACHINE: its end of the wire, at most 15 characters.
host_name() { echo "$CLUSTER-$1"; }
link_name() { echo "$CLUSTER-${1/worker/w}"; }

# address_of MACHINE: cp1 is .11, gpu1 is .21, gpu2 is .22, worker1 is .41, …
address_of() {
  case $1 in
    cp*) echo "$NETWORK.$((10 + ${1#cp}))" ;;
    gpu*) echo "$NETWORK.$((20 + ${1#gpu}))" ;;
    worker*) echo "$NETWORK.$((40 + ${1#worker}))" ;;
    *) return 1 ;;
  esac
}

# Machines that have a disk, be it only one with images of an erased cluster.
machine_disks() { find "$MACHINES" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' 2>/dev/null | sort; }

# Machines of the cluster, running or not.
known_machines() {
  local machine
  for machine in $(machine_disks); do [[ -e $MACHINES/$machine/erased ]] || echo "$machine"; done
}

known_workers() { known_machines | grep -v '^cp' || true; }
known_gpu_workers() { known_machines | grep '^gpu' || true; }

# alone SCRIPT ARGUMENT…: runs SCRIPT again, holding this cluster's lock, unless a script above it does so already. --close:
# the lock is held by flock itself, not by what the script leaves running.
alone() {
  [[ $EUID -eq 0 ]] || fail "machines are made of namespaces: run as root"
  [[ ${LORIKEET_LOCKED:-} != "$CLUSTER" ]] || return 0
  mkdir -p "$STATE"
  LORIKEET_LOCKED=$CLUSTER exec flock --close --wait 900 "$STATE/lock" "$@"
}

# pid_of MACHINE: the host's id of the machine's process 1; fails if it does not run. The id alone proves nothing (it may have
# been given to another process since), so the process must also sit in the machine's control group.
pid_of() {
  local pid=''
  [[ ! -s $MACHINES/$1/pid ]] || pid=$(<"$MACHINES/$1/pid")
  [[ -n $pid ]] && grep -qE ":/$(host_name "$1")(/|$)" "/proc/$pid/cgroup" 2>/dev/null || return 1
  echo "$pid"
}
