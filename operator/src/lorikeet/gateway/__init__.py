"""The gateway: OpenAI's API in front of every adapter. It reads both kinds' status and nothing else of the cluster."""
