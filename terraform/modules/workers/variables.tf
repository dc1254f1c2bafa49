variable "cluster" {
  description = "What all hosts of a cluster share; see modules/node."
  type = object({
    name           = string
    region         = string
    join_parameter = string
    environment    = optional(map(string), {})
  })
}

variable "node_count" {
  description = "How many workers: worker1, worker2, … At least one, because the operator and the gateway run there."
  type        = number
  default     = 1

  validation {
    condition     = var.node_count >= 1 && floor(var.node_count) == var.node_count
    error_message = "${var.node_count} workers are asked for: at least one whole worker is needed, because the operator and the gateway run there."
  }

  validation {
    condition     = var.node_count <= var.max_nodes
    error_message = "${var.node_count} workers are over the cap of ${var.max_nodes}: raise the cap if you mean it, each is paid for by the hour."
  }
}

variable "max_nodes" {
  description = "The cap on node_count, against a slip of the finger."
  type        = number
  default     = 10
}

variable "instance_type" {
  description = "Type of the hosts, x86."
  type        = string
  default     = "t3.medium"
}

variable "ami_id" {
  description = "Image of the hosts: Ubuntu 22.04 or 24.04, x86."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets in zones that offer the instance type; hosts are dealt out to them in turn."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "No zone of the cluster offers ${var.instance_type} for workers: choose other availability_zones, from 'aws ec2 describe-instance-type-offerings --location-type availability-zone --filters Name=instance-type,Values=${var.instance_type}', or another type."
  }
}

variable "security_group_id" {
  description = "Security group of workers."
  type        = string
}

variable "instance_profile" {
  description = "Instance profile that may read the join parameter."
  type        = string
}

variable "root_gib" {
  description = "Size of the root volumes in GiB."
  type        = number
  default     = 40
}
