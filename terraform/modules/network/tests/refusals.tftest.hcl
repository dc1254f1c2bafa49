# What the network refuses. Each message says what to do instead; tests/terraform reads them.

mock_provider "aws" {}

variables {
  name               = "birds"
  region             = "eu-central-1"
  vpc_cidr           = "10.20.0.0/16"
  pod_cidr           = "10.245.0.0/16"
  service_cidr       = "10.96.0.0/16"
  availability_zones = ["eu-central-1a", "eu-central-1b"]
}

run "refused_the_whole_world_as_vpc" {
  command         = plan
  expect_failures = [var.vpc_cidr]
  variables {
    vpc_cidr = "0.0.0.0/0"
  }
}

run "refused_a_30_as_vpc" {
  command         = plan
  expect_failures = [var.vpc_cidr]
  variables {
    vpc_cidr = "10.20.0.0/30"
  }
}

run "refused_a_25_as_vpc" {
  command         = plan
  expect_failures = [var.vpc_cidr]
  variables {
    vpc_cidr = "10.20.0.0/25"
  }
}

run "refused_a_15_as_vpc" {
  command         = plan
  expect_failures = [var.vpc_cidr]
  variables {
    vpc_cidr = "10.20.0.0/15"
  }
}

run "refused_an_address_inside_of_its_network_as_vpc" {
  command         = plan
  expect_failures = [var.vpc_cidr]
  variables {
    vpc_cidr = "10.20.0.1/16"
  }
}

run "refused_ipv6_as_vpc" {
  command         = plan
  expect_failures = [var.vpc_cidr]
  variables {
    vpc_cidr = "fd00::/20"
  }
}

run "refused_words_as_vpc" {
  command         = plan
  expect_failures = [var.vpc_cidr]
  variables {
    vpc_cidr = "private"
  }
}

run "refused_a_vpc_on_the_pods_addresses" {
  command         = plan
  expect_failures = [var.vpc_cidr]
  variables {
    vpc_cidr = "10.245.0.0/16"
  }
}

run "refused_a_vpc_within_the_pods_addresses" {
  command         = plan
  expect_failures = [var.vpc_cidr]
  variables {
    vpc_cidr = "10.245.128.0/24"
  }
}

run "refused_a_vpc_around_the_pods_addresses" {
  command         = plan
  expect_failures = [var.vpc_cidr]
  variables {
    vpc_cidr = "10.245.0.0/16"
    pod_cidr = "10.245.192.0/18"
  }
}

run "refused_a_vpc_within_the_services_addresses" {
  command         = plan
  expect_failures = [var.vpc_cidr]
  variables {
    vpc_cidr = "10.96.4.0/22"
  }
}

run "refused_no_zone" {
  command         = plan
  expect_failures = [var.availability_zones]
  variables {
    availability_zones = []
  }
}

run "refused_a_local_zone" {
  command         = plan
  expect_failures = [var.availability_zones]
  variables {
    availability_zones = ["eu-central-1-ham-1a"]
  }
}

run "refused_a_zone_twice" {
  command         = plan
  expect_failures = [var.availability_zones]
  variables {
    availability_zones = ["eu-central-1a", "eu-central-1a"]
  }
}

run "refused_a_zone_of_another_region" {
  command         = plan
  expect_failures = [var.availability_zones]
  variables {
    availability_zones = ["eu-central-1a", "us-east-1a"]
  }
}

run "refused_a_kind_of_nat_that_is_none" {
  command         = plan
  expect_failures = [var.nat]
  variables {
    nat = "double"
  }
}

run "refused_neither_nat_nor_endpoints" {
  command         = plan
  expect_failures = [var.nat]
  variables {
    nat = "none"
  }
}

run "refused_the_world_as_administrator" {
  command         = plan
  expect_failures = [var.admin_cidrs]
  variables {
    admin_cidrs = ["10.8.0.0/24", "0.0.0.0/0"]
  }
}

run "refused_half_the_world_as_administrator" {
  command         = plan
  expect_failures = [var.admin_cidrs]
  variables {
    admin_cidrs = ["0.0.0.0/1"]
  }
}

run "refused_the_world_in_ipv6_as_administrator" {
  command         = plan
  expect_failures = [var.admin_cidrs]
  variables {
    admin_cidrs = ["::/0"]
  }
}

run "refused_an_administrator_without_a_network" {
  command         = plan
  expect_failures = [var.admin_cidrs]
  variables {
    admin_cidrs = ["10.8.0.1"]
  }
}

run "accepted_a_vpc_right_before_the_pods_addresses" {
  command = plan
  variables {
    vpc_cidr = "10.244.0.0/16"
  }
}

run "accepted_a_vpc_right_after_the_services_addresses" {
  command = plan
  variables {
    vpc_cidr = "10.97.0.0/24"
  }
}
