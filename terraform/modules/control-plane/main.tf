# The one control plane, cp1, and the parameter through which it tells workers how to join.

module "node" {
  source = "../node"

  cluster           = var.cluster
  name              = "cp1"
  role              = "control-plane"
  instance_type     = var.instance_type
  ami_id            = var.ami_id
  subnet_id         = try(var.subnet_ids[0], "")
  security_group_id = var.security_group_id
  instance_profile  = var.instance_profile
  root_gib          = var.root_gib
  protected         = var.protected
}

# Made here so that destroy removes it and a later cluster of this name never reads the facts of an old one. The value is
# write-only: what cp1 puts there is never read back, so no token gets into the state.
resource "aws_ssm_parameter" "join" {
  #checkov:skip=CKV_AWS_337:The AWS-managed key of SSM is enough for a token that lives two hours; a key of its own is paid for by the month.
  name             = var.cluster.join_parameter
  description      = "How workers join ${var.cluster.name}: endpoint, token, hash of the CA. Renewed by cp1 every hour."
  type             = "SecureString"
  value_wo         = "{}"
  value_wo_version = 1
}
