# The control plane: one host and the join parameter.

mock_provider "aws" {}

variables {
  cluster           = { name = "birds", region = "eu-central-1", join_parameter = "/birds/join" }
  ami_id            = "ami-0123456789abcdef0"
  subnet_ids        = ["subnet-a", "subnet-b"]
  security_group_id = "sg-1"
  instance_profile  = "birds"
}

run "the_host_is_cp1_in_the_first_zone" {
  assert {
    condition     = keys(output.nodes) == ["cp1"] && output.nodes.cp1.subnet_id == "subnet-a"
    error_message = "control plane: ${jsonencode(output.nodes)}"
  }
  assert {
    condition     = strcontains(output.nodes.cp1.user_data, "LORIKEET_ROLE='\\''control-plane'\\''") && strcontains(output.nodes.cp1.user_data, "LORIKEET_JOIN_PARAMETER='\\''/birds/join'\\''")
    error_message = output.nodes.cp1.user_data
  }
}

run "the_join_parameter_is_secret_and_its_value_not_in_the_state" {
  assert {
    condition     = aws_ssm_parameter.join.name == "/birds/join" && aws_ssm_parameter.join.type == "SecureString"
    error_message = "join parameter: ${aws_ssm_parameter.join.name} ${aws_ssm_parameter.join.type}"
  }
  assert {
    condition     = aws_ssm_parameter.join.value_wo == null && aws_ssm_parameter.join.value_wo_version == 1
    error_message = "the value is kept"
  }
}

run "refused_zones_without_the_type" {
  command         = plan
  expect_failures = [var.subnet_ids]
  variables {
    subnet_ids = []
  }
}
