# The composition: what a plain apply makes, and that the parts were handed the right things.

mock_provider "aws" {
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::acme-adapters" }
  }
}

override_data {
  target = data.aws_ec2_instance_type_offerings.zones["t3.medium"]
  values = { locations = ["eu-central-1a", "eu-central-1b", "eu-central-1c"] }
}

override_data {
  target = data.aws_ec2_instance_type_offerings.zones["g4dn.xlarge"]
  values = { locations = ["eu-central-1b", "eu-central-1c"] }
}

override_data {
  target = data.aws_ssm_parameter.ubuntu[0]
  values = { insecure_value = "ami-00000000000000001" }
}

override_data {
  target = data.aws_ssm_parameter.gpu[0]
  values = { insecure_value = "ami-00000000000000002" }
}

run "three_hosts_with_the_names_of_their_nodes" {
  assert {
    condition     = keys(output.instance_ids) == ["cp1", "gpu1", "worker1"] && keys(output.private_ips) == ["cp1", "gpu1", "worker1"]
    error_message = "hosts: ${join(", ", keys(output.instance_ids))}"
  }
  assert {
    condition     = { for name, node in local.nodes : name => [node.instance_type, node.ami_id] } == { cp1 = ["t3.medium", "ami-00000000000000001"], worker1 = ["t3.medium", "ami-00000000000000001"], gpu1 = ["g4dn.xlarge", "ami-00000000000000002"] }
    error_message = jsonencode({ for name, node in local.nodes : name => [node.instance_type, node.ami_id] })
  }
}

run "images_come_from_canonical_and_aws" {
  assert {
    condition     = data.aws_ssm_parameter.ubuntu[0].name == "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id" && data.aws_ssm_parameter.gpu[0].name == "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
    error_message = "the images are looked up elsewhere"
  }
}

run "a_host_goes_where_its_type_is_offered" {
  assert {
    condition     = local.nodes["gpu1"].subnet_id == module.network.private_subnets["eu-central-1b"] && local.nodes["worker1"].subnet_id == module.network.private_subnets["eu-central-1a"]
    error_message = "gpu1 is in a zone without g4dn.xlarge"
  }
}

run "pods_and_services_are_those_of_cluster_setup" {
  assert {
    condition     = length(regexall("(?m)^POD_SUBNET=${local.pod_cidr}$", file("../../../cluster-setup/versions.sh"))) == 1 && length(regexall("(?m)^SERVICE_SUBNET=${local.service_cidr}$", file("../../../cluster-setup/versions.sh"))) == 1
    error_message = "${local.pod_cidr} ${local.service_cidr}"
  }
}

run "the_next_commands_name_this_cluster" {
  variables {
    cluster_name = "birds"
    region       = "eu-central-1"
  }
  assert {
    condition     = alltrue([for words in ["--target ${output.instance_ids["cp1"]} ", "--region eu-central-1 ", "birds.kubeconfig", "localPortNumber=6443", "; cp1, gpu1, worker1 should"] : strcontains(output.next_commands, words)])
    error_message = output.next_commands
  }
  assert {
    condition     = strcontains(local.nodes["cp1"].user_data, "LORIKEET_JOIN_PARAMETER='\\''/birds/join'\\''")
    error_message = "cp1 writes another parameter"
  }
}

run "own_images_need_no_lookup" {
  variables {
    ubuntu_ami_id = "ami-0123456789abcdef0"
    gpu_ami_id    = "ami-0fedcba9876543210"
  }
  command = plan
  assert {
    condition     = length(data.aws_ssm_parameter.ubuntu) + length(data.aws_ssm_parameter.gpu) == 0 && local.ubuntu_ami_id == "ami-0123456789abcdef0" && local.gpu_ami_id == "ami-0fedcba9876543210"
    error_message = "images: ${local.ubuntu_ami_id}, ${local.gpu_ami_id}"
  }
}

run "a_bucket_for_adapters_when_asked" {
  variables {
    adapter_bucket = "acme-adapters"
  }
  assert {
    condition     = startswith(output.adapter_uri, "s3://") && module.iam.roles["worker"] == "lorikeet-worker" && module.adapter_store[0].readers == ["lorikeet-worker"]
    error_message = "adapters: ${output.adapter_uri}"
  }
}

run "no_gpu_hosts_and_two_workers" {
  variables {
    gpu_count    = 0
    worker_count = 2
  }
  assert {
    condition     = keys(output.instance_ids) == ["cp1", "worker1", "worker2"] && output.adapter_uri == null
    error_message = "hosts: ${join(", ", keys(output.instance_ids))}"
  }
}

run "refused_a_name_with_a_quote" {
  command         = plan
  expect_failures = [var.cluster_name]
  variables {
    cluster_name = "bird's"
  }
}

run "refused_a_name_with_a_newline" {
  command         = plan
  expect_failures = [var.cluster_name]
  variables {
    cluster_name = "birds\nrm"
  }
}

run "refused_a_name_that_runs_a_command" {
  command         = plan
  expect_failures = [var.cluster_name]
  variables {
    cluster_name = "$(reboot)"
  }
}

run "refused_a_name_in_capitals" {
  command         = plan
  expect_failures = [var.cluster_name]
  variables {
    cluster_name = "Birds"
  }
}

run "refused_a_name_of_33" {
  command         = plan
  expect_failures = [var.cluster_name]
  variables {
    cluster_name = "birds-of-a-feather-flock-together"
  }
}

run "refused_an_empty_name" {
  command         = plan
  expect_failures = [var.cluster_name]
  variables {
    cluster_name = ""
  }
}

run "refused_a_name_that_ssm_keeps" {
  command         = plan
  expect_failures = [var.cluster_name]
  variables {
    cluster_name = "aws-birds"
  }
}
