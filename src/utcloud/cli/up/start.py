"""`utcloud up`: start every process in order, each only when the one before it answers."""

import contextlib
import functools
import json
import os
import signal
import stat
import subprocess
import sys
import time
import traceback
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from utcloud.cli.up import access, chips, edge, engine, image, metrics, network, own, ports, unixhttp
from utcloud.cli.up.instance import CannotRunError, Instance, unfinished_restore
from utcloud.cli.up.progress import say, step
from utcloud.cli.up.stop import take_down
from utcloud.cli.up.supervise import BIN, TAIL_BYTES, NotUpError, Program, alive, end, marked
from utcloud.common.seal import write_secret
from utcloud.common.settings import Settings

WEB = Path(__file__).resolve().parents[4] / "web" / "dist"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PROBLEMS = (CannotRunError, NotUpError, engine.EngineError, image.ImageError, chips.ChipError, edge.CertificateError)
ENGINE_CURE = "Check that `podman info` works on this machine, or set UTCLOUD_ENGINE_URL to an engine that does."
# They live and die with their containers, which outlast a crash of everything else.
CONTAINER_HELPERS = ("conmon", "aardvark-dns", "netavark", "crun", "runc", "catatonit")


def up(settings: Settings, *, detach: bool = False) -> int:
    """Start utcloud and print where it is; return the exit status.

    Without `detach`, stay until Ctrl-C and then take everything down. What was running already is left as it is.
    """
    instance = Instance(settings)
    try:
        _check_asked(settings)
        instance.make_folders()
        with instance.locked():
            already = instance.supervisor.all_run()
            if already:
                _announce_running(instance)
            else:
                _start(instance)
    except PROBLEMS as error:
        say(f"\n{error}")
        return 1
    except KeyboardInterrupt:
        say("\nInterrupted.")
        return 130
    except Exception as error:
        story = instance.supervisor.log("up")
        story.write_text(traceback.format_exc())
        say(f"\nNot foreseen: {str(error).splitlines()[0] if str(error) else type(error).__name__}\nMore in {story}")
        return 1
    return 0 if already or detach else _stay(instance)


def _check_asked(settings: Settings) -> None:
    if settings.simulate_chips:
        chips.parse(settings.simulate_chips)
    edge.check(settings)
    if os.geteuid() != 0:
        raise CannotRunError(
            "utcloud must be root here, for firewall rules that keep containers away from this machine and for the "
            "chips' device files: sudo make up"
        )
    if unfinished_restore(settings.home):
        raise CannotRunError(f"A restore into {settings.home} was interrupted. Run it again: utcloud restore FOLDER")


def _announce_running(instance: Instance) -> None:
    say(f"utcloud is already running (home {instance.home}).")
    before, asked = instance.remembered().settings, instance.settings.model_fields_set - {"engine_url", "token"}
    if any(getattr(before, name) != getattr(instance.settings, name) for name in asked):
        say("Its settings differ from those given now: to change them, `utcloud down` first.")
    _print_access(instance)


def _start(instance: Instance) -> None:
    started = time.monotonic()
    resumed = instance.supervisor.running()
    if resumed:
        say("utcloud runs only in part; starting the rest.")
        instance = instance.remembered()
    else:
        _end_orphans(instance)
        _check_port(instance.settings)
    try:
        with _stoppable():
            found = instance.known_engine() if resumed else _launch(instance)
            _start_programs(instance, found)
    except BaseException as error:
        say()
        if not isinstance(error, KeyboardInterrupt):
            say("utcloud did not come up; taking down what was started.")
        take_down(instance)
        raise
    _print_access(instance, seconds=time.monotonic() - started)


def _launch(instance: Instance) -> engine.Engine:
    """Write every configuration and start supervisord, which starts nothing by itself. Return the engine to use."""
    settings = instance.settings
    found = engine.detect(settings.home, settings.engine_url or None)
    settings.home.chmod(stat.S_IMODE(settings.home.stat().st_mode) | 0o011)  # a restore closes it to others
    own.check(settings, instance.account)
    own.adopt(settings, instance.account)
    if found.own:
        _forget_last_boot(found.own)
        engine.write_config(found.own)
    _note_tables(instance)
    if settings.simulate_chips:
        made = chips.create(settings.simulate_chips, settings.simulated_chips_file)
        say(
            f"→ simulated chips: {made[0].host_device} to {made[-1].host_device} ({made[0].model}, card {made[0].card})"
        )
    environment = instance.environment(found)
    instance.remember(environment)
    instance.supervisor.write_config(_programs(instance, found))
    instance.supervisor.launch(environment)
    return found


def _start_programs(instance: Instance, found: engine.Engine) -> None:
    """Start each program when the one before it answers; those that run already are left alone."""
    settings, supervisor = instance.settings, instance.supervisor
    if found.own:
        with step("starting the container engine"):
            supervisor.start("engine", lambda: unixhttp.answers(found.socket, engine.PING), ENGINE_CURE)
    else:
        say(f"→ using the container engine at {found.url}")
    image.ensure(found.socket, supervisor.log("image"))
    with step("preparing the database"):
        _prepare(instance)
    with step("starting the server"):
        supervisor.start("server", lambda: unixhttp.answers(settings.server_socket, "/healthz"))
    with step("starting the edge"):
        supervisor.start("edge", functools.partial(_edge_answers, settings))
    rest = [state.name for state in supervisor.states() if state.name not in ("engine", "server", "edge")]
    with step("starting the site agent and the metrics"):
        began = datetime.now(UTC)
        for name in rest:
            supervisor.start(name, lambda: True)
        with _task(instance, "heard", since=began.isoformat()) as waiting:
            supervisor.start("agent", functools.partial(_done, waiting))
        unmeasured = [name for name in rest if name != "agent" and not _comes_up(instance, name)]
    if unmeasured:
        say(f"  Without all metrics: {' and '.join(unmeasured)} did not start; see `utcloud status`.")
    if "prometheus" not in rest:
        say("  Without metrics: prometheus and prometheus-node-exporter are not installed.")
    for line in edge.about(settings):
        say(f"  {line[0].upper()}{line[1:]}.")
    if not WEB.is_dir():
        say(f"  Without pages: {WEB} is not there. `make web` builds them.")


def _programs(instance: Instance, found: engine.Engine) -> list[Program]:
    settings, run = instance.settings, instance.settings.run_dir
    internal = ports.free(settings.port + 1)
    edge_config, prometheus_config = run / "caddy.json", run / "prometheus.yml"
    who, low = instance.account, bool(settings.domain) or settings.port < 1024
    edge.write(edge_config, settings, WEB, internal, uid=who.uid, gid=who.gid)
    own.share(edge_config, who)
    serving = own.command(who, [str(BIN / "utcloud"), "server"], _server_needs(settings), low_ports=low)
    caddy = [str(edge.binary()), "run", "--config", str(edge_config)]
    needs = [*own.python(), edge.binary().parent, WEB, settings.home]
    programs = [
        Program("server", serving, own_home=True),
        Program("agent", [str(BIN / "utcloud"), "agent"], stop_seconds=15),
        Program(
            "edge", own.command(who, own.open_to_ours(who, caddy), needs, low_ports=low), stop_seconds=5, own_home=True
        ),
    ]
    known = {"internal": internal}
    if found.own:
        programs.append(Program("engine", engine.service_command(found)))
    if metrics.available():
        known["node_exporter"] = ports.free(settings.port + 2)
        known["prometheus"] = ports.free(settings.port + 3)
        metrics.write_config(
            prometheus_config, node_exporter_port=known["node_exporter"], internal_port=known["internal"]
        )
        own.share(prometheus_config, who)
        data = settings.home / "prometheus"
        measuring = {
            "node_exporter": metrics.node_exporter_command(known["node_exporter"]),
            "prometheus": metrics.prometheus_command(prometheus_config, data, known["prometheus"]),
        }
        for name, command in measuring.items():
            programs.append(Program(name, own.command(who, command, [settings.home]), own_home=True))
    (run / "ports.json").write_text(json.dumps(known, indent=2) + "\n")
    return programs


def _prepare(instance: Instance) -> None:
    """Migrate the database, make the first operator and the local site, and write access.json."""
    settings, preset = instance.settings, ["jupyter", image.REFERENCE, "JupyterLab, NumPy, ONNX Runtime"]
    with _task(instance, "prepare", images=[preset], renew_token=not settings.token_file.exists()) as working:
        said, story = working.communicate()
    if working.returncode:
        raise NotUpError(f"The database cannot be prepared.\n{story.strip()[-TAIL_BYTES:]}")
    found = json.loads(said.splitlines()[-1])
    if "refused" in found:
        raise CannotRunError(found["refused"])
    if found["site_token"] is not None:
        write_secret(settings.token_file, found["site_token"])
    known = access.read(instance.access_file)
    password = found["password"] or (known.password if known and known.username == found["username"] else "")
    access.write(instance.access_file, access.of(settings.console_origin, found["username"], password))
    os.chown(instance.access_file, instance.account.uid, instance.account.gid)


@contextlib.contextmanager
def _task(instance: Instance, name: str, **arguments: Any) -> Iterator[subprocess.Popen[str]]:
    """Something that is done on the database, by the server's own user."""
    settings, who = instance.settings, instance.account
    asked = [sys.executable, "-m", "utcloud.server.tasks", name, json.dumps(arguments)]
    with subprocess.Popen(
        own.command(who, asked, _server_needs(settings)),
        env=instance.environment() | {"HOME": str(settings.serve_dir)},
        cwd=settings.home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        umask=0o077,
    ) as working:
        try:
            yield working
        finally:
            working.kill()


def _done(working: subprocess.Popen[str]) -> bool:
    """Whether it ended well. Raises NotUpError when it did not."""
    if working.poll():
        raise NotUpError(f"The database cannot be read.\n{working.communicate()[1].strip()[-TAIL_BYTES:]}")
    return working.returncode == 0


def _server_needs(settings: Settings) -> list[Path]:
    return [*own.python(), settings.home, *([] if "://" in settings.store else [Path(settings.store)])]


def _check_port(settings: Settings) -> None:
    port = edge.port(settings)
    addresses = edge.addresses(settings)
    if not addresses:
        raise CannotRunError(f"None of the addresses in UTCLOUD_BIND={settings.bind} is one of this machine's.")
    for address in addresses:
        if ports.busy(address, port):
            raise CannotRunError(
                f"Port {port} of {address} is taken by another program. "
                "Choose another one: UTCLOUD_PORT=8081 make up (or utcloud up)."
            )


def _edge_answers(settings: Settings) -> bool:
    if settings.domain:  # its certificate may take a while; that it listens is enough
        return ports.busy(edge.addresses(settings)[0], edge.port(settings))
    address = edge.addresses(settings)[0]
    host = "127.0.0.1" if address == "0.0.0.0" else address  # noqa: S104
    url = f"http://{ports.joined(host, settings.port)}/healthz"
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _comes_up(instance: Instance, name: str) -> bool:
    """Whether a program that nothing else needs runs, or does so in a moment."""
    try:
        instance.supervisor.start(name, functools.partial(_runs, instance, name))
    except NotUpError:
        return False
    return True


def _runs(instance: Instance, name: str) -> bool:
    return any(state.name == name and state.state == "RUNNING" for state in instance.supervisor.states())


def _end_orphans(instance: Instance) -> None:
    """End what a supervisord that was killed left running, but no container."""
    orphans = [pid for pid in marked(instance.home) if _name_of(pid) not in CONTAINER_HELPERS and pid != os.getpid()]
    if orphans:
        with step("ending what an earlier, killed run left behind"):
            end(orphans)


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _forget_last_boot(own: Path) -> None:
    """After a reboot no container runs: take Podman's notes about the running ones away, as a tmpfs would."""
    noted, boot = own / "boot_id", BOOT_ID.read_text()
    if noted.exists() and noted.read_text() != boot:
        for name in ("run", "tmp"):
            subprocess.run(["rm", "-rf", str(own / name)], check=True)
    own.mkdir(parents=True, exist_ok=True)
    noted.write_text(boot)


def _note_tables(instance: Instance) -> None:
    """Note the firewall's tables of before, once, so that `down` can tell what came with us."""
    note = instance.settings.run_dir / "tables-before.json"
    if not note.exists():
        note.write_text(json.dumps(network.tables()))


class _stoppable:  # noqa: N801
    """Treat SIGTERM, and a terminal that closes, like Ctrl-C, so that what was started is taken down again."""

    def __enter__(self) -> None:
        interrupt = lambda *_: signal.raise_signal(signal.SIGINT)  # noqa: E731
        self._before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _stay(instance: Instance) -> int:
    """Wait for Ctrl-C, SIGTERM, or for `utcloud down` in another shell; then leave nothing running."""
    say("Ctrl-C stops it.")
    supervisor = instance.supervisor.pid()
    try:
        with _stoppable():
            while alive(supervisor):
                time.sleep(0.5)
    except KeyboardInterrupt:
        say()
    # A second Ctrl-C must not leave things half stopped.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        with instance.locked():
            return 1 if take_down(instance) else 0
    except CannotRunError:
        return 0  # `utcloud down` is at it already


def _print_access(instance: Instance, seconds: float | None = None) -> None:
    known = access.read(instance.access_file)
    if known is None:
        say(f"{instance.access_file} is missing.")
        return
    if seconds is not None:
        say(f"utcloud is ready ({seconds:.0f} s).")
    say(
        f"""
  Miner management end   {known.admin_url}
  Chip user end          {known.console_url}
  User name              {known.username}
  First password         {known.password or "(it was shown when it was made, and is kept nowhere)"}
  Both are also in       {instance.access_file}
"""
    )
