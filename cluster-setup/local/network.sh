# shellcheck shell=bash
# The wires: one bridge, and from it a link into each machine's network namespace; the host is everybody's gateway.

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

# plug_in MACHINE HOST_PID: run in a new network namespace: gives it eth0 with the machine's address, whose other end goes to
# the bridge in HOST_PID's namespace. The namespace needs no clean-up: it ends with the last process in the machine.
plug_in() {
  local name
  name=$(link_name "$1")
  ip link add eth0 type veth peer name "$name" netns "$2"
  nsenter --target "$2" --net ip link set "$name" master "$BRIDGE" up
  ip link set lo up
  ip address add "$(address_of "$1")/24" dev eth0
  ip link set eth0 up
  ip route add default via "$NETWORK.1"
}

# route_pods NODE=SUBNET…: what a cloud's route table does: every machine learns where each pod subnet lives.
route_pods() {
  local entry machine
  for machine in $(known_machines); do
    for entry in "$@"; do
      [[ $machine == "${entry%%=*}" ]] || nsenter --target "$(pid_of "$machine")" --net \
        ip route replace "${entry#*=}" via "$(address_of "${entry%%=*}")"
    done
  done
}
