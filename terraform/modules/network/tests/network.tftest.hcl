# What the network is made of.

mock_provider "aws" {}

variables {
  name               = "birds"
  region             = "eu-central-1"
  vpc_cidr           = "10.20.0.0/16"
  pod_cidr           = "10.245.0.0/16"
  service_cidr       = "10.96.0.0/16"
  availability_zones = ["eu-central-1a", "eu-central-1b"]
}

run "each_zone_has_a_private_and_a_public_subnet" {
  assert {
    condition     = { for zone, subnet in aws_subnet.private : zone => subnet.cidr_block } == { eu-central-1a = "10.20.0.0/20", eu-central-1b = "10.20.16.0/20" }
    error_message = "private subnets: ${jsonencode(aws_subnet.private)}"
  }
  assert {
    condition     = { for zone, subnet in aws_subnet.public : zone => subnet.cidr_block } == { eu-central-1a = "10.20.128.0/20", eu-central-1b = "10.20.144.0/20" }
    error_message = "public subnets: ${jsonencode(aws_subnet.public)}"
  }
  assert {
    condition     = alltrue([for subnet in merge(aws_subnet.private, { for zone, subnet in aws_subnet.public : "public-${zone}" => subnet }) : subnet.map_public_ip_on_launch != true])
    error_message = "a subnet gives public addresses to what is started in it"
  }
  assert {
    condition     = output.private_subnets == { for zone, subnet in aws_subnet.private : zone => subnet.id }
    error_message = "the output names other subnets"
  }
}

run "zones_in_another_order_and_one_more_change_no_subnet_and_no_nat_gateway" {
  variables {
    availability_zones = ["eu-central-1c", "eu-central-1b", "eu-central-1a"]
  }
  assert {
    condition     = alltrue([for zone in ["eu-central-1a", "eu-central-1b"] : aws_subnet.private[zone].id == run.each_zone_has_a_private_and_a_public_subnet.private_subnets[zone] && aws_subnet.public[zone].id == run.each_zone_has_a_private_and_a_public_subnet.public_subnets[zone]])
    error_message = "a subnet was made anew"
  }
  assert {
    condition     = keys(aws_nat_gateway.out) == ["eu-central-1a"] && aws_subnet.private["eu-central-1c"].cidr_block == "10.20.32.0/20"
    error_message = "NAT gateways: ${jsonencode(keys(aws_nat_gateway.out))}"
  }
}

run "a_24_holds_all_zones_that_a_region_can_have" {
  variables {
    vpc_cidr           = "10.20.7.0/24"
    availability_zones = [for letter in ["a", "b", "c", "d", "e", "f", "g", "h"] : "eu-central-1${letter}"]
  }
  assert {
    condition     = concat([for subnet in aws_subnet.private : subnet.cidr_block], [for subnet in aws_subnet.public : subnet.cidr_block]) == [for part in range(16) : "10.20.7.${part * 16}/28"]
    error_message = "the subnets are not the sixteen parts of the network"
  }
}

run "one_nat_gateway_serves_all_zones" {
  assert {
    condition     = keys(aws_nat_gateway.out) == ["eu-central-1a"] && aws_nat_gateway.out["eu-central-1a"].subnet_id == aws_subnet.public["eu-central-1a"].id
    error_message = "NAT gateways: ${jsonencode(aws_nat_gateway.out)}"
  }
  assert {
    condition     = toset(keys(aws_route.out)) == toset(var.availability_zones) && alltrue([for route in aws_route.out : route.nat_gateway_id == aws_nat_gateway.out["eu-central-1a"].id && route.destination_cidr_block == "0.0.0.0/0"])
    error_message = "a private subnet has no way out"
  }
}

run "each_zone_can_have_its_own_nat_gateway" {
  variables {
    nat = "per-az"
  }
  assert {
    condition     = length(aws_nat_gateway.out) == 2 && alltrue([for zone, route in aws_route.out : route.nat_gateway_id == aws_nat_gateway.out[zone].id])
    error_message = "a zone goes out through another"
  }
}

run "without_nat_only_endpoints_lead_out" {
  variables {
    nat       = "none"
    endpoints = true
  }
  assert {
    condition     = length(aws_nat_gateway.out) + length(aws_eip.nat) + length(aws_route.out) == 0
    error_message = "there is a way out"
  }
  assert {
    condition     = toset([for endpoint in aws_vpc_endpoint.service : endpoint.service_name]) == toset([for service in ["ssm", "ssmmessages", "ec2messages", "ecr.api", "ecr.dkr"] : "com.amazonaws.eu-central-1.${service}"])
    error_message = "endpoints: ${jsonencode(keys(aws_vpc_endpoint.service))}"
  }
  assert {
    condition     = alltrue([for endpoint in aws_vpc_endpoint.service : endpoint.private_dns_enabled && endpoint.vpc_endpoint_type == "Interface" && endpoint.subnet_ids == toset([for subnet in aws_subnet.private : subnet.id]) && endpoint.security_group_ids == toset([aws_security_group.endpoints[0].id])])
    error_message = "an endpoint does not answer under the service's own name in each zone"
  }
  assert {
    condition     = { for name, rule in aws_vpc_security_group_ingress_rule.endpoints : rule.referenced_security_group_id => rule.to_port } == { for group in aws_security_group.hosts : group.id => 443 }
    error_message = "not every host may call the endpoints"
  }
}

run "s3_never_goes_through_nat" {
  assert {
    condition     = aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway" && aws_vpc_endpoint.s3.service_name == "com.amazonaws.eu-central-1.s3" && aws_vpc_endpoint.s3.route_table_ids == toset([for table in aws_route_table.private : table.id])
    error_message = "S3's endpoint does not serve the private subnets"
  }
  assert {
    condition     = length(aws_vpc_endpoint.service) == 0
    error_message = "endpoints that cost money are there unasked"
  }
}

run "the_api_server_answers_workers_alone" {
  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.inside : rule.referenced_security_group_id if rule.to_port == 6443 && rule.security_group_id == aws_security_group.hosts["control-plane"].id] == [aws_security_group.hosts["workers"].id]
    error_message = "6443 of the control plane is open to others than workers"
  }
  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.admin) == 0
    error_message = "6443 is open to a network that nobody asked for"
  }
}

run "kubelets_answer_the_control_plane_alone" {
  assert {
    condition     = [for rule in aws_vpc_security_group_ingress_rule.inside : "${rule.security_group_id} ${rule.referenced_security_group_id}" if rule.from_port <= 10250 && rule.to_port >= 10250] == ["${aws_security_group.hosts["workers"].id} ${aws_security_group.hosts["control-plane"].id}"]
    error_message = "10250 is open to others than the control plane"
  }
}

run "nothing_from_outside_reaches_a_host_and_no_other_host_reaches_etcd" {
  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.inside : rule.cidr_ipv4 == null && rule.cidr_ipv6 == null && rule.prefix_list_id == null])
    error_message = "a rule lets addresses in instead of a group"
  }
  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.inside : rule.ip_protocol != "-1" && !(rule.from_port <= 2380 && rule.to_port >= 2379)])
    error_message = "etcd's ports are open"
  }
  assert {
    condition     = length(aws_default_security_group.locked.ingress) + length(aws_default_security_group.locked.egress) == 0
    error_message = "the VPC's default security group lets something through"
  }
}

run "any_two_hosts_share_pods_node_ports_and_icmp" {
  assert {
    condition = alltrue([
      for wanted in setproduct(["udp 4789 4789", "tcp 30000 32767", "icmp -1 -1"], values(aws_security_group.hosts)[*].id, values(aws_security_group.hosts)[*].id) :
      contains([for rule in aws_vpc_security_group_ingress_rule.inside : ["${rule.ip_protocol} ${rule.from_port} ${rule.to_port}", rule.security_group_id, rule.referenced_security_group_id]], wanted)
    ])
    error_message = "two hosts cannot reach each other"
  }
  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.inside) == 2 + 3 * 4
    error_message = "there is a rule that no test knows"
  }
}

run "hosts_call_out_by_http_and_https_alone" {
  assert {
    condition     = toset([for rule in aws_vpc_security_group_egress_rule.world : "${rule.security_group_id} ${rule.ip_protocol} ${rule.from_port} ${rule.to_port} ${rule.cidr_ipv4}"]) == toset(flatten([for group in aws_security_group.hosts : [for port in [80, 443] : "${group.id} tcp ${port} ${port} 0.0.0.0/0"]]))
    error_message = "ways out: ${jsonencode(aws_vpc_security_group_egress_rule.world)}"
  }
  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_egress_rule.inside : rule.cidr_ipv4 == null])
    error_message = "a rule for hosts leads elsewhere"
  }
}

run "administrators_networks_reach_the_api_server_and_nothing_else" {
  variables {
    admin_cidrs = ["10.8.0.0/24", "192.168.0.0/16"]
  }
  assert {
    condition     = { for rule in aws_vpc_security_group_ingress_rule.admin : rule.cidr_ipv4 => "${rule.ip_protocol} ${rule.from_port} ${rule.to_port}" } == { "10.8.0.0/24" = "tcp 6443 6443", "192.168.0.0/16" = "tcp 6443 6443" }
    error_message = "rules for administrators: ${jsonencode(aws_vpc_security_group_ingress_rule.admin)}"
  }
}

run "flow_logs_go_to_the_bucket_that_was_named" {
  variables {
    flow_log_bucket_arn = "arn:aws:s3:::acme-flow-logs"
  }
  assert {
    condition     = aws_flow_log.all[0].log_destination == "arn:aws:s3:::acme-flow-logs" && aws_flow_log.all[0].log_destination_type == "s3" && aws_flow_log.all[0].traffic_type == "ALL"
    error_message = "flow log: ${jsonencode(aws_flow_log.all)}"
  }
}
