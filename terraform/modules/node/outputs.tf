output "id" {
  description = "Instance ID."
  value       = aws_instance.host.id
}

output "private_ip" {
  description = "Address in the VPC."
  value       = aws_instance.host.private_ip
}

output "instance_type" {
  description = "Type of the instance."
  value       = aws_instance.host.instance_type
}

output "ami_id" {
  description = "The image that the host was made from."
  value       = aws_instance.host.ami
}

output "subnet_id" {
  description = "The subnet that the host is in."
  value       = aws_instance.host.subnet_id
}

output "spot" {
  description = "Whether AWS may take the host back."
  value       = length(aws_instance.host.instance_market_options) > 0
}

output "user_data" {
  description = "The script that a new host of this name runs, readable."
  value       = local.script
}
