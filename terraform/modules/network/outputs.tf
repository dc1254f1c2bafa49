# A host begins to install the moment it boots, so what names a subnet or a group also waits for what makes it useful.

output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.cluster.id
}

output "private_subnets" {
  description = "Zone → private subnet, ready for hosts: routes and endpoints are there."
  value       = { for zone, subnet in aws_subnet.private : zone => subnet.id }
  depends_on = [
    aws_route.out, aws_route.world, aws_route_table_association.private, aws_route_table_association.public,
    aws_vpc_endpoint.s3, aws_vpc_endpoint.service, aws_vpc_security_group_ingress_rule.endpoints,
  ]
}

output "public_subnets" {
  description = "Zone → public subnet."
  value       = { for zone, subnet in aws_subnet.public : zone => subnet.id }
}

output "security_groups" {
  description = "Security groups of the hosts, with their rules: control-plane, workers."
  value       = { for name, group in aws_security_group.hosts : name => group.id }
  depends_on = [
    aws_vpc_security_group_ingress_rule.inside, aws_vpc_security_group_ingress_rule.admin,
    aws_vpc_security_group_egress_rule.inside, aws_vpc_security_group_egress_rule.world,
  ]
}
