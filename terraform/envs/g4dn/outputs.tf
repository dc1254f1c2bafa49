locals {
  nodes = merge(module.control_plane.nodes, module.workers.nodes, module.gpu_workers.nodes)
}

output "instance_ids" {
  description = "Node name → instance ID."
  value       = { for name, node in local.nodes : name => node.id }
}

output "private_ips" {
  description = "Node name → address in the VPC."
  value       = { for name, node in local.nodes : name => node.private_ip }
}

output "adapter_uri" {
  description = "What the source of an adapter in our bucket begins with; null without a bucket."
  value       = one(module.adapter_store[*].uri)
}

output "region" {
  description = "The region, for terraform/connect."
  value       = var.region
}

output "next_commands" {
  description = "What to do after apply: terraform output -raw next_commands"
  value       = <<-END
    # In the repository's root. The hosts make themselves a cluster; this follows one of them (Ctrl-C ends it):
    terraform/connect log cp1

    # When it is through, fetch the administrator's kubeconfig, and leave the port to the API server open:
    terraform/connect kubeconfig ${var.cluster_name}.kubeconfig
    terraform/connect forward

    # In another terminal; ${join(", ", keys(local.nodes))} should be Ready:
    export KUBECONFIG=$PWD/${var.cluster_name}.kubeconfig
    kubectl get nodes

    # The same without terraform/connect:
    aws ssm start-session --region ${var.region} --target ${local.nodes["cp1"].id} --document-name AWS-StartPortForwardingSession --parameters portNumber=6443,localPortNumber=6443

    # To renew a node, for example worker1 (module.gpu_workers for gpu1):
    kubectl drain worker1 --ignore-daemonsets --delete-emptydir-data && kubectl delete node worker1
    terraform -chdir=terraform/envs/g4dn apply -replace='module.workers.module.node["worker1"].aws_instance.host'
  END
}
