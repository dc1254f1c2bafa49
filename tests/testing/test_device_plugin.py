"""The test device plugin against a kubelet that is a few lines of gRPC with the kubelet's own habits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import grpc
import grpc.aio
import pytest

from lorikeet.testing.device_plugin import deviceplugin_pb2 as messages
from lorikeet.testing.device_plugin.generate import HERE, generate
from lorikeet.testing.device_plugin.plugin import DevicePlugin

PATIENCE_S = 10


class Kubelet:
    """Takes registrations on kubelet.sock; like the real one it deletes every other socket when it starts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.registered: asyncio.Queue[messages.RegisterRequest] = asyncio.Queue()

    async def start(self) -> None:
        for socket in self.folder.glob("*.sock"):
            socket.unlink()
        self._server = grpc.aio.server()
        handler = grpc.unary_unary_rpc_method_handler(
            self._register, messages.RegisterRequest.FromString, messages.Empty.SerializeToString
        )
        service = grpc.method_handlers_generic_handler("v1beta1.Registration", {"Register": handler})
        self._server.add_generic_rpc_handlers((service,))
        self._server.add_insecure_port(f"unix:{self.folder / 'kubelet.sock'}")
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(grace=None)

    async def next_registration(self) -> messages.RegisterRequest:
        return await asyncio.wait_for(self.registered.get(), PATIENCE_S)

    async def _register(self, request: messages.RegisterRequest, context: object) -> messages.Empty:
        self.registered.put_nowait(request)
        return messages.Empty()


@asynccontextmanager
async def running(plugin: DevicePlugin) -> AsyncIterator[None]:
    task = asyncio.create_task(plugin.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def kubelet(tmp_path: Path) -> AsyncIterator[Kubelet]:
    kubelet = Kubelet(tmp_path)
    await kubelet.start()
    yield kubelet
    await kubelet.stop()


def plugin_in(folder: Path, devices: int = 2) -> DevicePlugin:
    return DevicePlugin(devices=devices, folder=folder, poll_s=0.02)


async def test_registers_the_resource_that_pods_ask_for(kubelet: Kubelet) -> None:
    async with running(plugin_in(kubelet.folder)):
        registration = await kubelet.next_registration()
    assert (registration.version, registration.resource_name) == ("v1beta1", "nvidia.com/gpu")


async def test_lists_as_many_healthy_devices_as_it_was_told(kubelet: Kubelet) -> None:
    async with running(plugin_in(kubelet.folder, devices=3)):
        endpoint = (await kubelet.next_registration()).endpoint
        async with grpc.aio.insecure_channel(f"unix:{kubelet.folder / endpoint}") as channel:
            watch = channel.unary_stream(
                "/v1beta1.DevicePlugin/ListAndWatch",
                request_serializer=messages.Empty.SerializeToString,
                response_deserializer=messages.ListAndWatchResponse.FromString,
            )(messages.Empty(), timeout=PATIENCE_S)
            listed = await watch.read()
            watch.cancel()
    assert {(device.ID, device.health) for device in listed.devices} == {(f"gpu-{i}", "Healthy") for i in range(3)}


async def test_each_container_sees_the_devices_it_was_given_and_no_others(kubelet: Kubelet) -> None:
    async with running(plugin_in(kubelet.folder)):
        endpoint = (await kubelet.next_registration()).endpoint
        async with grpc.aio.insecure_channel(f"unix:{kubelet.folder / endpoint}") as channel:
            allocate = channel.unary_unary(
                "/v1beta1.DevicePlugin/Allocate",
                request_serializer=messages.AllocateRequest.SerializeToString,
                response_deserializer=messages.AllocateResponse.FromString,
            )
            asked = [["gpu-0", "gpu-1"], ["gpu-2"]]
            requests = [messages.ContainerAllocateRequest(devices_ids=ids) for ids in asked]
            answer = await allocate(messages.AllocateRequest(container_requests=requests), timeout=PATIENCE_S)
    seen = [response.envs["NVIDIA_VISIBLE_DEVICES"] for response in answer.container_responses]
    assert seen == ["gpu-0,gpu-1", "gpu-2"]


async def test_registers_again_with_a_new_socket_when_the_kubelet_restarts(kubelet: Kubelet) -> None:
    async with running(plugin_in(kubelet.folder)):
        await kubelet.next_registration()
        await kubelet.stop()
        await kubelet.start()
        again = await kubelet.next_registration()
        assert (kubelet.folder / again.endpoint).is_socket()


async def test_waits_for_a_kubelet_that_is_not_there_yet(tmp_path: Path) -> None:
    kubelet = Kubelet(tmp_path)
    async with running(plugin_in(tmp_path)):
        await kubelet.start()
        try:
            assert (await kubelet.next_registration()).resource_name == "nvidia.com/gpu"
        finally:
            await kubelet.stop()


def test_the_generated_messages_are_those_of_the_proto(tmp_path: Path) -> None:
    generate(tmp_path)
    for name in ("deviceplugin_pb2.py", "deviceplugin_pb2.pyi"):
        assert (tmp_path / name).read_text() == (HERE / name).read_text(), (
            "run python -m lorikeet.testing.device_plugin.generate"
        )
