# shellcheck shell=bash
# A machine's control groups on the host: one folder per hierarchy, named by host_name. cgroup v1 has a hierarchy per
# controller, v2 one for all. In v2 a group with processes may not hand controllers on to children, and the kubelet hands
# them on from the machine's root: so there the machine's own processes live in a child, `init`.

cgroup_roots() {
  local roots
  roots=$(awk '$3 == "cgroup" { print $2 }' /proc/mounts)
  [[ -n $roots ]] || roots=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
  echo "$roots"
}

is_v2() { [[ -e $1/cgroup.controllers ]]; }

create_cgroups() {
  local root name file
  name=$(host_name "$1")
  for root in $(cgroup_roots); do
    mkdir -p "$root/$name"
    if is_v2 "$root"; then
      mkdir -p "$root/$name/init"
    elif [[ -e $root/cpuset.cpus ]]; then
      # A new cpuset is empty, and an empty one takes no process.
      for file in cpuset.cpus cpuset.mems; do cat "$root/$file" >"$root/$name/$file"; done
    fi
  done
}

# join_cgroups MACHINE [top]: moves this shell. Children follow, so: before unshare or nsenter, never after.
# `top`: the machine's root itself, which is what `unshare --cgroup` makes the root of the new namespace.
join_cgroups() {
  local root group
  for root in $(cgroup_roots); do
    group=$root/$(host_name "$1")
    ! is_v2 "$root" || [[ ${2:-} == top ]] || group+=/init
    echo $BASHPID >"$group/cgroup.procs"
  done
}

remove_cgroups() {
  local root name
  name=$(host_name "$1")
  for root in $(cgroup_roots); do
    [[ ! -d $root/$name ]] || find "$root/$name" -depth -type d -exec rmdir {} + 2>/dev/null || return 1
  done
}
