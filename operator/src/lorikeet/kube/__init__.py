"""The API server: a lean client, watches, server-side apply and the leader's lease, on the official asyncio client."""
