"""``python -m lorikeet.testing.device_plugin``: the DaemonSet's process. ``GPU_COUNT`` says how many (default 4)."""

import asyncio
import logging
import os

from lorikeet.testing.device_plugin.plugin import DevicePlugin

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    asyncio.run(DevicePlugin(devices=int(os.environ.get("GPU_COUNT", "4"))).run())
