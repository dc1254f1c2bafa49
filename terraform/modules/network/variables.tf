variable "name" {
  description = "The cluster's name; every resource here is called after it."
  type        = string
}

variable "region" {
  description = "The provider's region, which is part of the endpoints' service names."
  type        = string
}

variable "vpc_cidr" {
  description = "Addresses of the VPC, a /16 to /24. Pods and Services have addresses of their own, outside of it."
  type        = string

  validation {
    condition     = can(cidrnetmask(var.vpc_cidr)) && try(cidrsubnet(var.vpc_cidr, 0, 0) == var.vpc_cidr, false)
    error_message = "vpc_cidr is '${var.vpc_cidr}', which is no IPv4 network: write its first address and its length, for example 10.20.0.0/16."
  }

  validation {
    condition     = try(tonumber(split("/", var.vpc_cidr)[1]) >= 16 && tonumber(split("/", var.vpc_cidr)[1]) <= 24, false)
    error_message = "vpc_cidr is ${var.vpc_cidr}: a VPC of AWS takes no more than a /16, and its subnets need a /24 at least. Choose one between, for example 10.20.0.0/16."
  }

  # Two networks overlap where the longer one, cut to the length of the shorter one, is the shorter one. What is no network
  # at all is refused above.
  validation {
    condition = try(alltrue([
      for other in [var.pod_cidr, var.service_cidr] :
      cidrsubnet("${split("/", var.vpc_cidr)[0]}/${min(split("/", var.vpc_cidr)[1], split("/", other)[1])}", 0, 0) !=
      cidrsubnet("${split("/", other)[0]}/${min(split("/", var.vpc_cidr)[1], split("/", other)[1])}", 0, 0)
    ]), true)
    error_message = "vpc_cidr ${var.vpc_cidr} overlaps the cluster's pods (${var.pod_cidr}) or Services (${var.service_cidr}), so that hosts and pods would share addresses: choose a vpc_cidr outside of both, for example 10.20.0.0/16."
  }
}

variable "pod_cidr" {
  description = "Addresses of the pods (POD_SUBNET in cluster-setup/versions.sh)."
  type        = string
}

variable "service_cidr" {
  description = "Addresses of the Services (SERVICE_SUBNET in cluster-setup/versions.sh)."
  type        = string
}

variable "availability_zones" {
  description = "Zones of the region, each with a private and a public subnet. Their order is that in which hosts are dealt out."
  type        = list(string)

  validation {
    condition     = length(var.availability_zones) >= 1 && length(distinct(var.availability_zones)) == length(var.availability_zones)
    error_message = "availability_zones is [${join(", ", var.availability_zones)}]: name at least one zone of ${var.region}, each once."
  }

  validation {
    condition     = alltrue([for zone in var.availability_zones : can(regex("^${var.region}[a-h]$", zone))])
    error_message = "availability_zones is [${join(", ", var.availability_zones)}], and not all of these are zones of ${var.region}: list them with 'aws ec2 describe-availability-zones --region ${var.region}'."
  }
}

variable "nat" {
  description = "The hosts' way out: one NAT gateway for all zones (single), one in each (per-az, which survives the loss of a zone), or none. Without one the images must already hold every package that cluster-setup installs."
  type        = string
  default     = "single"

  validation {
    condition     = contains(["single", "per-az", "none"], var.nat)
    error_message = "nat is '${var.nat}': choose single, per-az or none."
  }

  validation {
    condition     = var.nat != "none" || var.endpoints
    error_message = "nat is none and endpoints is false, so no host could reach SSM or ECR: set endpoints = true, or nat = \"single\"."
  }
}

variable "endpoints" {
  description = "Whether SSM and ECR are reached by endpoints inside the VPC, which are paid for by the hour and the zone. S3 always has its endpoint, which is free."
  type        = bool
  default     = false
}

variable "admin_cidrs" {
  description = "Private networks (a VPN, a peered VPC) that may call the API server. By default none: SSM forwards a port to it."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.admin_cidrs : can(cidrnetmask(cidr))])
    error_message = "admin_cidrs (${join(", ", var.admin_cidrs)}) are not all IPv4 networks: write them like 10.8.0.0/24."
  }

  validation {
    condition     = alltrue([for cidr in var.admin_cidrs : try(tonumber(split("/", cidr)[1]) >= 8, true)])
    error_message = "admin_cidrs (${join(", ", var.admin_cidrs)}) open the API server to the world or a large part of it (wider than /8): name your own network, or none and let SSM forward a port."
  }
}

variable "flow_log_bucket_arn" {
  description = "ARN of an S3 bucket that receives the VPC's flow logs. They are paid for by the GB, so by default there are none."
  type        = string
  default     = null
}
