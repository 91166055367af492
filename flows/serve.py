"""`leaven serve`: schedules and on-demand runs of recipes, through Prefect.

Each recipe becomes the deployment `augment/<name>` with the recipe as its parameter, so that Prefect's page has
a form for it, and `sample/<name>`, for more rows from its released generator. A run of `augment` that is due while
another of the same name is going on is cancelled: by the deployment's limit, and, wherever else a run was started,
by the lock in the store.
"""

import contextlib
import hashlib
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaven.flows import deployments, prefect_setup, starting
from leaven.generators.caches import cache_folder
from leaven.generators.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from leaven.pipelines.recipe import Recipe

PORT = 4200  # where Prefect's own command puts a server
POLL_SECONDS = 2.0  # a run on demand waits at most so long until it is seen


def serve(
    paths: Sequence[Path],
    *,
    store: str | None = None,
    limit: int | None = None,
    port: int = PORT,
    console: "Console | None" = None,
    entrypoint: str = deployments.AUGMENT,
) -> None:
    """Serve recipes until Ctrl-C or SIGTERM. All of them are checked first.

    Args:
        paths: recipe files.
        store: folder or URI of the store, in place of the recipes'.
        limit: runs that may go on at the same time on this machine; more wait. One of each recipe when left out.
        port: of the server that is started when none is configured or running.
        console: where addresses and schedules are said.
        entrypoint: `module.flow` that is run.

    Raises:
        InputError: no recipe, one that is refused, two of one name, or one that is served already.
    """
    served = _read(paths)
    say = _sayer(console)
    api_url = _server(port, say)
    with _alone([recipe.name for recipe, _ in served], api_url):
        _serve(served, api_url, store, limit, entrypoint, say)


def _serve(
    served: Sequence[tuple["Recipe", Path]],
    api_url: str,
    store: str | None,
    limit: int | None,
    entrypoint: str,
    say: Any,
) -> None:
    os.environ["LEAVEN_SERVING_PID"] = str(os.getpid())

    import asyncio

    from leaven.pipelines.gates import waits

    runner = _runner(limit)
    identities = []
    for recipe, folder in served:
        identity = runner.add_deployment(deployments.augment(recipe, folder, store, entrypoint))
        identities.append(identity)
        _clear(identity, recipe, folder, store)
        page = f"  form and runs: {api_url.removesuffix('/api')}/deployments/deployment"
        say(f"augment/{recipe.name}: {deployments.when(recipe.schedule)}")
        say(f"{page}/{identity}")
        more = runner.add_deployment(deployments.sample(recipe, folder, store))
        say(f"sample/{recipe.name}: rows on demand from the released generator")
        say(f"{page}/{more}")
        if waits(recipe):
            runner.add_deployment(deployments.approve(recipe))
            say(f"approve/{recipe.name}: asks a person before a version is released")
    _watch_heartbeats(say)
    _limit_devices(served, say)
    say("Serving; Ctrl-C or SIGTERM stops. A run that is stopped resumes at the next one.")
    # A shell has commands in the background ignore SIGINT, by which SIGTERM is handled too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        asyncio.run(runner.start())
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave the server half stopped
        for identity, (recipe, folder) in zip(identities, served, strict=True):
            _clear(identity, recipe, folder, store)
        say("Stopped; schedules are paused until the next `leaven serve`.")


def _read(paths: Sequence[Path]) -> list[tuple["Recipe", Path]]:
    if not paths:
        raise InputError("serve: no recipe was given; expected one or more: leaven serve recipe.yaml")
    served = [starting.refuse(path, []) for path in paths]
    names = [recipe.name for recipe, _ in served]
    for place, name in enumerate(names):
        if name in names[:place]:
            first = paths[names.index(name)]
            raise InputError(
                f"{paths[place]}: name: '{name}' is the name of {first} too; expected names that differ"
            )
    return served


@contextlib.contextmanager
def _alone(names: Sequence[str], api_url: str) -> Iterator[None]:
    """Serve each name once: of two, whoever stops first would pause the schedules of the other.

    Raises:
        InputError: another process on this machine serves one of them at the same server.
    """
    import filelock

    folder = cache_folder() / "serving"
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        for name in names:
            place = hashlib.sha256(f"{api_url} {name}".encode()).hexdigest()[:16]
            try:
                held.enter_context(filelock.FileLock(folder / f"{place}.lock").acquire(blocking=False))
            except filelock.Timeout:
                raise InputError(
                    f"serve: '{name}' is served already by another `leaven serve` on this machine; stop that one first"
                ) from None
        yield


def _server(port: int, say: Any) -> str:
    """The API address of the configured server, of one on this machine, or of one that is started now."""
    os.environ.setdefault("PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT", "false")
    prefect_setup.prepare(verbose=True)
    if url := prefect_setup.configured_api_url():
        prefect_setup.demand(url)
        say(f"Prefect: the configured server, {url}")
        return url
    usual = f"http://127.0.0.1:{port}/api"
    prefect_setup.bypass_proxy()
    if port and prefect_setup.answers(usual):
        os.environ["PREFECT_API_URL"] = usual
        say(f"Prefect: the server that runs on this machine, {usual}")
        return usual
    server = prefect_setup.start(port, temporary=False)
    say(f"Prefect: starting a server for as long as this serves: {server.address}")
    server.wait()
    return server.api_url


def _watch_heartbeats(say: Any) -> None:
    """Runs whose machine went down are marked by the server; one that knows no automations serves without."""
    from prefect.exceptions import PrefectHTTPStatusError

    from leaven.flows import automations

    try:
        automations.watch_heartbeats()
        say(
            f"A run that is silent for {automations.SILENCE_SECONDS:.0f} s is marked crashed (by an automation)"
        )
    except PrefectHTTPStatusError as error:
        say(
            f"Silent runs are not marked crashed: the server's automations answer {error.response.status_code}"
        )


def _limit_devices(served: Sequence[tuple["Recipe", Path]], say: Any) -> None:
    """One stage at a time uses a GPU, whichever run it is of."""
    from leaven.flows import gpu
    from leaven.pipelines.run import resolve_device

    if all(resolve_device(recipe.device) == "cpu" for recipe, _ in served):
        return
    for device in gpu.devices():
        gpu.ensure_limit(device)
        say(f"GPU {device.index}: one stage at a time (the limit {device.limit})")


def _runner(limit: int | None) -> Any:
    from prefect.runner import Runner

    from leaven.flows.automations import BEAT_SECONDS

    class GracefulRunner(Runner):
        """Stops on SIGTERM as on Ctrl-C: within its own event loop, schedules paused, runs ended."""

        def handle_sigterm(self, *args: Any, **kwargs: Any) -> None:
            signal.raise_signal(signal.SIGINT)

    return GracefulRunner(
        name="leaven",
        limit=limit,
        query_seconds=POLL_SECONDS,
        heartbeat_seconds=BEAT_SECONDS,
        pause_on_shutdown=True,
    )


def _clear(identity: Any, recipe: "Recipe", folder: Path, store: str | None) -> None:
    """Have Prefect know that runs which were killed are over: for minutes, they would keep new ones from starting.

    A run is known to be over when nobody holds its name's lock in the store. The lock of a store in a bucket holds for
    one machine: there, runs may go on elsewhere, and silence alone tells (see `automations`).
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId, FlowRunFilter
    from prefect.client.schemas.objects import StateType
    from prefect.states import Crashed

    where = starting.store_of(recipe, folder, store)
    if not where.here:
        return
    going_on = {"state": {"type": {"any_": [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]}}}
    with (
        contextlib.suppress(InputError),
        where.lock(recipe.name),
        get_client(sync_client=True) as client,
    ):
        for run in client.read_flow_runs(
            flow_run_filter=FlowRunFilter.model_validate(going_on),
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[identity])),
        ):
            message = "The process of this run is gone. Its finished stages are kept; the next run resumes."
            client.set_flow_run_state(run.id, Crashed(message=message), force=True)


def _sayer(console: "Console | None") -> Any:
    from leaven.flows.tables import plain

    return (lambda text: plain(console, text)) if console is not None else (lambda text: None)
