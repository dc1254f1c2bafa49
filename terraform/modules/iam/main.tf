# What the hosts may do in AWS: be reached by SSM, pull images from ECR, and hand over the join parameter.

data "aws_partition" "here" {}

data "aws_caller_identity" "here" {}

locals {
  join_arn = "arn:${data.aws_partition.here.partition}:ssm:${var.region}:${data.aws_caller_identity.here.account_id}:parameter${var.join_parameter}"

  # role → what it does with the join parameter
  roles = {
    control-plane = ["ssm:PutParameter", "ssm:GetParameter"]
    worker        = ["ssm:GetParameter"]
  }
  managed = ["AmazonSSMManagedInstanceCore", "AmazonEC2ContainerRegistryPullOnly"]
}

resource "aws_iam_role" "host" {
  for_each = local.roles

  name        = "${var.name}-${each.key}"
  description = "Hosts of the Kubernetes cluster ${var.name}: ${each.key}"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ec2.amazonaws.com" } }]
  })
}

resource "aws_iam_instance_profile" "host" {
  for_each = aws_iam_role.host

  name = each.value.name
  role = each.value.name
}

# AmazonSSMManagedInstanceCore lets a host read every parameter of the account, other clusters' and other people's secrets
# among them; the second statement takes that back.
resource "aws_iam_role_policy" "join" {
  for_each = local.roles

  name = "join-parameter"
  role = aws_iam_role.host[each.key].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Sid = "OwnParameter", Effect = "Allow", Action = each.value, Resource = local.join_arn },
      { Sid = "NoOther", Effect = "Deny", Action = ["ssm:GetParameter", "ssm:GetParameters"], NotResource = local.join_arn },
    ]
  })
}

# Managed, because the actions in them know no narrower resource.
resource "aws_iam_role_policy_attachment" "managed" {
  for_each = { for pair in setproduct(keys(local.roles), local.managed) : "${pair[0]}-${pair[1]}" => { role = pair[0], policy = pair[1] } }

  role       = aws_iam_role.host[each.value.role].name
  policy_arn = "arn:${data.aws_partition.here.partition}:iam::aws:policy/${each.value.policy}"
}
