variable "region" {
  description = "Region of AWS that keeps the state."
  type        = string
  default     = "eu-central-1"
}

variable "bucket" {
  description = "Name of the state bucket, unique in the whole of AWS; by default lorikeet-state-ACCOUNT-REGION."
  type        = string
  default     = null

  validation {
    condition     = var.bucket == null || can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "bucket is '${coalesce(var.bucket, "null")}': a bucket is called by 3 to 63 small letters, digits and hyphens, for example acme-lorikeet-state."
  }
}
