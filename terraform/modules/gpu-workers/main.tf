# Workers with NVIDIA GPUs: gpu1, gpu2, …

locals {
  # A count that was refused must not add an error of its own here.
  places = { for number in range(1, max(0, floor(var.node_count)) + 1) : "gpu${number}" => number - 1 }
}

module "node" {
  source   = "../node"
  for_each = local.places

  cluster           = var.cluster
  name              = each.key
  role              = "gpu-worker"
  instance_type     = var.instance_type
  ami_id            = var.ami_id
  subnet_id         = element(var.subnet_ids, each.value)
  security_group_id = var.security_group_id
  instance_profile  = var.instance_profile
  root_gib          = var.root_gib
  spot              = var.spot
}
