# Who may speak to whom. Two groups of hosts, every rule by reference to a group. etcd has no rule at all: its only client
# and its only member are on one host, and what stays on a host meets no security group.

locals {
  # Between any two hosts.
  everywhere = {
    vxlan      = { protocol = "udp", from = 4789, to = 4789, why = "Pods to pods, wrapped by Calico" }
    node-ports = { protocol = "tcp", from = 30000, to = 32767, why = "NodePort Services" }
    icmp       = { protocol = "icmp", from = -1, to = -1, why = "Path MTU discovery and ping" }
  }
  pairs = { for pair in setproduct(keys(aws_security_group.hosts), keys(aws_security_group.hosts)) : "${pair[0]}-from-${pair[1]}" => pair }

  ingress = merge(
    {
      api     = { into = "control-plane", of = "workers", protocol = "tcp", from = 6443, to = 6443, why = "Kubelets and pods call the API server" }
      kubelet = { into = "workers", of = "control-plane", protocol = "tcp", from = 10250, to = 10250, why = "The API server asks kubelets for logs and shells" }
    },
    merge([for name, rule in local.everywhere : { for key, pair in local.pairs : "${name}-${key}" => merge(rule, { into = pair[0], of = pair[1] }) }]...),
  )
}

resource "aws_security_group" "hosts" {
  #checkov:skip=CKV2_AWS_5:The modules that make the hosts attach them.
  for_each = {
    control-plane = "The control plane's host"
    workers       = "Workers with and without GPUs"
  }

  name        = "${var.name}-${each.key}"
  description = each.value
  vpc_id      = aws_vpc.cluster.id
  tags        = { Name = "${var.name}-${each.key}" }
}

resource "aws_vpc_security_group_ingress_rule" "inside" {
  for_each = local.ingress

  security_group_id            = aws_security_group.hosts[each.value.into].id
  referenced_security_group_id = aws_security_group.hosts[each.value.of].id
  ip_protocol                  = each.value.protocol
  from_port                    = each.value.from
  to_port                      = each.value.to
  description                  = "${each.value.why}, from ${each.value.of}"
  tags                         = { Name = each.key }
}

resource "aws_vpc_security_group_ingress_rule" "admin" {
  for_each = toset(var.admin_cidrs)

  security_group_id = aws_security_group.hosts["control-plane"].id
  cidr_ipv4         = each.key
  ip_protocol       = "tcp"
  from_port         = 6443
  to_port           = 6443
  description       = "Administrators call the API server"
  tags              = { Name = "api-from-admins" }
}

resource "aws_vpc_security_group_egress_rule" "inside" {
  for_each = local.pairs

  security_group_id            = aws_security_group.hosts[each.value[0]].id
  referenced_security_group_id = aws_security_group.hosts[each.value[1]].id
  ip_protocol                  = "-1"
  description                  = "To ${each.value[1]}, whose own rules decide"
  tags                         = { Name = "to-${each.value[1]}" }
}

# Packages come by HTTP, all else by HTTPS. DNS and time need no rule: no security group filters Amazon's own of either.
resource "aws_vpc_security_group_egress_rule" "world" {
  for_each = { for pair in setproduct(keys(aws_security_group.hosts), [80, 443]) : "${pair[0]}-${pair[1]}" => { group = pair[0], port = pair[1] } }

  security_group_id = aws_security_group.hosts[each.value.group].id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = each.value.port
  to_port           = each.value.port
  description       = "Packages, images, models and AWS"
  tags              = { Name = "to-world-${each.value.port}" }
}
