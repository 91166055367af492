"""What happens before a run: the recipe is read and refused, or the server is started and the flow called.

Nothing here imports Prefect or torch before all that can be refused has been.
"""

import contextlib
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaven.flows import tables
from leaven.generators.errors import InputError, StoreError

if TYPE_CHECKING:
    from rich.console import Console

    from leaven.flows.workers import Runner
    from leaven.pipelines.check import CheckReport
    from leaven.pipelines.recipe import Recipe
    from leaven.pipelines.release import Outcome
    from leaven.pipelines.store import Store
    from leaven.pipelines.version import Version


def refuse(path: Path, overrides: Sequence[str]) -> "tuple[Recipe, Path]":
    """The recipe and its folder, once nothing is found wrong with it, its data and this machine.

    Raises:
        InputError: what is wrong, in one line.
    """
    from leaven.pipelines.recipe_file import load_recipe

    recipe, folder = load_recipe(path, overrides)
    _look(recipe, folder, None)
    return recipe, folder


def refuse_recipe(recipe: "Recipe", folder: Path) -> None:
    """The same for a recipe that a program made, whose paths count from `folder`."""
    from leaven.pipelines import recipe_file

    recipe_file.refuse(recipe, folder)
    _look(recipe, folder, None)


def check(path: Path, overrides: Sequence[str], console: "Console", json: bool) -> None:
    """`leaven check`: say what was understood, what would be run, and about how long it takes."""
    from leaven.flows import show
    from leaven.pipelines.recipe_file import load_recipe

    report = _look(*load_recipe(path, overrides), console)
    if json:
        tables.print_json(report.model_dump(mode="json"))
    else:
        show.print_check(console_for_results(), report)


def init(data: Path, target: str | None, out: Path | None, force: bool, json: bool) -> None:
    """`leaven init`: write the recipe beside nothing else; an existing one stays unless `force`.

    Raises:
        InputError: the data cannot be used, or the recipe exists.
        StoreError: the recipe cannot be written.
    """

    from leaven.pipelines.init import init as compose

    out = out or Path(f"{data.name.split('.')[0] or 'recipe'}.yaml")
    if out.exists() and not force:
        raise InputError(f"{out}: exists; --force overwrites it, --out writes another file")
    text = compose(data, target, out.resolve().parent)
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"{out}: cannot be written: {error.strerror}") from error
    if json:
        tables.print_json({"recipe": str(out.resolve()), "text": text})
        return
    console = console_for_results()
    tables.plain(console, f"{out} is written. Read it, then:")
    tables.plain(console, f"  leaven check {shlex.quote(str(out))}")
    tables.plain(console, f"  leaven run {shlex.quote(str(out))}")


def console_for_results() -> "Console":
    """Standard output."""
    from rich.console import Console

    return Console()


def _look(recipe: "Recipe", folder: Path, console: "Console | None") -> "CheckReport":
    from leaven.flows import progress
    from leaven.pipelines.check import check as look
    from leaven.pipelines.run import resolve_device

    with progress.display(console), progress.stage("check") as tell:
        report = look(recipe, folder, tell)
    resolve_device(recipe.device)
    return report


def store_of(recipe: "Recipe", folder: Path, store: str | None) -> "Store":
    """The store that a run writes to: the one given, or the recipe's, from its folder."""
    from leaven.pipelines.store import Store

    return Store(store or store_place(recipe, folder))


def store_place(recipe: "Recipe", folder: Path) -> str:
    """The path or URI of a recipe's own store."""
    from leaven.pipelines.recipe import resolve

    return recipe.store if "://" in recipe.store else str(resolve(recipe.store, folder))


def approve(store: "Store", reference: str, approved: bool, why: str) -> "tuple[Version, str]":
    """`leaven approve`: carry out a decision, and tell the configured Prefect server, if one answers, of it.

    Raises:
        InputError: there is no such version, none waits, it was decided already, or a newer one is released.
    """
    import getpass

    from leaven.flows import prefect_setup
    from leaven.pipelines.approval import state

    prefect_setup.prepare()
    url = prefect_setup.configured_api_url()
    from leaven.flows.decide import settle

    by = ""
    with contextlib.suppress(OSError, KeyError):  # in some containers the user has no name
        by = getpass.getuser()
    events = url is not None and prefect_setup.answers(url)
    version = settle(store, reference, approved, why, by, events)
    return version, state(store, version)


def duration(option: str, text: str) -> float:
    """Seconds of `90s` or `2h`, as an option has it.

    Raises:
        InputError: it is no such time.
    """
    from leaven.pipelines.recipe import seconds

    try:
        return float(seconds(text))
    except ValueError:
        raise InputError(f"{option}: found '{text}'; expected a time such as 30m or 2h") from None


def train_translator(
    pairs: Path,
    out: Path,
    budget: str,
    evaluate: Path | None,
    console: "Console | None",
    verbose: bool,
    *,
    device: str,
    **options: Any,
) -> dict[str, Any]:
    """`leaven train-translator`: run its flow in this process, with progress on `console`.

    Raises:
        InputError: what is wrong, in one line, before Prefect starts.
    """
    from leaven.flows import prefect_setup, progress
    from leaven.pipelines.run import resolve_device

    for option, path in (("PAIRS", pairs), ("--evaluate", evaluate)):
        if path is not None and not path.is_file():
            raise InputError(f"{option}: there is no file {path}")
    if out.exists():
        raise InputError(f"--out: {out} exists; expected the name of a new folder")
    limit = duration("--budget", budget)
    device = resolve_device(device)
    with progress.display(console):
        with progress.stage("start Prefect"):
            server = prefect_setup.api(verbose)
            from leaven.flows.train_translator import train_translator as flow

            if server is not None:
                server.wait()
        sets = str(evaluate.resolve()) if evaluate else None
        return flow(
            str(pairs.resolve()), str(out.resolve()), seconds=limit, evaluate=sets, device=device, **options
        )


def run(
    recipe: "Recipe",
    folder: Path,
    store: str | None,
    console: "Console | None",
    verbose: bool = False,
    replay: str | None = None,
    runner: "Runner" = "local",
    address: str | None = None,
) -> "Outcome":
    """Run the flow in this process, with progress on `console`.

    Args:
        replay: a version of this name; fits that the clock ended there are repeated step by step.
        runner: where the work is done: `local` or `ray`.
        address: of the Ray cluster; without one, a Ray is started on this machine.

    Raises:
        InputError: another run of this name is going on, there is no such version to replay, or no such cluster.
        StoreError: the store cannot be written.
        LeavenError: Prefect's server is gone, or refuses.
    """
    from leaven.flows import prefect_setup, progress, server_lost, workers

    workers.start(runner, recipe, folder, address)  # what the flow would refuse is refused at once
    where = store_of(recipe, folder, store)
    if replay is not None:
        where.find(f"{recipe.name}@{replay}")
    with where.lock(recipe.name):
        pass  # the flow takes it again; here a second run is told at once
    with progress.display(console), server_lost.told():
        with progress.stage("start Prefect") as tell:
            server = prefect_setup.api(verbose)
            tell(float("nan"), "importing")
            from leaven.flows.augment import run_recipe

            if server is not None:
                server.wait()
        return run_recipe(recipe, folder, store, replay, runner, address)
