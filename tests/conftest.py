"""What holds for every test."""

from __future__ import annotations

from hypothesis import settings

# Machines are shared with builds: how long an example took says nothing about the code.
settings.register_profile("lorikeet", deadline=None)
settings.load_profile("lorikeet")
