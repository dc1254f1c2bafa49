# shellcheck shell=bash
# What every step begins with: the versions, the seam, and loudness.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../say.sh
source "$here/../say.sh"
# shellcheck source-path=SCRIPTDIR source=../versions.sh
source "$here/../versions.sh"
# shellcheck source-path=SCRIPTDIR source=../sources/local.sh
source "${SOURCES:-$here/../sources/local.sh}"

export HOST
HOST=$(hostname)
[[ $EUID -eq 0 ]] || fail "$(basename "$0") has to run as root"

# Steps write to the cluster with the administrator's rights, which only a control plane has.
admin() { kubectl --kubeconfig /etc/kubernetes/admin.conf "$@"; }

# write_if_changed FILE: standard input becomes FILE; true if that changed it.
write_if_changed() {
  local wanted
  wanted=$(cat)
  [[ ! -f $1 || $(<"$1") != "$wanted" ]] || return 1
  mkdir -p "$(dirname "$1")"
  printf '%s\n' "$wanted" >"$1"
}
