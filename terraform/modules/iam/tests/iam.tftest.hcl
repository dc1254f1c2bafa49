# What the hosts may do. tests/terraform walks every document of a plan for wildcards.

mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }
}

variables {
  name           = "birds"
  region         = "eu-central-1"
  join_parameter = "/birds/join"
}

run "the_control_plane_writes_its_join_parameter_and_workers_read_it" {
  assert {
    condition     = { for role, policy in aws_iam_role_policy.join : role => { for statement in jsondecode(policy.policy).Statement : statement.Resource => statement.Action if statement.Effect == "Allow" } } == { control-plane = { "arn:aws:ssm:eu-central-1:111122223333:parameter/birds/join" = ["ssm:PutParameter", "ssm:GetParameter"] }, worker = { "arn:aws:ssm:eu-central-1:111122223333:parameter/birds/join" = ["ssm:GetParameter"] } }
    error_message = "policies: ${jsonencode(aws_iam_role_policy.join)}"
  }
}

run "no_role_reads_another_parameter_though_the_managed_policy_allows_it" {
  assert {
    condition     = alltrue([for policy in aws_iam_role_policy.join : [for statement in jsondecode(policy.policy).Statement : [statement.NotResource, statement.Action] if statement.Effect == "Deny"] == [["arn:aws:ssm:eu-central-1:111122223333:parameter/birds/join", ["ssm:GetParameter", "ssm:GetParameters"]]]])
    error_message = "policies: ${jsonencode(aws_iam_role_policy.join)}"
  }
}

run "roles_are_for_instances_alone" {
  assert {
    condition     = alltrue([for role in aws_iam_role.host : jsondecode(role.assume_role_policy).Statement == [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ec2.amazonaws.com" } }]])
    error_message = "roles: ${jsonencode(aws_iam_role.host)}"
  }
  assert {
    condition     = output.instance_profiles == { control-plane = "birds-control-plane", worker = "birds-worker" } && output.roles == output.instance_profiles
    error_message = "profiles: ${jsonencode(output.instance_profiles)}"
  }
}

run "roles_have_the_two_managed_policies_and_no_other" {
  assert {
    condition = toset([for attachment in aws_iam_role_policy_attachment.managed : "${attachment.role} ${attachment.policy_arn}"]) == toset(flatten([
      for role in ["birds-control-plane", "birds-worker"] : ["${role} arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore", "${role} arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryPullOnly"]
    ]))
    error_message = "attachments: ${jsonencode(aws_iam_role_policy_attachment.managed)}"
  }
}

run "arns_are_of_the_accounts_own_partition" {
  override_data {
    target = data.aws_partition.here
    values = { partition = "aws-cn" }
  }
  assert {
    condition     = alltrue([for attachment in aws_iam_role_policy_attachment.managed : startswith(attachment.policy_arn, "arn:aws-cn:iam::aws:")]) && alltrue([for policy in aws_iam_role_policy.join : strcontains(policy.policy, "arn:aws-cn:ssm:")])
    error_message = "an ARN is of another partition"
  }
}

run "refused_a_parameter_pattern" {
  command         = plan
  expect_failures = [var.join_parameter]
  variables {
    join_parameter = "/birds/*"
  }
}

run "refused_a_parameter_without_a_path" {
  command         = plan
  expect_failures = [var.join_parameter]
  variables {
    join_parameter = "join"
  }
}
