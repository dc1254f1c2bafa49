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
  description = "How many GPU workers: gpu1, gpu2, … 0 is legal: it ends the GPU hosts, which cost most, and leaves the cluster."
  type        = number
  default     = 1

  validation {
    condition     = var.node_count >= 0 && floor(var.node_count) == var.node_count
    error_message = "${var.node_count} GPU workers are asked for: write a whole number, 0 for none."
  }

  validation {
    condition     = var.node_count <= var.max_nodes
    error_message = "${var.node_count} GPU workers are over the cap of ${var.max_nodes}: raise the cap if you mean it, each is paid for by the hour, and ask AWS for the vCPUs ('Running On-Demand G and VT instances')."
  }
}

variable "max_nodes" {
  description = "The cap on node_count, against a slip of the finger."
  type        = number
  default     = 4
}

variable "instance_type" {
  description = "Type of the hosts: x86 with NVIDIA GPUs that the open driver of the Deep Learning Base AMI knows (Turing or later)."
  type        = string
  default     = "g4dn.xlarge"

  validation {
    condition     = can(regex("^(g4dn|g5|g6|g6e|gr6|g7|g7e|p4d|p4de|p5|p5e|p5en|p6-b200|p6-b300)\\.([0-9]*xlarge|metal)$", var.instance_type))
    error_message = "instance_type ${var.instance_type} is none with NVIDIA GPUs that the image's driver knows: choose one of the families g4dn, g5, g6, g6e, gr6, g7, g7e, p4d, p4de, p5, p5e, p5en, p6-b200, p6-b300, for example g4dn.xlarge. (g4ad is AMD, g5g is ARM, p3 and older need another driver.)"
  }
}

variable "ami_id" {
  description = "Image of the hosts: Ubuntu 22.04 or 24.04, x86; with NVIDIA's driver in it nothing has to be compiled at the first boot."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets in zones that offer the instance type; hosts are dealt out to them in turn."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) > 0 || var.node_count == 0
    error_message = "No zone of the cluster offers ${var.instance_type} for GPU workers: choose other availability_zones, from 'aws ec2 describe-instance-type-offerings --location-type availability-zone --filters Name=instance-type,Values=${var.instance_type}', or another type."
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
  description = "Size of the root volumes in GiB: the engine's image alone has 20, and models come on top."
  type        = number
  default     = 150

  validation {
    condition     = var.root_gib >= 100
    error_message = "root_gib is ${var.root_gib}: a GPU worker needs 100 GiB at least, for the Deep Learning Base AMI, the engine's image and a model."
  }
}

variable "spot" {
  description = "Whether AWS may take the hosts back at two minutes' notice, for a lower price."
  type        = bool
  default     = false
}
