"""What the server refuses of one replica keeps it from hearing of no other."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.site.server import SmallServer
from utcloud.common.settings import Settings
from utcloud.common.texts import plain
from utcloud.protocol import FileEntry, ObservedReplica, Phase, ReportAnswer, SiteReport
from utcloud.site.engines import pools
from utcloud.site.engines.docker_api import _code, _warnings
from utcloud.site.errors import ServerAway, ServerRefused
from utcloud.site.link import Link
from utcloud.site.staging import BlobCache, Progress
from utcloud.site.telling import MOST_LOGS, tell, with_short_logs

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def ended(ident: str, log: str = "") -> ObservedReplica:
    return ObservedReplica(replica_id="r", attempt_id=ident, phase=Phase.ENDED, log_tail=log)


class Picky:
    """Refuses reports that are too long, and those that say anything of some attempts."""

    def __init__(self, *refused: str, most: int = 10**9, status: int = 422) -> None:
        self.refused, self.most, self.status = set(refused), most, status
        self.taken: list[SiteReport] = []
        self.asked = 0

    async def report(self, report: SiteReport, timeout_s: float = 20) -> ReportAnswer:
        self.asked += 1
        if len(report.model_dump_json()) > self.most:
            raise ServerRefused(413, "too large")
        if self.refused & {one.attempt_id for one in report.replicas}:
            raise ServerRefused(self.status, "no")
        self.taken.append(report)
        return ReportAnswer(revision=1, server_time=NOW)

    def heard(self) -> set[str]:
        return {one.attempt_id for report in self.taken for one in report.replicas}


async def test_what_is_taken_is_sent_once() -> None:
    link = Picky()
    assert await tell(link, SiteReport(sent_at=NOW, replicas=[ended("a", "log")])) == set()  # type: ignore[arg-type]
    assert link.asked == 1
    assert link.taken[0].replicas[0].log_tail == "log"


async def test_after_a_refusal_it_is_sent_without_logs() -> None:
    link = Picky(most=3000)
    report = SiteReport(sent_at=NOW, replicas=[ended(f"a{number}", "x" * 1000) for number in range(5)])
    assert await tell(link, report) == set()  # type: ignore[arg-type]
    assert link.asked == 2
    assert [one.log_tail for one in link.taken[0].replicas] == [""] * 5


@pytest.mark.parametrize("status", [413, 422])
async def test_after_another_it_is_sent_without_what_is_refused(status: int) -> None:
    link = Picky("a3", "a90", status=status)
    report = SiteReport(sent_at=NOW, replicas=[ended(f"a{number}", "log") for number in range(100)])
    assert await tell(link, report) == {"a3", "a90"}  # type: ignore[arg-type]
    assert link.heard() == {one.attempt_id for one in report.replicas} - {"a3", "a90"}
    assert link.asked < 40


async def test_a_refusal_that_is_of_no_replica_is_raised() -> None:
    for link in (Picky("a", status=401), Picky(most=1)):
        with pytest.raises(ServerRefused):
            await tell(link, SiteReport(sent_at=NOW, replicas=[ended("a"), ended("b")]))  # type: ignore[arg-type]


@given(st.lists(st.integers(0, 400), max_size=30), st.integers(0, 3000))
def test_logs_share_what_there_is(sizes: list[int], most: int) -> None:
    logs = [("ä" * size)[-size:] for size in sizes]
    short = with_short_logs([ended(f"a{number}", log) for number, log in enumerate(logs)], most)
    kept = [one.log_tail for one in short]
    assert all(log.endswith(end) for log, end in zip(logs, kept, strict=True))
    total = sum(len(end.encode()) for end in kept)
    assert total <= most
    whole = sum(len(log.encode()) for log in logs)
    assert total >= min(whole, most) - 2 * len(sizes)


def test_a_thousand_ends_fit_into_one_report() -> None:
    replicas = [ended(f"a{number}", "\U0001f600" * 20_000) for number in range(1000)]
    assert len(SiteReport(sent_at=NOW, replicas=with_short_logs(replicas)).model_dump_json()) < 2 * MOST_LOGS


@given(st.text(alphabet=st.characters(codec=None), max_size=200))
def test_no_text_of_a_message_is_one_that_cannot_be_kept(text: str) -> None:
    made = ObservedReplica(replica_id=text, attempt_id=text, phase=Phase.ENDED, reason=text, log_tail=text)
    read = ObservedReplica.model_validate_json(made.model_dump_json())
    assert read == made
    for kept in (read.replica_id, read.reason, read.log_tail):
        kept.encode()
        assert not any((ord(char) < 32 and char not in "\n\t") or 0x7F <= ord(char) < 0xA0 for char in kept)
    assert "\n" not in read.reason
    assert plain(plain(text)) == plain(text)


@pytest.mark.parametrize("code", [2**64, -(2**64), 2**32, 10**400])
def test_a_code_that_no_engine_gives_is_none(code: int) -> None:
    assert _code(code) is None
    assert _code(137) == 137
    with pytest.raises(ValidationError):
        ObservedReplica(replica_id="r", attempt_id="a", phase=Phase.ENDED, exit_code=code)


async def test_the_link_says_when_to_come_again(server: SmallServer, settings: Settings) -> None:
    server.fail_with = 429
    server.headers = {"Retry-After": "7"}
    link = Link(settings)
    with pytest.raises(ServerAway) as away:
        await link.report(SiteReport(sent_at=NOW))
    assert away.value.retry_after_s == 7
    server.headers = {"Retry-After": "soon"}
    with pytest.raises(ServerAway) as away:
        await link.report(SiteReport(sent_at=NOW))
    assert away.value.retry_after_s == 0
    await link.close()


@pytest.mark.parametrize(
    ("name", "version", "warns"),
    [
        ("OCI Runtime (runc)", "runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1+b1\nspec: 1.0.2-dev\ngo: go1.19.8", True),
        ("OCI Runtime (runc)", "runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1+deb12u1\nspec: 1.0.2-dev", False),
        ("OCI Runtime (runc)", "runc version 1.0.0~rc93+ds1\ncommit: 1.0.0~rc93+ds1-5+deb11u2", True),
        ("OCI Runtime (runc)", "runc version 1.0.0~rc93+ds1\ncommit: 1.0.0~rc93+ds1-5+deb11u5", False),
        ("runc", "runc version 1.1.7-0ubuntu1~22.04.1\nspec: 1.0.2-dev", True),
        ("runc", "runc version 1.1.7-0ubuntu1~22.04.2\nspec: 1.0.2-dev", False),
        ("runc", "1.1.11", True),
        ("runc", "1.1.12", False),
        ("runc", "1.2.0", False),
        ("OCI Runtime (crun)", "crun version 1.8.1", False),
        ("Podman Engine", "4.3.1", False),
    ],
)
def test_a_runtime_with_a_known_way_out_is_told_unless_its_distribution_mended_it(
    name: str, version: str, warns: bool
) -> None:
    assert bool(_warnings([{"Name": "Conmon", "Version": "2.1.6"}, {"Name": name, "Version": version}])) == warns


def test_pools_are_what_the_engine_says(tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/podman.sock"
    assert pools.of_podman(url, [])[0] == "10.89.0.0/16"
    (tmp_path / "containers.conf").write_text(
        '[network]\ndefault_subnet_pools = [{"base" = "10.5.0.0/16", "size" = 24}]\n'
    )
    assert pools.of_podman(url, []) == ("10.5.0.0/16",)
    (tmp_path / "containers.conf").write_text("[network\n")
    assert pools.of_podman(url, [])[0] == "10.89.0.0/16"
    assert pools.of_docker({"DefaultAddressPools": [{"Base": "10.6.0.0/16", "Size": 24}]}) == ("10.6.0.0/16",)
    assert "172.17.0.0/16" in pools.of_docker({})


async def test_a_file_of_the_store_is_what_its_name_says(
    tmp_path: Path, server: SmallServer, settings: Settings
) -> None:
    (entry,) = server.add_files("v", {"a.py": b"print(1)"}).files
    path = tmp_path / "store" / "blobs" / entry.sha256[:2] / entry.sha256
    path.parent.mkdir(parents=True)
    link = Link(settings)
    cache = BlobCache(tmp_path / "cache", link)

    async def located(entry: FileEntry) -> Path:
        return (await cache.locate(entry, tmp_path / "store", Progress())).folder

    path.write_bytes(b"print(1)")
    assert await located(entry) == tmp_path / "store"
    path.write_bytes(b"print(2)")
    assert await located(entry) == tmp_path / "cache", "another content of the same length is not taken"
    assert server.blob_requests == [entry.sha256]
    await link.close()
