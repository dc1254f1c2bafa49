"""What holds for every test."""

from __future__ import annotations

import os

from hypothesis import settings

# Machines are shared with builds: how long an example took says nothing about the code. The same examples each time: a
# change is judged by what it changed. `make explore` looks for new ones; what it finds becomes a test of its own.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.register_profile("fuzz", deadline=None, print_blob=True, max_examples=2000)
settings.load_profile(os.environ.get("LORIKEET_EXAMPLES", "same"))
