terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }

  # The rest comes from backend.hcl: see terraform/backend.hcl.example.
  backend "s3" {}
}

provider "aws" {
  region = var.region

  default_tags {
    tags = { Project = "lorikeet", Cluster = var.cluster_name, ManagedBy = "terraform" }
  }
}
