# What is asked of AWS before anything is made: images, and which zones have which types.

data "aws_ssm_parameter" "ubuntu" {
  count = var.ubuntu_ami_id == null ? 1 : 0

  name = "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"
}

data "aws_ssm_parameter" "gpu" {
  count = var.gpu_ami_id == null ? 1 : 0

  name = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
}

data "aws_ec2_instance_type_offerings" "zones" {
  for_each = toset([var.control_plane_type, var.worker_type, var.gpu_type])

  location_type = "availability-zone"

  filter {
    name   = "instance-type"
    values = [each.key]
  }
}

locals {
  ubuntu_ami_id = try(data.aws_ssm_parameter.ubuntu[0].insecure_value, var.ubuntu_ami_id)
  gpu_ami_id    = try(data.aws_ssm_parameter.gpu[0].insecure_value, var.gpu_ami_id)

  # type → private subnets in zones that have it: not every zone of a region has every type.
  subnet_ids = {
    for type, offered in data.aws_ec2_instance_type_offerings.zones :
    type => [for zone in var.availability_zones : module.network.private_subnets[zone] if contains(offered.locations, zone)]
  }
}
