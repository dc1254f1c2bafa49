"""The plugin's life: serve its socket, register with the kubelet, and do both again for every new kubelet.

https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import grpc.aio

from lorikeet.testing.device_plugin import deviceplugin_pb2 as messages

log = logging.getLogger(__name__)

REGISTER_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class DevicePlugin:
    """Advertises ``devices`` healthy devices of ``resource`` to the kubelet whose sockets are in ``folder``.

    ``poll_s``: how often to look whether the kubelet was restarted, in seconds.
    """

    devices: int
    resource: str = "nvidia.com/gpu"
    folder: Path = Path("/var/lib/kubelet/device-plugins")
    endpoint: str = "lorikeet-gpu.sock"
    poll_s: float = 1.0

    async def run(self) -> None:
        """Serve for ever. A kubelet that is away, or refuses, is asked again after ``poll_s``."""
        while True:
            if kubelet := self._kubelet_life():
                await self._serve(kubelet)
            await asyncio.sleep(self.poll_s)

    async def _serve(self, kubelet: tuple[int, int]) -> None:
        """Serve one life of the kubelet. A starting kubelet deletes every plugin's socket, so each needs a new one."""
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((_handlers(self.devices),))
        server.add_insecure_port(f"unix:{self.folder / self.endpoint}")
        await server.start()
        try:
            await self._register()
            while self._kubelet_life() == kubelet:  # noqa: ASYNC110  # the other side is a file, nobody sets an event
                await asyncio.sleep(self.poll_s)
            log.info("the kubelet was restarted or stopped")
        except grpc.aio.AioRpcError as error:
            log.warning("the kubelet did not take the registration of %s: %s", self.resource, error.details())
        finally:
            await server.stop(grace=None)

    async def _register(self) -> None:
        request = messages.RegisterRequest(version="v1beta1", endpoint=self.endpoint, resource_name=self.resource)
        async with grpc.aio.insecure_channel(f"unix:{self.folder / 'kubelet.sock'}") as channel:
            register = channel.unary_unary(
                "/v1beta1.Registration/Register",
                request_serializer=messages.RegisterRequest.SerializeToString,
                response_deserializer=messages.Empty.FromString,
            )
            await register(request, timeout=REGISTER_TIMEOUT_S)
        log.info("registered %d %s", self.devices, self.resource)

    def _kubelet_life(self) -> tuple[int, int] | None:
        """What tells one life of the kubelet from the next: its socket's inode and time; None without a socket."""
        try:
            found = (self.folder / "kubelet.sock").stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_ctime_ns


def _handlers(devices: int) -> grpc.GenericRpcHandler:
    """The service by hand: grpc's generated code for it is untyped, and longer than this."""

    async def options(request: messages.Empty, context: object) -> messages.DevicePluginOptions:
        return messages.DevicePluginOptions()

    async def list_and_watch(request: messages.Empty, context: object) -> AsyncIterator[messages.ListAndWatchResponse]:
        listed = [messages.Device(ID=f"gpu-{index}", health="Healthy") for index in range(devices)]
        yield messages.ListAndWatchResponse(devices=listed)
        await asyncio.Event().wait()  # they never change; the end of the stream would mean that they are gone

    async def allocate(request: messages.AllocateRequest, context: object) -> messages.AllocateResponse:
        visible = [",".join(container.devices_ids) for container in request.container_requests]
        return messages.AllocateResponse(
            container_responses=[
                messages.ContainerAllocateResponse(envs={"NVIDIA_VISIBLE_DEVICES": ids}) for ids in visible
            ]
        )

    return grpc.method_handlers_generic_handler(
        "v1beta1.DevicePlugin",
        {
            "GetDevicePluginOptions": grpc.unary_unary_rpc_method_handler(
                options, messages.Empty.FromString, messages.DevicePluginOptions.SerializeToString
            ),
            "ListAndWatch": grpc.unary_stream_rpc_method_handler(
                list_and_watch, messages.Empty.FromString, messages.ListAndWatchResponse.SerializeToString
            ),
            "Allocate": grpc.unary_unary_rpc_method_handler(
                allocate, messages.AllocateRequest.FromString, messages.AllocateResponse.SerializeToString
            ),
        },
    )
