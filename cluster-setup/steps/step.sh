# shellcheck shell=bash
# What every step begins with: the versions, the seam, and loudness.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../say.sh
source "$here/../say.sh"
# shellcheck source-path=SCRIPTDIR source=../versions.sh
source "$here/../versions.sh"
[[ -n ${SOURCES:-} || ! -f /var/lib/lorikeet/sources ]] || SOURCES=$(</var/lib/lorikeet/sources) # aws/node remembered it
export SOURCES=${SOURCES:-$here/../sources/local.sh}
[[ -f $SOURCES ]] || fail "there is no $SOURCES: set SOURCES to the file for this kind of host, such as cluster-setup/sources/ubuntu.sh"
# shellcheck source-path=SCRIPTDIR source=../sources/local.sh
source "$SOURCES"

export HOST
HOST=$(hostname)
[[ $EUID -eq 0 ]] || fail "$(basename "$0") has to run as root"

# Steps write to the cluster with the administrator's rights, which only a control plane has.
admin() { kubectl --kubeconfig /etc/kubernetes/admin.conf "$@"; }

# write_if_changed FILE [MODE]: standard input becomes FILE, whole or not at all; true if that changed it.
write_if_changed() {
  local wanted
  wanted=$(cat)
  [[ ! -f $1 || $(<"$1") != "$wanted" ]] || return 1
  mkdir -p "$(dirname "$1")"
  install -m "${2:-644}" /dev/null "$1.part"
  printf '%s\n' "$wanted" >"$1.part"
  mv "$1.part" "$1"
}

# version_at_least VERSION WANTED: 1.17.8 is at least 1.17.8-rc.1 (for sort a "~" comes before nothing, a "-" after).
version_at_least() {
  local have=${1#v} want=${2#v}
  [[ $(printf '%s\n' "${want/-rc/~rc}" "${have/-rc/~rc}" | sort -V | head -n 1) == "${want/-rc/~rc}" ]]
}
