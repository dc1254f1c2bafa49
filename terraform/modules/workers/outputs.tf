output "nodes" {
  description = "Node name → what modules/node tells of it."
  value       = module.node
}
