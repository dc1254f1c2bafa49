# The g4dn footprint: one control plane, one worker, one GPU worker, in private subnets of a VPC of their own.

locals {
  # What kubeadm will be told, from where it will be told.
  versions     = file("${path.module}/../../../cluster-setup/versions.sh")
  pod_cidr     = regex("(?m)^POD_SUBNET=(\\S+)", local.versions)[0]
  service_cidr = regex("(?m)^SERVICE_SUBNET=(\\S+)", local.versions)[0]

  cluster = {
    name           = var.cluster_name
    region         = var.region
    join_parameter = "/${var.cluster_name}/join"
    environment    = var.host_environment
  }
}

module "network" {
  source = "../../modules/network"

  name                = var.cluster_name
  region              = var.region
  vpc_cidr            = var.vpc_cidr
  pod_cidr            = local.pod_cidr
  service_cidr        = local.service_cidr
  availability_zones  = var.availability_zones
  nat                 = var.nat
  endpoints           = var.endpoints
  admin_cidrs         = var.admin_cidrs
  flow_log_bucket_arn = var.flow_log_bucket_arn
}

module "iam" {
  source = "../../modules/iam"

  name           = var.cluster_name
  region         = var.region
  join_parameter = local.cluster.join_parameter
}

module "control_plane" {
  source = "../../modules/control-plane"

  cluster           = local.cluster
  instance_type     = var.control_plane_type
  ami_id            = local.ubuntu_ami_id
  subnet_ids        = local.subnet_ids[var.control_plane_type]
  security_group_id = module.network.security_groups["control-plane"]
  instance_profile  = module.iam.instance_profiles["control-plane"]
  protected         = var.protect_control_plane
}

module "workers" {
  source = "../../modules/workers"

  cluster           = local.cluster
  node_count        = var.worker_count
  max_nodes         = var.max_workers
  instance_type     = var.worker_type
  ami_id            = local.ubuntu_ami_id
  subnet_ids        = local.subnet_ids[var.worker_type]
  security_group_id = module.network.security_groups["workers"]
  instance_profile  = module.iam.instance_profiles["worker"]
}

module "gpu_workers" {
  source = "../../modules/gpu-workers"

  cluster           = local.cluster
  node_count        = var.gpu_count
  max_nodes         = var.max_gpu_workers
  instance_type     = var.gpu_type
  ami_id            = local.gpu_ami_id
  subnet_ids        = local.subnet_ids[var.gpu_type]
  security_group_id = module.network.security_groups["workers"]
  instance_profile  = module.iam.instance_profiles["worker"]
  spot              = var.gpu_spot
}

module "adapter_store" {
  source = "../../modules/adapter-store"
  count  = var.adapter_bucket == null ? 0 : 1

  bucket       = coalesce(var.adapter_bucket, "none")
  reader_roles = { worker = module.iam.roles["worker"] }
}
