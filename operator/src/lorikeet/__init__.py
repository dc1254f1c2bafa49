"""Many LoRA adapters on few GPUs, on Kubernetes."""
