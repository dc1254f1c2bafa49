variable "cluster" {
  description = "What all hosts of a cluster share; see modules/node."
  type = object({
    name           = string
    region         = string
    join_parameter = string
    environment    = optional(map(string), {})
  })
}

variable "instance_type" {
  description = "Type of the host: x86, at least 2 vCPU and 2 GiB."
  type        = string
  default     = "t3.medium"
}

variable "ami_id" {
  description = "Image of the host: Ubuntu 22.04 or 24.04, x86."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets in zones that offer the instance type; the host goes into the first."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "No zone of the cluster offers ${var.instance_type} for the control plane: choose other availability_zones, from 'aws ec2 describe-instance-type-offerings --location-type availability-zone --filters Name=instance-type,Values=${var.instance_type}', or another type."
  }
}

variable "security_group_id" {
  description = "Security group of the control plane."
  type        = string
}

variable "instance_profile" {
  description = "Instance profile that may write the join parameter."
  type        = string
}

variable "root_gib" {
  description = "Size of the root volume in GiB; etcd is on it."
  type        = number
  default     = 40
}

variable "protected" {
  description = "Whether AWS refuses to terminate the host, and with it the cluster's only etcd, until this is false again."
  type        = bool
  default     = false
}
