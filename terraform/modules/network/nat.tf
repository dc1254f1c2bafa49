# How the private subnets reach the world.

locals {
  first_zone = sort(var.availability_zones)[0]
  nat_zones  = { none = [], single = [local.first_zone], per-az = var.availability_zones }[var.nat]
}

resource "aws_eip" "nat" {
  for_each = toset(local.nat_zones)

  domain     = "vpc"
  tags       = { Name = "${var.name}-nat-${each.key}" }
  depends_on = [aws_internet_gateway.world]
}

resource "aws_nat_gateway" "out" {
  for_each = aws_eip.nat

  allocation_id = each.value.id
  subnet_id     = aws_subnet.public[each.key].id
  tags          = { Name = "${var.name}-${each.key}" }
}

resource "aws_route" "out" {
  for_each = var.nat == "none" ? {} : local.zones

  route_table_id         = aws_route_table.private[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.out[var.nat == "per-az" ? each.key : local.first_zone].id
}
