"""A device plugin that advertises GPUs which are only numbers: a test tool for clusters without any.

The kubelet, the scheduler and the pods are real; what a pod gets is the environment variable that NVIDIA's plugin sets.
"""
