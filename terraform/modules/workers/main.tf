# Workers without GPUs: worker1, worker2, …

locals {
  places = { for place in range(var.node_count) : "worker${place + 1}" => place }
}

module "node" {
  source   = "../node"
  for_each = local.places

  cluster           = var.cluster
  name              = each.key
  role              = "worker"
  instance_type     = var.instance_type
  ami_id            = var.ami_id
  subnet_id         = element(var.subnet_ids, each.value)
  security_group_id = var.security_group_id
  instance_profile  = var.instance_profile
  root_gib          = var.root_gib
}
