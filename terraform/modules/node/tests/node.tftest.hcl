# One host: what is locked, what it carries, and what is refused.

mock_provider "aws" {}

variables {
  cluster           = { name = "birds", region = "eu-central-1", join_parameter = "/birds/join" }
  name              = "worker1"
  role              = "worker"
  instance_type     = "t3.medium"
  ami_id            = "ami-0123456789abcdef0"
  subnet_id         = "subnet-1"
  security_group_id = "sg-1"
  instance_profile  = "birds-worker"
  root_gib          = 50
}

run "its_metadata_needs_a_token_and_ends_at_the_host" {
  assert {
    condition     = aws_instance.host.metadata_options[0].http_tokens == "required" && aws_instance.host.metadata_options[0].http_endpoint == "enabled" && aws_instance.host.metadata_options[0].http_put_response_hop_limit == 1
    error_message = "metadata options: ${jsonencode(aws_instance.host.metadata_options)}"
  }
}

run "it_has_no_key_no_public_address_and_an_encrypted_disk" {
  assert {
    condition     = !aws_instance.host.associate_public_ip_address && aws_instance.host.ebs_optimized && !aws_instance.host.disable_api_termination
    error_message = "instance: ${jsonencode(aws_instance.host)}"
  }
  assert {
    condition     = aws_instance.host.root_block_device[0].encrypted && aws_instance.host.root_block_device[0].volume_type == "gp3" && aws_instance.host.root_block_device[0].volume_size == 50
    error_message = "root volume: ${jsonencode(aws_instance.host.root_block_device)}"
  }
  assert {
    condition     = aws_instance.host.tags == tomap({ Name = "birds-worker1", Node = "worker1", Role = "worker" })
    error_message = "tags: ${jsonencode(aws_instance.host.tags)}"
  }
  assert {
    condition     = length(aws_instance.host.instance_market_options) == 0
    error_message = "a spot instance that nobody asked for"
  }
}

run "it_is_spot_or_protected_when_asked" {
  variables {
    spot      = true
    protected = true
  }
  assert {
    condition     = aws_instance.host.instance_market_options[0].market_type == "spot" && aws_instance.host.disable_api_termination
    error_message = "market: ${jsonencode(aws_instance.host.instance_market_options)}"
  }
}

run "a_new_image_other_scripts_and_another_zone_leave_the_host_alone" {
  variables {
    ami_id    = "ami-0fedcba9876543210"
    subnet_id = "subnet-2"
    cluster   = { name = "birds", region = "eu-central-1", join_parameter = "/birds/join", environment = { NO_PROXY = "10.0.0.0/8" } }
  }
  assert {
    condition     = aws_instance.host.id == run.it_is_spot_or_protected_when_asked.id && aws_instance.host.ami == "ami-0123456789abcdef0" && aws_instance.host.subnet_id == "subnet-1"
    error_message = "the host was renewed"
  }
}

run "its_user_data_is_the_script_gzipped" {
  assert {
    condition     = local.user_data == base64gzip(output.user_data) && startswith(output.user_data, "#!/bin/bash\n")
    error_message = "the user data is something else"
  }
  assert {
    condition     = alltrue([for file in ["versions.sh", "say.sh", "steps/install-k8s", "steps/join"] : strcontains(output.user_data, "'/opt/lorikeet/cluster-setup/${file}' ")])
    error_message = "a file is missing"
  }
  assert {
    condition     = alltrue([for file in ["sources/local.sh", "manifests/device-plugin.yaml", "steps/init-control-plane"] : !strcontains(output.user_data, "'/opt/lorikeet/cluster-setup/${file}' ")])
    error_message = "a worker carries what is for others"
  }
}

run "quotes_and_newlines_reach_the_host_as_they_are" {
  variables {
    cluster = { name = "birds", region = "eu-central-1", join_parameter = "/birds/join", environment = { ODD = "it's\n\"two\" $(lines) `of` \\ $HOME" } }
  }
  assert {
    condition     = strcontains(local.node_env, "ODD='it'\\''s\n\"two\" $(lines) `of` \\ $HOME'\n")
    error_message = local.node_env
  }
}

run "refused_user_data_that_ec2_does_not_take" {
  command         = plan
  expect_failures = [aws_instance.host]
  variables {
    # Hashes, because what repeats itself would be gzipped away.
    cluster = { name = "birds", region = "eu-central-1", join_parameter = "/birds/join", environment = { LONG = join("", [for number in range(400) : sha512(number)]) } }
  }
}

run "refused_an_arm_type" {
  command         = plan
  expect_failures = [var.instance_type]
  variables {
    instance_type = "t4g.medium"
  }
}

run "refused_another_arm_type" {
  command         = plan
  expect_failures = [var.instance_type]
  variables {
    instance_type = "m7gd.large"
  }
}

run "refused_the_first_arm_type" {
  command         = plan
  expect_failures = [var.instance_type]
  variables {
    instance_type = "a1.large"
  }
}

run "refused_a_type_without_a_size" {
  command         = plan
  expect_failures = [var.instance_type]
  variables {
    instance_type = "t3"
  }
}

run "refused_a_type_too_small_for_kubeadm" {
  command         = plan
  expect_failures = [var.instance_type]
  variables {
    instance_type = "t3.micro"
  }
}

run "refused_an_image_that_is_none" {
  command         = plan
  expect_failures = [var.ami_id]
  variables {
    ami_id = "ubuntu-24.04"
  }
}

run "refused_a_root_volume_of_half_a_gib" {
  command         = plan
  expect_failures = [var.root_gib]
  variables {
    root_gib = 50.5
  }
}

run "refused_a_root_volume_that_nothing_fits_in" {
  command         = plan
  expect_failures = [var.root_gib]
  variables {
    root_gib = 8
  }
}

run "refused_a_role_that_is_none" {
  command         = plan
  expect_failures = [var.role]
  variables {
    role = "master"
  }
}

run "refused_a_name_with_a_newline" {
  command         = plan
  expect_failures = [var.name]
  variables {
    name = "worker1\nrm"
  }
}

run "refused_a_name_with_a_quote" {
  command         = plan
  expect_failures = [var.name]
  variables {
    name = "worker'1"
  }
}

run "refused_a_variable_that_is_no_name" {
  command         = plan
  expect_failures = [var.cluster]
  variables {
    cluster = { name = "birds", region = "eu-central-1", join_parameter = "/birds/join", environment = { "A B" = "x" } }
  }
}

run "refused_a_variable_with_a_newline_in_its_name" {
  command         = plan
  expect_failures = [var.cluster]
  variables {
    cluster = { name = "birds", region = "eu-central-1", join_parameter = "/birds/join", environment = { "A\nB" = "x" } }
  }
}

run "refused_a_variable_of_ours" {
  command         = plan
  expect_failures = [var.cluster]
  variables {
    cluster = { name = "birds", region = "eu-central-1", join_parameter = "/birds/join", environment = { "LORIKEET_ROLE" = "x" } }
  }
}

run "refused_the_region_from_outside" {
  command         = plan
  expect_failures = [var.cluster]
  variables {
    cluster = { name = "birds", region = "eu-central-1", join_parameter = "/birds/join", environment = { "AWS_REGION" = "x" } }
  }
}
