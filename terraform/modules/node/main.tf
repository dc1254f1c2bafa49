# One host. It finds cluster-setup and its own facts in its user data and makes itself a node of the cluster.

resource "aws_instance" "host" {
  #checkov:skip=CKV_AWS_126:One-minute metrics cost money for each host; the cluster's own metrics are finer.
  ami                     = var.ami_id
  instance_type           = var.instance_type
  subnet_id               = var.subnet_id
  vpc_security_group_ids  = [var.security_group_id]
  iam_instance_profile    = var.instance_profile
  user_data_base64        = local.user_data
  ebs_optimized           = true
  disable_api_termination = var.protected

  # No key pair: sessions go through SSM. No public address, whatever the subnet says.
  associate_public_ip_address = false

  # IMDSv2 alone, and one hop: a pod of the pod network cannot take the host's role.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  root_block_device {
    volume_type = "gp3"
    volume_size = var.root_gib
    encrypted   = true
    tags        = { Name = "${var.cluster.name}-${var.name}", Cluster = var.cluster.name }
  }

  dynamic "instance_market_options" {
    for_each = var.spot ? ["spot"] : []

    content {
      market_type = instance_market_options.value
    }
  }

  tags = { Name = "${var.cluster.name}-${var.name}", Node = var.name, Role = var.role }

  lifecycle {
    # A new image, changed scripts or another list of zones are for hosts to come: `terraform apply -replace` renews one.
    ignore_changes = [ami, user_data_base64, subnet_id]

    precondition {
      condition     = local.user_data_bytes <= 16384
      error_message = "The user data of ${var.name} has ${local.user_data_bytes} bytes and EC2 takes 16384: shorten cluster.environment, or what modules/node/user-data.tf takes from cluster-setup."
    }
  }
}
