variable "name" {
  description = "The cluster's name; roles are called after it."
  type        = string
}

variable "region" {
  description = "The region of the join parameter."
  type        = string
}

variable "join_parameter" {
  description = "Name of the SSM parameter through which workers learn how to join; begins with a slash."
  type        = string

  validation {
    condition     = can(regex("^(/[A-Za-z0-9_.-]+)+$", var.join_parameter))
    error_message = "join_parameter is '${var.join_parameter}': an SSM path of letters, digits and . _ - is needed, for example /lorikeet/join."
  }
}
