# Workers without GPUs: how many, where, and what is refused.

mock_provider "aws" {}

variables {
  cluster           = { name = "birds", region = "eu-central-1", join_parameter = "/birds/join" }
  ami_id            = "ami-0123456789abcdef0"
  subnet_ids        = ["subnet-a", "subnet-b"]
  security_group_id = "sg-1"
  instance_profile  = "birds"
}

run "one_worker_by_default" {
  assert {
    condition     = keys(output.nodes) == ["worker1"]
    error_message = "workers: ${join(", ", keys(output.nodes))}"
  }
  assert {
    condition     = strcontains(output.nodes["worker1"].user_data, "LORIKEET_ROLE='\\''worker'\\''") && strcontains(output.nodes["worker1"].user_data, "LORIKEET_NODE='\\''worker1'\\''")
    error_message = output.nodes["worker1"].user_data
  }
}

run "three_workers_go_to_two_zones_in_turn" {
  variables {
    node_count = 3
  }
  assert {
    condition     = local.places == { worker1 = 0, worker2 = 1, worker3 = 2 } && keys(output.nodes) == ["worker1", "worker2", "worker3"]
    error_message = "workers: ${jsonencode(local.places)}"
  }
  assert {
    condition     = output.nodes["worker1"].id == run.one_worker_by_default.nodes["worker1"].id
    error_message = "more workers renewed the first"
  }
  assert {
    condition     = { for name, node in output.nodes : name => node.subnet_id } == { worker1 = "subnet-a", worker2 = "subnet-b", worker3 = "subnet-a" }
    error_message = "subnets: ${jsonencode({ for name, node in output.nodes : name => node.subnet_id })}"
  }
}

run "refused_no_workers" {
  command         = plan
  expect_failures = [var.node_count]
  variables {
    node_count = 0
  }
}

run "refused_minus_one_worker" {
  command         = plan
  expect_failures = [var.node_count]
  variables {
    node_count = -1
  }
}

run "refused_half_a_worker" {
  command         = plan
  expect_failures = [var.node_count]
  variables {
    node_count = 1.5
  }
}

run "refused_workers_over_the_cap" {
  command         = plan
  expect_failures = [var.node_count]
  variables {
    node_count = 11
  }
}

run "refused_a_slip_of_the_finger" {
  command         = plan
  expect_failures = [var.node_count]
  variables {
    node_count = 1000000000
  }
}

run "refused_zones_without_the_type" {
  command         = plan
  expect_failures = [var.subnet_ids]
  variables {
    subnet_ids = []
  }
}

run "accepted_workers_over_the_default_cap_when_it_is_raised" {
  command = plan
  variables {
    node_count = 11
    max_nodes  = 11
  }
}
