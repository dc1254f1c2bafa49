# The script that the host runs at its first boot: it carries the parts of cluster-setup that a real host needs.

locals {
  cluster_setup = "${path.module}/../../../cluster-setup"
  parts         = ["versions.sh", "say.sh", "steps/**", "sources/ubuntu.sh", "aws/**", "manifests/**"]

  # EC2 takes 16 KiB, so a host carries no part that only others need, and no line that is a comment.
  of_control_plane = [
    "aws/publish-join", "manifests/nvidia.yaml", "steps/apiserver.sh", "steps/deploy-device-plugin", "steps/init-control-plane",
    "steps/verify-cluster.sh", "steps/verify-pods.sh",
  ]
  of_workers     = ["aws/await-join", "steps/join"]
  of_gpu_workers = ["steps/install-gpu-drivers"]
  of_others = concat(["manifests/device-plugin.yaml"], {
    control-plane = concat(local.of_workers, local.of_gpu_workers)
    worker        = concat(local.of_control_plane, local.of_gpu_workers)
    gpu-worker    = local.of_control_plane
  }[var.role])
  files = {
    for path in setsubtract(flatten([for part in local.parts : tolist(fileset(local.cluster_setup, part))]), local.of_others) :
    path => replace(file("${local.cluster_setup}/${path}"), "/(?m)^[ \\t]*#($|[^!\\n].*$)\\n/", "")
  }

  facts = merge(var.cluster.environment, {
    LORIKEET_CLUSTER_NAME   = var.cluster.name
    LORIKEET_NODE           = var.name
    LORIKEET_ROLE           = var.role
    LORIKEET_JOIN_PARAMETER = var.cluster.join_parameter
    AWS_REGION              = var.cluster.region
  })
  # Within single quotes a shell reads everything as it is, newlines too; only the quote itself has to step outside.
  node_env = join("", [for name, value in local.facts : "${name}='${replace(value, "'", "'\\''")}'\n"])

  script = templatefile("${path.module}/user-data.sh.tftpl", {
    files = {
      for path, content in local.files :
      path => { mode = startswith(content, "#!") ? "0755" : "0644", quoted = "'${replace(content, "'", "'\\''")}'" }
    }
    node_env = "'${replace(local.node_env, "'", "'\\''")}'"
  })

  # cloud-init unpacks what is gzipped; EC2 counts the bytes before base64, whose 4 characters are 3 bytes.
  user_data       = base64gzip(local.script)
  user_data_bytes = floor(length(replace(local.user_data, "=", "")) * 3 / 4)
}
