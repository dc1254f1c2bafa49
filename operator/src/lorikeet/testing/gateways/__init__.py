"""Gateways as processes, what stands before and behind them, and clients who count what becomes of each request."""
