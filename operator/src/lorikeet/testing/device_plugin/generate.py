"""Writes deviceplugin_pb2.py and .pyi from deviceplugin.proto.

``python -m lorikeet.testing.device_plugin.generate [FOLDER]``, by default beside this file.
"""

import sys
from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).parent


def generate(target: Path) -> None:
    """Write both generated files into the folder ``target``; raises RuntimeError with protoc's status."""
    arguments = [f"-I{HERE}", f"--python_out={target}", f"--pyi_out={target}", "deviceplugin.proto"]
    if status := protoc.main(["protoc", *arguments]):
        raise RuntimeError(f"protoc ended with status {status}")


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
