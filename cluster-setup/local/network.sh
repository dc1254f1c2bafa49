# shellcheck shell=bash
# The wires: one bridge, a network namespace and a link per machine, the host as everybody's gateway.

bridge_up() {
  ip link show "$BRIDGE" >/dev/null 2>&1 && return
  ip link add "$BRIDGE" type bridge
  ip address add "$NETWORK.1/24" dev "$BRIDGE"
  ip link set "$BRIDGE" up
  # The way out, for pods that download: the host forwards and lends its address. What was is put back by bridge_down.
  mkdir -p "$STATE"
  cat /proc/sys/net/ipv4/ip_forward >"$STATE/ip_forward.before"
  echo 1 >/proc/sys/net/ipv4/ip_forward
  nft -f - <<-END
	table ip $CLUSTER {
	  chain postrouting {
	    type nat hook postrouting priority 100
	    ip saddr $NETWORK.0/24 oifname != "$BRIDGE" masquerade
	  }
	}
	END
}

bridge_down() {
  nft delete table ip "$CLUSTER" 2>/dev/null || true
  ip link delete "$BRIDGE" 2>/dev/null || true
  [[ ! -f $STATE/ip_forward.before ]] || cat "$STATE/ip_forward.before" >/proc/sys/net/ipv4/ip_forward
  rm -f "$STATE/ip_forward.before"
}

# plug_in MACHINE: its namespace, and in it eth0 with its address.
plug_in() {
  local name
  name=$(host_name "$1")
  ip netns add "$name"
  ip link add "$name" type veth peer name eth0 netns "$name"
  ip link set "$name" master "$BRIDGE" up
  ip -n "$name" link set lo up
  ip -n "$name" address add "$(address_of "$1")/24" dev eth0
  ip -n "$name" link set eth0 up
  ip -n "$name" route add default via "$NETWORK.1"
}

unplug() {
  local name
  name=$(host_name "$1")
  ip link delete "$name" 2>/dev/null || true
  ip netns delete "$name" 2>/dev/null || true
}

# route_pods NODE=SUBNET…: what a cloud's route table does: every machine learns where each pod subnet lives.
route_pods() {
  local entry machine
  for entry in "$@"; do
    for machine in $(known_machines); do
      [[ $machine == "${entry%%=*}" ]] || ip -n "$(host_name "$machine")" route replace "${entry#*=}" via "$(address_of "${entry%%=*}")"
    done
  done
}
