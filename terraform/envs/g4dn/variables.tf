variable "cluster_name" {
  description = "Name of the cluster, in the names and tags of all that is made."
  type        = string
  default     = "lorikeet"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}[a-z0-9]$", var.cluster_name))
    error_message = "cluster_name is '${var.cluster_name}': use 2 to 32 small letters, digits and hyphens, beginning with a letter, for example lorikeet."
  }

  validation {
    condition     = !can(regex("^(aws|ssm)", var.cluster_name))
    error_message = "cluster_name is '${var.cluster_name}', and SSM keeps parameters that begin with aws or ssm for itself: choose another name, for example lorikeet."
  }
}

variable "region" {
  description = "Region of AWS. Change availability_zones with it."
  type        = string
  default     = "eu-central-1"
}

variable "availability_zones" {
  description = "Zones of the region; a host goes into the first that offers its type, the next host into the next."
  type        = list(string)
  default     = ["eu-central-1a", "eu-central-1b"]
}

variable "vpc_cidr" {
  description = "Addresses of the VPC, a /16 to /24 outside of the pods' and the Services' (cluster-setup/versions.sh)."
  type        = string
  default     = "10.20.0.0/16"
}

variable "nat" {
  description = "The hosts' way out: single, per-az or none (see modules/network)."
  type        = string
  default     = "single"
}

variable "endpoints" {
  description = "Whether SSM and ECR are reached by endpoints inside the VPC."
  type        = bool
  default     = false
}

variable "admin_cidrs" {
  description = "Private networks that may call the API server without SSM."
  type        = list(string)
  default     = []
}

variable "flow_log_bucket_arn" {
  description = "ARN of an S3 bucket that receives the VPC's flow logs; none by default."
  type        = string
  default     = null
}

variable "control_plane_type" {
  description = "Instance type of cp1."
  type        = string
  default     = "t3.medium"
}

variable "protect_control_plane" {
  description = "Whether AWS refuses to terminate cp1 until this is false again."
  type        = bool
  default     = false
}

variable "worker_count" {
  description = "How many workers without GPUs, at least 1."
  type        = number
  default     = 1
}

variable "worker_type" {
  description = "Instance type of workers without GPUs."
  type        = string
  default     = "t3.medium"
}

variable "max_workers" {
  description = "The cap on worker_count."
  type        = number
  default     = 10
}

variable "gpu_count" {
  description = "How many GPU workers. 0 ends them, which is how to stop paying for GPUs and keep the cluster."
  type        = number
  default     = 1
}

variable "gpu_type" {
  description = "Instance type of GPU workers."
  type        = string
  default     = "g4dn.xlarge"
}

variable "gpu_spot" {
  description = "Whether GPU workers are spot instances."
  type        = bool
  default     = false
}

variable "max_gpu_workers" {
  description = "The cap on gpu_count."
  type        = number
  default     = 4
}

variable "ubuntu_ami_id" {
  description = "Image of cp1 and workers; by default Canonical's current Ubuntu 24.04."
  type        = string
  default     = null
}

variable "gpu_ami_id" {
  description = "Image of GPU workers; by default AWS's current Deep Learning Base AMI with the open NVIDIA driver, on Ubuntu 24.04."
  type        = string
  default     = null
}

variable "adapter_bucket" {
  description = "Name of a bucket to make for adapters; none by default."
  type        = string
  default     = null
}

variable "host_environment" {
  description = "Further environment variables for cluster-setup on the hosts, for example HTTPS_PROXY. No secrets: user data can be read back."
  type        = map(string)
  default     = {}
}
