# GPU workers: which types, how many, and what is refused.

mock_provider "aws" {}

variables {
  cluster           = { name = "birds", region = "eu-central-1", join_parameter = "/birds/join" }
  ami_id            = "ami-0123456789abcdef0"
  subnet_ids        = ["subnet-a", "subnet-b"]
  security_group_id = "sg-1"
  instance_profile  = "birds"
}

run "one_t4_by_default" {
  assert {
    condition     = keys(output.nodes) == ["gpu1"] && var.instance_type == "g4dn.xlarge"
    error_message = "GPU workers: ${join(", ", keys(output.nodes))}"
  }
  assert {
    condition     = strcontains(output.nodes["gpu1"].user_data, "LORIKEET_ROLE='\\''gpu-worker'\\''") && strcontains(output.nodes["gpu1"].user_data, "LORIKEET_NODE='\\''gpu1'\\''")
    error_message = output.nodes["gpu1"].user_data
  }
  assert {
    condition     = !output.nodes["gpu1"].spot
    error_message = "a spot instance that nobody asked for"
  }
}

run "two_spot_hosts_in_two_zones" {
  variables {
    node_count = 2
    spot       = true
  }
  assert {
    condition     = { for name, node in output.nodes : name => [node.subnet_id, node.spot] } == { gpu1 = ["subnet-a", true], gpu2 = ["subnet-b", true] }
    error_message = "GPU workers: ${jsonencode({ for name, node in output.nodes : name => [node.subnet_id, node.spot] })}"
  }
}

run "none_is_legal_even_where_no_zone_has_the_type" {
  variables {
    node_count = 0
    subnet_ids = []
  }
  assert {
    condition     = length(output.nodes) == 0
    error_message = "a host is left"
  }
}

run "accepted_g4dn_metal" {
  command = plan
  variables {
    instance_type = "g4dn.metal"
  }
}

run "accepted_g5_2xlarge" {
  command = plan
  variables {
    instance_type = "g5.2xlarge"
  }
}

run "accepted_g6_xlarge" {
  command = plan
  variables {
    instance_type = "g6.xlarge"
  }
}

run "accepted_g6e_12xlarge" {
  command = plan
  variables {
    instance_type = "g6e.12xlarge"
  }
}

run "accepted_gr6_4xlarge" {
  command = plan
  variables {
    instance_type = "gr6.4xlarge"
  }
}

run "accepted_g7e_2xlarge" {
  command = plan
  variables {
    instance_type = "g7e.2xlarge"
  }
}

run "accepted_p4d_24xlarge" {
  command = plan
  variables {
    instance_type = "p4d.24xlarge"
  }
}

run "accepted_p5_48xlarge" {
  command = plan
  variables {
    instance_type = "p5.48xlarge"
  }
}

run "accepted_p5en_48xlarge" {
  command = plan
  variables {
    instance_type = "p5en.48xlarge"
  }
}

run "accepted_p6_b200_48xlarge" {
  command = plan
  variables {
    instance_type = "p6-b200.48xlarge"
  }
}

run "refused_a_type_without_a_gpu" {
  command         = plan
  expect_failures = [var.instance_type]
  variables {
    instance_type = "t3.medium"
  }
}

run "refused_an_amd_gpu" {
  command         = plan
  expect_failures = [var.instance_type]
  variables {
    instance_type = "g4ad.xlarge"
  }
}

run "refused_an_arm_host" {
  command         = plan
  expect_failures = [var.instance_type]
  variables {
    instance_type = "g5g.xlarge"
  }
}

run "refused_an_arm_host_with_blackwell" {
  command         = plan
  expect_failures = [var.instance_type]
  variables {
    instance_type = "p6e-gb200.36xlarge"
  }
}

run "refused_a_gpu_older_than_the_driver" {
  command         = plan
  expect_failures = [var.instance_type]
  variables {
    instance_type = "p3.2xlarge"
  }
}

run "refused_a_gpu_of_2015" {
  command         = plan
  expect_failures = [var.instance_type]
  variables {
    instance_type = "g3.4xlarge"
  }
}

run "refused_a_family_without_a_size" {
  command         = plan
  expect_failures = [var.instance_type]
  variables {
    instance_type = "g4dn"
  }
}

run "refused_a_size_that_is_none" {
  command         = plan
  expect_failures = [var.instance_type]
  variables {
    instance_type = "g4dn.huge"
  }
}

run "refused_a_type_with_a_newline" {
  command         = plan
  expect_failures = [var.instance_type]
  variables {
    instance_type = "g4dn.xlarge\n"
  }
}

run "refused_no_type" {
  command         = plan
  expect_failures = [var.instance_type]
  variables {
    instance_type = ""
  }
}

run "refused_minus_one" {
  command         = plan
  expect_failures = [var.node_count]
  variables {
    node_count = -1
  }
}

run "refused_half_a_host" {
  command         = plan
  expect_failures = [var.node_count]
  variables {
    node_count = 0.5
  }
}

run "refused_hosts_over_the_cap" {
  command         = plan
  expect_failures = [var.node_count]
  variables {
    node_count = 5
  }
}

run "refused_zones_without_the_type" {
  command         = plan
  expect_failures = [var.subnet_ids]
  variables {
    subnet_ids = []
  }
}

run "refused_a_root_volume_that_the_image_does_not_fit_in" {
  command         = plan
  expect_failures = [var.root_gib]
  variables {
    root_gib = 60
  }
}
