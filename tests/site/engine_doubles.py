"""Engines that are not there: one that is honest, and ones that are slow, fail or lie."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from utcloud.site.engines.base import (
    Brief,
    Container,
    ContainerSpec,
    EngineAway,
    EngineInfo,
    EngineRefused,
    Network,
    Status,
)


class MemoryEngine:
    """Keeps every promise of ``Engine``, in memory. Counts what it was asked."""

    def __init__(self) -> None:
        self.containers: dict[str, Container] = {}
        self.specs: dict[str, ContainerSpec] = {}
        self.nets: dict[str, Network] = {}
        self.starts: list[str] = []
        self.events: asyncio.Queue[dict[str, str]] = asyncio.Queue()

    async def info(self) -> EngineInfo:
        return EngineInfo("memory 1")

    async def prepare(self, network: Network) -> None:
        self.nets[network.name] = network

    async def ensure(self, spec: ContainerSpec, before_start: Callable[[], None]) -> Container:
        found = self.containers.get(spec.name)
        if found and found.status is not Status.CREATED:
            return found
        before_start()
        self.starts.append(spec.name)
        self.specs[spec.name] = spec
        made = Container(
            id=f"id-{spec.name}",
            name=spec.name,
            labels=spec.labels,
            status=Status.RUNNING,
            started_at=datetime.now(UTC),
            ip="127.0.0.1",
        )
        self.containers[spec.name] = made
        return made

    async def stop(self, container_id: str, grace_s: int) -> None:
        self.end(container_id, 143)

    async def remove(self, container_id: str) -> None:
        self.containers = {name: one for name, one in self.containers.items() if one.id != container_id}

    async def remove_network(self, name: str) -> None:
        self.nets.pop(name, None)

    async def observe(self, name_or_id: str) -> Container | None:
        return next((one for one in self.containers.values() if name_or_id in (one.id, one.name)), None)

    async def logs(self, container_id: str, lines: int) -> str:
        return "the last line\n"

    async def snapshot(self) -> list[Brief]:
        return [Brief(one.id, one.labels, one.status) for one in self.containers.values()]

    async def networks(self, home: str) -> list[Network]:
        return list(self.nets.values())

    async def changes(self) -> AsyncIterator[dict[str, str]]:
        while True:
            yield await self.events.get()

    async def close(self) -> None:
        return

    def end(self, container_id: str, code: int, **facts: Any) -> None:
        """Let a container end now, and say so in an event."""
        for name, one in self.containers.items():
            if one.id == container_id and one.status is Status.RUNNING:
                self.containers[name] = replace(
                    one, status=Status.ENDED, ended_at=datetime.now(UTC), exit_code=code, **facts
                )
                self.events.put_nowait(one.labels)


class SlowEngine(MemoryEngine):
    """Takes its time for everything."""

    def __init__(self, delay_s: float):
        super().__init__()
        self.delay_s = delay_s

    async def ensure(self, spec: ContainerSpec, before_start: Callable[[], None]) -> Container:
        await asyncio.sleep(self.delay_s)
        return await super().ensure(spec, before_start)

    async def observe(self, name_or_id: str) -> Container | None:
        await asyncio.sleep(self.delay_s / 4)
        return await super().observe(name_or_id)


class FailingEngine(MemoryEngine):
    """Is away the first ``times`` times that each thing is asked, then works. ``refuse`` makes starting impossible."""

    def __init__(self, times: int = 0, refuse: EngineRefused | None = None):
        super().__init__()
        self.times = times
        self.refuse = refuse
        self.asked: dict[str, int] = {}

    def _fail(self, what: str) -> None:
        self.asked[what] = self.asked.get(what, 0) + 1
        if self.asked[what] <= self.times:
            raise EngineAway(f"{what}: nobody there")

    async def observe(self, name_or_id: str) -> Container | None:
        self._fail("observe")
        return await super().observe(name_or_id)

    async def prepare(self, network: Network) -> None:
        self._fail("prepare")
        await super().prepare(network)

    async def ensure(self, spec: ContainerSpec, before_start: Callable[[], None]) -> Container:
        self._fail("ensure")
        if self.refuse:
            raise self.refuse
        return await super().ensure(spec, before_start)

    async def stop(self, container_id: str, grace_s: int) -> None:
        self._fail("stop")
        await super().stop(container_id, grace_s)


class LyingEngine(MemoryEngine):
    """Says that it stopped what goes on running, the first ``times`` times; sends no events at all."""

    def __init__(self, times: int = 2):
        super().__init__()
        self.times = times

    async def stop(self, container_id: str, grace_s: int) -> None:
        self.times -= 1
        if self.times < 0:
            await super().stop(container_id, grace_s)

    async def changes(self) -> AsyncIterator[dict[str, str]]:
        await asyncio.Event().wait()
        yield {}


class NoFirewall:
    """Lets everything be: these engines have no network."""

    notice = ""

    async def watch(self) -> None:
        await asyncio.Event().wait()

    async def ensure(self, interface: str | None = None) -> None:
        return

    async def remove(self) -> None:
        return
