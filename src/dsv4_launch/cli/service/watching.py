"""`dsv4 watch`, and the watch of an attached `serve`."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from typing import TYPE_CHECKING

from dsv4_launch.cli import drivers, options, show
from dsv4_launch.cli.service import statuses
from dsv4_launch.errors import Dsv4Error, HostError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dsv4_launch.config.model import LaunchConfig
    from dsv4_launch.run.service import Driver, Seen
    from dsv4_launch.run.watch.lock import WatchLock
    from dsv4_launch.run.watch.watcher import Watcher

RESTART_STOP_S = 10.0  # what hangs has no requests that it could finish
AGAIN_S = 0.5
# Of a server that has ended, and of one that goes on: how long its last lines are waited for.
LAST_LINES_S, INTERRUPTED_S = 5.0, 1.0


def watch(argument: str, target: str | None, output: options.Output) -> int:
    """Watch a service until it is stopped; Ctrl-C ends the watch, not the service."""
    from dsv4_launch.run.interrupts import terminate_as_interrupt

    terminate_as_interrupt()
    service = statuses.find(argument, target)
    seen = service.seen
    lock = _take(seen)
    show.note(f"Watching {seen.name} ({seen.target}); Ctrl-C ends the watch and leaves it running.")
    try:
        why = _watch_on(service, lock, lambda now: _config(argument, now))
    except KeyboardInterrupt:
        why = f"{seen.name} is not watched any more; it goes on"
    if output is options.Output.json:
        show.envelope("watch", 0, {"name": seen.name, "target": seen.target, "why": why})
    else:
        show.say(show.clean(f"{why}."))
    return 0


def _take(seen: Seen) -> WatchLock:
    """The right to watch it. Raises HostError."""
    from dsv4_launch.run.service import must_be_ours
    from dsv4_launch.run.watch import lock as watch_lock

    must_be_ours(seen)
    lock = watch_lock.take(seen.target, seen.name)
    if lock is None:
        raise HostError(
            f"{seen.name} is watched already{_by(seen)}.",
            where=f"{seen.target} {seen.name}",
            fix="One watcher is enough; end that one first if this one is to take over.",
            code="watched",
        )
    return lock


def _watch_on(
    service: drivers.Service,
    lock: WatchLock,
    rules: Callable[[Seen], LaunchConfig | None],
    beside: Callable[[Driver, str], contextlib.AbstractContextManager[object]] = lambda *_: contextlib.nullcontext(),
) -> str:
    """Watch a service, and what another launch (`apply`, `rollback`) puts in its place; returns why it is over.

    ``rules`` gives the config whose rules hold for a service; ``beside`` runs while one is watched. Raises ServerError,
    HostError when nothing came in its place, and KeyboardInterrupt.
    """
    while True:
        seen = service.seen
        with contextlib.closing(lock), beside(service.driver, seen.name):
            end = watcher(service.driver, seen, rules(seen), lock).run()
        if not end.changed:
            return end.why
        service = statuses.find(seen.name, None)
        lock = _take(service.seen)
        _note(f"{end.why} (plan {service.seen.digest}); that one is watched from now on.")


def watcher(driver: Driver, seen: Seen, config: LaunchConfig | None, lock: WatchLock) -> Watcher:
    """A watcher of this service by the rules of its config (the defaults where it has none that can be read)."""
    from dsv4_launch.config.watch import Watch
    from dsv4_launch.host.kernel_since import errors_since
    from dsv4_launch.plan.secrets import secret_names
    from dsv4_launch.run.api_key import key_of
    from dsv4_launch.run.watch import event as watch_event
    from dsv4_launch.run.watch.lock import changer
    from dsv4_launch.run.watch.subject import Subject
    from dsv4_launch.run.watch.watcher import Watcher

    environ = dict(os.environ)
    policy = config.watch if config else Watch()
    # A file that was named may name other variables than the config that the service carries.
    secret = secret_names(config) | secret_names(_carried(seen))
    subject = Subject(
        driver=driver,
        name=seen.name,
        start_again=_starter(driver),
        notify=lambda event: watch_event.send(event, policy.on_failure, environ, secret, _note),
        environ=environ,
        host=socket.gethostname(),
        api_key=key_of(seen.config.get("server") or {}, environ),
        version=config.vllm if config else None,
        gpu=config.gpu if config else None,
        kernel=errors_since,
        start_s=_start_s(seen),
        changer=changer,
    )
    return Watcher(subject, policy, _note, tick=lock.drain)


def follow_and_watch(driver: Driver, seen: Seen, config: LaunchConfig, write: Callable[[str], None]) -> str:
    """Print a service's log while it is watched, over its restarts; returns why it is over.

    Where another process watches it, its log alone is followed. Raises ServerError and KeyboardInterrupt.
    """
    from dsv4_launch.run.watch import lock as watch_lock

    lock = watch_lock.take(seen.target, seen.name)
    if lock is None:
        show.note(f"{seen.name} is watched already{_by(seen)}; here its log is followed only.")
        _write_all(driver.logs(seen.name, follow=True, tail=0), write)
        return ""
    launched = seen.created

    def rules(now: Seen) -> LaunchConfig | None:
        return config if now.created == launched else _own_rules(now)

    return _watch_on(drivers.Service(driver, seen), lock, rules, lambda its, name: _log_of(its, name, write))


@contextlib.contextmanager
def _log_of(driver: Driver, name: str, write: Callable[[str], None]) -> Iterator[None]:
    """Print what its log gains meanwhile."""
    over, patience_s = threading.Event(), LAST_LINES_S
    printer = threading.Thread(target=_print_on, args=(driver, name, write, over), name="log", daemon=True)
    printer.start()
    try:
        yield
    except KeyboardInterrupt:
        patience_s = INTERRUPTED_S  # the server goes on, and the read of its log may not end
        raise
    finally:
        over.set()
        printer.join(patience_s)


def _write_all(lines: Iterator[str], write: Callable[[str], None]) -> None:
    for line in lines:
        write(show.clean(line))
        sys.stdout.flush()


def _print_on(driver: Driver, name: str, write: Callable[[str], None], over: threading.Event) -> None:
    """Follow the log over the restarts of the server; again, when it could not be read."""
    while not over.is_set():
        # The watcher says what becomes of a service that is gone, or of an engine that does not answer.
        with contextlib.suppress(Dsv4Error, OSError):
            _write_all(driver.follow(name, over.is_set), write)
        over.wait(AGAIN_S)


def _starter(driver: Driver) -> Callable[[Seen], None]:
    """What starts a service of this driver again: docker's own start, or a launch from the config that it carries."""
    from dsv4_launch.run.docker.service import DockerDriver
    from dsv4_launch.run.interrupts import hold

    def start_again(found: Seen) -> None:
        # Ctrl-C ends the watch: what it is about to start again goes on.
        with hold() as held:
            begin(found)
        if held.came:
            raise KeyboardInterrupt

    def begin(found: Seen) -> None:
        if found.life != "exited":
            driver.stop(found.name, RESTART_STOP_S)
        if isinstance(driver, DockerDriver):
            driver.start(found.name)
            return
        from dsv4_launch.host.places import find_places
        from dsv4_launch.plan.resolve import resolve
        from dsv4_launch.run.api_key import with_key
        from dsv4_launch.run.status.status import loaded
        from dsv4_launch.targets import render

        plan = resolve(loaded(found.config))
        places = {**find_places(), "gpus": found.gpus}  # those that it had
        environ = with_key(plan, dict(os.environ), places)
        driver.create(found.name, render(plan).command.fill(places), environ, plan)

    return start_again


def _config(argument: str, seen: Seen) -> LaunchConfig | None:
    """The config whose rules hold: the file that was named, or the one that the service carries."""
    _, named = statuses.named(argument)
    return named.config if named is not None else _own_rules(seen)


def _start_s(seen: Seen) -> float:
    """Seconds that its start may take; 0 where its config does not tell."""
    from dsv4_launch.plan.resolve import resolve
    from dsv4_launch.run.status.status import loaded

    with contextlib.suppress(Dsv4Error):
        return float(resolve(loaded(seen.config)).timeout_s)
    return 0.0


def _own_rules(seen: Seen) -> LaunchConfig | None:
    """The config that a service carries; where it cannot be read that is said, and the defaults hold."""
    found = _carried(seen)
    if found is None:
        show.note("warning: its config cannot be read, so the defaults hold")
    return found


def _carried(seen: Seen) -> LaunchConfig | None:
    """The config that the service carries; None where it cannot be read."""
    from dsv4_launch.run.status.status import loaded

    with contextlib.suppress(Dsv4Error):
        return loaded(seen.config).config
    return None


def _by(seen: Seen) -> str:
    from dsv4_launch.run.watch.lock import holder

    found = holder(seen.target, seen.name)
    return f" by {found}" if found else ""


def _note(text: str) -> None:
    show.note(show.clean(text))
