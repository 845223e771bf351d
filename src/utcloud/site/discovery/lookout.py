"""Looking with every discovery at once, whatever one of them does."""

import asyncio
import math
import threading
from concurrent.futures import Future, wait
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import structlog
from pydantic import ValidationError

from utcloud.protocol import ChipReport, ResourceReport
from utcloud.site.discovery.base import Discovery, Finding, FoundChip

log = structlog.get_logger()

LIMIT_S = 5.0
MOST_CHIPS, MOST_RESOURCES, MOST_LABELS = 1024, 128, 63
_LONGEST_NAME, _LONGEST_TEXT, _LONGEST_TROUBLE = 253, 1000, 160


class Lookout:
    """Asks all discoveries, each in a thread of its own, and waits at most ``limit_s`` for them.

    What does not answer in time is not asked again until it has; meanwhile, and after an error, what it found before
    holds. The first discovery to name a resource or a chip is believed, and the facts about the node itself are the
    first one's.
    """

    def __init__(self, discoveries: list[Discovery], limit_s: float = LIMIT_S):
        self._watched = [_Watched(one) for one in discoveries]
        self._limit_s = limit_s

    async def look(self) -> Finding:
        """All that was found, as one finding; ``trouble`` says what was wrong."""
        asked = [one.ask() for one in self._watched]
        await asyncio.to_thread(wait, asked, self._limit_s)
        for one in self._watched:
            one.take()
        return _merged([one.finding for one in self._watched], [one.trouble for one in self._watched])


class _Watched:
    def __init__(self, discovery: Discovery):
        self._discovery = discovery
        package, name = type(discovery).__module__.partition(".")[0], type(discovery).__qualname__
        self._name = name if package == "utcloud" else f"{package}.{name}"
        self._answer: Future[Finding] | None = None
        self._asked_at = datetime.now(UTC)
        self.finding = Finding()
        self.trouble = ""

    def ask(self) -> Future[Finding]:
        if self._answer is None:
            self._answer = Future()
            self._asked_at = datetime.now(UTC)
            threading.Thread(target=self._find, args=[self._answer], name=self._name, daemon=True).start()
        return self._answer

    def _find(self, answer: Future[Finding]) -> None:
        try:
            answer.set_result(self._discovery.find())
        except Exception as error:
            answer.set_exception(error)
        except BaseException as error:  # a plug-in that calls sys.exit() shall not end the agent
            answer.set_exception(RuntimeError(repr(error)))

    def take(self) -> None:
        answer = self._answer
        if answer is None:
            return
        if not answer.done():
            self._say(f"{self._name} has not answered since {self._asked_at:%H:%M:%S} UTC; what it found before holds")
            return
        self._answer = None
        try:
            self.finding, faults = sensible(answer.result())
            trouble = "; ".join([*filter(None, [self.finding.trouble]), *(f"{self._name}: {one}" for one in faults)])
        except Exception as error:
            trouble = f"{self._name} failed: {_short(error)}; what it found before holds"
        self._say(trouble)

    def _say(self, trouble: str) -> None:
        if trouble and not self.trouble:
            log.warning("hardware cannot be looked at as it should", trouble=trouble)
        self.trouble = trouble


def sensible(found: object) -> tuple[Finding, list[str]]:
    """The part of a finding that makes sense, and what of it did not. Raises TypeError when it is no finding at all."""
    if not isinstance(found, Finding):
        raise TypeError(f"it answered with a {type(found).__name__} instead of a Finding")
    faults: list[str] = []
    resources = [_checked(ResourceReport, one, faults) for one in islice(found.resources, MOST_RESOURCES)]
    chips = [_chip(one, faults) for one in islice(found.chips, MOST_CHIPS)]
    labels = {key: value for key, value in islice(found.labels.items(), MOST_LABELS) if _is_label(key, value)}
    if len(labels) < len(found.labels):
        faults.append(f"{len(found.labels) - len(labels)} labels left out: too many, too long or no text")
    if len(found.chips) > MOST_CHIPS or len(found.resources) > MOST_RESOURCES:
        faults.append("it names more than a machine can have; the rest is left out")
    sound = replace(
        found,
        resources=[one for one in resources if one],
        chips=[one for one in chips if one],
        labels=labels,
        trouble=str(found.trouble)[:_LONGEST_TEXT],
    )
    return sound, faults


def _chip(found: object, faults: list[str]) -> FoundChip | None:
    if not isinstance(found, FoundChip):
        faults.append(f"a {type(found).__name__} is no chip")
        return None
    report = _checked(ChipReport, found.report, faults)
    if report is None:
        return None
    if len(report.device_paths) != len(found.host_devices):
        faults.append(f"chip {report.uid} left out: as many device_paths as host_devices are needed")
        return None
    if report.telemetry:
        measured = report.telemetry.model_dump(exclude_none=True)
        absurd = [name for name, value in measured.items() if not math.isfinite(value)]
        if absurd:
            faults.append(f"chip {report.uid} measures no number: {', '.join(absurd)}")
            report.telemetry = report.telemetry.model_copy(update=dict.fromkeys(absurd))
    return replace(found, report=report)


def _checked(model: type[Any], found: object, faults: list[str]) -> Any:
    """The report, checked once more: who builds one without checks, or changes it afterwards, is not believed."""
    try:
        return model.model_validate(found.model_dump(warnings=False) if isinstance(found, model) else found)
    except ValidationError as error:
        wrong = ", ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        faults.append(f"a {model.__name__} left out: {wrong}"[:_LONGEST_TROUBLE])
        return None


def _is_label(key: object, value: object) -> bool:
    texts = isinstance(key, str) and isinstance(value, str)
    return texts and len(str(key)) <= _LONGEST_NAME and len(str(value)) <= _LONGEST_TEXT


def _merged(findings: list[Finding], troubles: list[str]) -> Finding:
    host = next((one for one in findings if one.name), Finding(name="unknown"))
    resources: dict[str, ResourceReport] = {}
    chips: dict[str, FoundChip] = {}
    labels: dict[str, str] = {}
    for finding in findings:
        for resource in finding.resources:
            resources.setdefault(resource.name, resource)
        for chip in finding.chips:
            chips.setdefault(chip.report.uid, chip)
        for key, value in finding.labels.items():
            labels.setdefault(key, value)
    return replace(
        host,
        resources=list(islice(resources.values(), MOST_RESOURCES)),
        chips=list(islice(chips.values(), MOST_CHIPS)),
        labels=dict(islice(labels.items(), MOST_LABELS)),
        trouble="; ".join(filter(None, troubles)),
    )


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:_LONGEST_TROUBLE]
