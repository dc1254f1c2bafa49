output "bucket" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.adapters.id
}

output "uri" {
  description = "What an adapter's source begins with."
  value       = "s3://${aws_s3_bucket.adapters.id}/"
}

output "readers" {
  description = "Names of the roles that may read."
  value       = [for policy in aws_iam_role_policy.read : policy.role]
}
