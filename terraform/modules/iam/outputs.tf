output "roles" {
  description = "Names of the roles: control-plane, worker."
  value       = { for name, role in aws_iam_role.host : name => role.name }
}

output "instance_profiles" {
  description = "Instance profiles of the roles, with their policies attached: control-plane, worker."
  value       = { for name, profile in aws_iam_instance_profile.host : name => profile.name }
  depends_on  = [aws_iam_role_policy.join, aws_iam_role_policy_attachment.managed]
}
