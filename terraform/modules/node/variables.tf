variable "cluster" {
  description = "What all hosts of a cluster share: its name, its region, the SSM parameter of the join facts, and further environment variables for cluster-setup (a proxy, say; no secrets, because user data can be read back)."
  type = object({
    name           = string
    region         = string
    join_parameter = string
    environment    = optional(map(string), {})
  })

  validation {
    condition     = alltrue([for key in keys(var.cluster.environment) : can(regex("^[A-Z][A-Z0-9_]*$", key)) && !can(regex("^(LORIKEET_.*|AWS_REGION)$", key))])
    error_message = "cluster.environment has the names ${join(", ", keys(var.cluster.environment))}: use capitals, digits and _, and leave AWS_REGION and LORIKEET_… to this module."
  }
}

variable "name" {
  description = "Name of the host and of its Kubernetes node, for example worker1."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,61}[a-z0-9]$", var.name))
    error_message = "name is '${var.name}': a host is called by 2 to 63 small letters, digits and hyphens, for example worker1."
  }
}

variable "role" {
  description = "What the host becomes: control-plane, worker or gpu-worker."
  type        = string

  validation {
    condition     = contains(["control-plane", "worker", "gpu-worker"], var.role)
    error_message = "role is '${var.role}': choose control-plane, worker or gpu-worker."
  }
}

variable "instance_type" {
  description = "Type of the instance; x86, because the images are."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]*\\.[a-z0-9-]+$", var.instance_type)) && !can(regex("^(a1|[a-z]+[0-9]+g|p6e-gb)", var.instance_type))
    error_message = "instance_type ${var.instance_type} is no x86 type, and the images are x86: choose for example t3.medium."
  }

  validation {
    condition     = !can(regex("\\.(nano|micro)$", var.instance_type))
    error_message = "instance_type ${var.instance_type} has less than the 2 GiB that kubeadm asks for: choose t3.medium or larger."
  }
}

variable "ami_id" {
  description = "Image of the host: Ubuntu 22.04 or 24.04, x86. Another image is used by the next new host; it replaces none."
  type        = string

  validation {
    condition     = can(regex("^ami-[0-9a-f]{8,17}$", var.ami_id))
    error_message = "ami_id is '${var.ami_id}': an image is called like ami-0123456789abcdef0. The image must be of the region."
  }
}

variable "subnet_id" {
  description = "Private subnet of the host. A host stays where it was made."
  type        = string
}

variable "security_group_id" {
  description = "Security group of the host."
  type        = string
}

variable "instance_profile" {
  description = "Instance profile of the host's role."
  type        = string
}

variable "root_gib" {
  description = "Size of the root volume in GiB: system, images, logs, pods' own disks."
  type        = number

  validation {
    condition     = var.root_gib >= 20 && var.root_gib <= 16384 && floor(var.root_gib) == var.root_gib
    error_message = "root_gib is ${var.root_gib}: a root volume has 20 to 16384 whole GiB."
  }
}

variable "spot" {
  description = "Whether AWS may take the host back at two minutes' notice, for a lower price. The next apply makes a new one."
  type        = bool
  default     = false
}

variable "protected" {
  description = "Whether AWS refuses to terminate the host until this is false again."
  type        = bool
  default     = false
}
