"""How chips are asked of an engine, by the fields of the Docker API."""

from typing import Any

import pytest

from utcloud.protocol import Limits
from utcloud.site.engines.base import ContainerSpec, Device, DeviceRequest, Network
from utcloud.site.engines.docker_api import DockerEngine, _drivers_of_docker, _drivers_of_podman


def config(**fields: Any) -> dict[str, Any]:
    spec = ContainerSpec(
        name="c",
        image="i",
        command=None,
        env={"A": "b"},
        hostname="h",
        labels={},
        limits=Limits(cpu_millicores=1000, memory_bytes=2**30),
        network=Network("n", "utc0", {}),
        stop_grace_s=1,
        **fields,
    )
    return DockerEngine([])._config(spec)


def test_cdi_devices_are_requested_by_name() -> None:
    made = config(requests=[DeviceRequest("cdi", ("nvidia.com/gpu=GPU-1", "nvidia.com/gpu=GPU-2"))])
    (request,) = made["HostConfig"]["DeviceRequests"]
    assert (request["Driver"], request["DeviceIDs"]) == ("cdi", ["nvidia.com/gpu=GPU-1", "nvidia.com/gpu=GPU-2"])
    assert made["HostConfig"]["Devices"] == []


def test_nvidias_driver_brings_libraries_for_computing() -> None:
    made = config(requests=[DeviceRequest("nvidia", ("GPU-1",))])
    assert made["HostConfig"]["DeviceRequests"] == [
        {"Driver": "nvidia", "DeviceIDs": ["GPU-1"], "Capabilities": [["gpu", "compute", "utility"]]}
    ]
    assert made["Env"] == ["A=b"]


@pytest.mark.parametrize("fields", [{}, {"devices": [Device("/dev/bm-sophon0", "/dev/bm-sophon0")]}])
def test_no_image_can_ask_for_gpus_by_itself(fields: dict[str, Any]) -> None:
    """NVIDIA's runtime gives every GPU to an image that sets NVIDIA_VISIBLE_DEVICES=all."""
    made = config(**fields)
    assert "NVIDIA_VISIBLE_DEVICES=void" in made["Env"] and made["HostConfig"]["DeviceRequests"] == []


@pytest.mark.parametrize(
    ("version", "drivers"),
    [("4.3.1", set()), ("5.3.9", set()), ("5.4.0", {"cdi"}), ("6.0.0-dev", {"cdi"}), ("", set())],
)
def test_podman_knows_cdi_by_this_api_since_5_4(version: str, drivers: set[str]) -> None:
    assert _drivers_of_podman(version) == drivers


@pytest.mark.parametrize(
    ("info", "drivers"),
    [
        ({}, set()),
        ({"CDISpecDirs": None, "Runtimes": {"runc": {}}}, set()),
        ({"CDISpecDirs": ["/etc/cdi", "/var/run/cdi"], "Runtimes": {"runc": {}}}, {"cdi"}),
        ({"CDISpecDirs": [], "Runtimes": {"nvidia": {}, "runc": {}}}, {"nvidia"}),
        ({"CDISpecDirs": ["/etc/cdi"], "Runtimes": {"nvidia": {}}}, {"cdi", "nvidia"}),
    ],
)
def test_docker_says_what_it_knows(info: dict[str, Any], drivers: set[str]) -> None:
    assert _drivers_of_docker(info) == drivers
