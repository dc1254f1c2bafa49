output "nodes" {
  description = "Node name → what modules/node tells of it."
  value       = { cp1 = module.node }
}
