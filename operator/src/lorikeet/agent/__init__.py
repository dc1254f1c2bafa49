"""The agent: one beside each engine. It is told what to serve, fetches and checks it, and keeps the engine at it."""
