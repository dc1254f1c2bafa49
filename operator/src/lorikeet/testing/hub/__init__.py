"""A model hub on this machine, for demos and tests: the real huggingface-hub client resolves and downloads from it.

    python3 -m lorikeet.testing.hub --root DIR --port N

DIR holds `<owner>/<repo>/<revision>/<files>`; see `repos` for the rest.
"""

from lorikeet.testing.hub.faults import Fault, Kind
from lorikeet.testing.hub.server import Hub

__all__ = ["Fault", "Hub", "Kind"]
