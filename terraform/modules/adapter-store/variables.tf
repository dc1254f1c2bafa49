variable "bucket" {
  description = "Name of the bucket, unique in the whole of AWS."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "bucket is '${var.bucket}': a bucket is called by 3 to 63 small letters, digits and hyphens, for example acme-adapters."
  }
}

variable "reader_roles" {
  description = "Names of the roles that may read the adapters, by a name that is known before they are made."
  type        = map(string)
}
