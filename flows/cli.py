"""The command line. Heavy libraries are imported by the command that needs them, after what can be refused is.

Results go to standard output, progress and errors to standard error. Exit status: 0 released, 2 the input is
wrong, 3 withheld by a gate, 130 interrupted, 1 anything else.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from leaven.flows import tables
from leaven.generators.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from leaven.pipelines.store import Store
    from leaven.pipelines.version import Version

WITHHELD = 3
INTERRUPTED = 130

app = typer.Typer(
    name="leaven",
    help="Synthetic training data that is released only when a classifier gets better for it.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show Prefect's log too.")]
RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="A YAML file.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a field of the recipe: budget.fit=5m."),
]
StorePlace = Annotated[
    str,
    typer.Option("--store", metavar="URI", envvar="LEAVEN_STORE", help="Folder or URI of the store."),
]
Reference = Annotated[
    str, typer.Argument(metavar="NAME[@VERSION]", help="The latest released one, or the one named.")
]
DEFAULT_STORE = "data/store"


def _version(asked: bool) -> None:
    if asked:
        import leaven

        print(f"leaven {leaven.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    if debug:
        os.environ["LEAVEN_DEBUG"] = "1"


@app.command()
def demo(
    kinds: Annotated[
        list[str] | None, typer.Argument(metavar="[table] [image] [text]", help="All when left out.")
    ] = None,
    store: StorePlace = DEFAULT_STORE,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Run the sample recipes.

    Prints where the reports are; exit status 0 whatever their verdicts.
    """
    from leaven.flows.demo import recipes

    chosen = recipes(kinds or [])
    results = [_run(path, [], store, None, json, verbose) for path in chosen]
    if json:
        tables.print_json(results)


@app.command()
def init(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="A file of rows or texts, or a folder of images.")
    ],
    target: Annotated[str | None, typer.Option(metavar="COL", help="The label column.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="PATH", help="The recipe; DATA's name with .yaml when left out.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the recipe.")] = False,
    json: Json = False,
) -> None:
    """Write a commented recipe for some data."""
    from leaven.flows import starting

    starting.init(data, target, out, force, json)


@app.command()
def check(recipe: RecipePath, overrides: Overrides = None, json: Json = False) -> None:
    """Check recipe and data without fitting.

    Says what was understood of each column, what will be run, and about how long it takes.
    """
    from leaven.flows import starting

    starting.check(recipe, overrides or [], _errors(), json)


@app.command()
def run(
    recipe: RecipePath,
    overrides: Overrides = None,
    store: Annotated[
        str | None, typer.Option(metavar="URI", help="Folder or URI of the store, in place of the recipe's.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, max=256, help="Processes that sample shards; processors of a Ray that is started here."
        ),
    ] = None,
    replay: Annotated[
        str | None, typer.Option(metavar="VERSION", help="Repeat a version's fits step by step.")
    ] = None,
    runner: Annotated[
        Literal["local", "ray"], typer.Option(help="Where the work is done; changes no byte of the rows.")
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(help="Of a Ray cluster (or RAY_ADDRESS); without one, a Ray is started here."),
    ] = None,
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Make a version, released or withheld.

    Fits, samples, screens, measures, and decides. A rerun resumes what an interrupted run left.

    Exit status: 0 released, 3 withheld by a gate, 2 the input is wrong, 1 anything else.
    """

    result = _run(recipe, overrides or [], store, workers, json, verbose, replay, runner, address)
    if json:
        tables.print_json(result)
    raise typer.Exit(0 if result["verdict"] == "released" else WITHHELD)


@app.command("list")
def list_(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Versions of one dataset only.")
    ] = None,
    store: StorePlace = DEFAULT_STORE,
    json: Json = False,
) -> None:
    """List what is in the store.

    A star marks the version that readers get who name none.
    """
    from leaven.flows import show
    from leaven.pipelines import approval

    where = _store(store)
    versions = show.every(where, name)
    verdicts = {str(version): approval.state(where, version) for version in versions}
    latest = {one: where.latest(one) for one in {version.name for version in versions}}
    if json:
        tables.print_json([show.listed(version, latest, verdicts[str(version)]) for version in versions])
    elif versions:
        tables.print_table(_console(), show.version_cells(versions, latest, verdicts))
    else:
        tables.plain(_console(), f"store {where.uri}: holds no versions yet")


@app.command("show")
def show_(reference: Reference, store: StorePlace = DEFAULT_STORE, json: Json = False) -> None:
    """Show a version: answer, arms, gates.

    Also what was tried, the quality of the rows, and where the report is.
    """
    from leaven.flows import show
    from leaven.pipelines import approval

    where = _store(store)
    version, newer = show.find(where, reference)
    report = approval.report(where, version)
    if json:
        tables.print_json(report)
        return
    show.print_report(_console(), report, version.file("report.html").parent, full=True)
    for by, when in where.uses(version.name).get(version.id, {}).items():
        tables.plain(_console(), f"used by {by}, since {when}")
    if newer:
        waits = approval.state(where, newer) == "pending"
        how = f"waits for approval: leaven approve {newer}" if waits else f"was withheld: leaven show {newer}"
        tables.plain(_console(), f"A newer version {how}")


@app.command()
def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="NAME[@VERSION]")],
    second: Annotated[str, typer.Argument(metavar="B", help="NAME[@VERSION]")],
    store: StorePlace = DEFAULT_STORE,
    json: Json = False,
) -> None:
    """Compare two versions."""
    from leaven.flows import show
    from leaven.pipelines import approval

    where = _store(store)
    versions = [show.find(where, reference)[0] for reference in (first, second)]
    if json:
        tables.print_json(
            [show.summary(approval.report(where, version), version.place) for version in versions]
        )
        return
    console = _console()
    for letter, version in zip("AB", versions, strict=True):
        tables.plain(console, f"{letter}  {version}")
    tables.print_table(console, show.compare_cells(*versions))


@app.command()
def sample(
    reference: Reference,
    out: Annotated[
        Path,
        typer.Option(
            metavar="PATH",
            help="A .parquet or .csv file; of images, .parquet or a folder. It appears when it is whole.",
        ),
    ],
    rows: Annotated[int | None, typer.Option(metavar="N", help="How many.")] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="COL=VALUE", help="A condition on every row; also a=1|2, >=, <=, >, <, !=."),
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="In place of --rows: fill in what this file's rows miss."),
    ] = None,
    copies: Annotated[
        int | None, typer.Option(metavar="K", help="With --like: fill each row in so many times.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Equal seeds give equal rows.")] = 0,
    raw: Annotated[
        bool, typer.Option("--raw", help="Leave out the screens that the released rows passed.")
    ] = False,
    store: StorePlace = DEFAULT_STORE,
    json: Json = False,
) -> None:
    """Make more rows with a released generator.

    They pass the screens that the released rows passed. With --like, rows of a file are filled in instead: what
    is empty or left out is drawn given the rest of the row; they are not screened.
    """
    from leaven.flows import progress
    from leaven.flows.sample_more import sample_more

    if like is not None:
        _refuse_beside_like({"--rows": rows, "--where": where})
        return _sample_like(reference, like, out, 1 if copies is None else copies, seed, store, json)
    if rows is None or copies is not None:
        raise InputError(
            "--copies goes with --like FILE" if rows else "give --rows N, or --like FILE to fill in its rows"
        )
    version = _named(_store(store), reference)
    with progress.display(_errors()), progress.stage(f"sample {version.name}") as tell:
        made = sample_more(version, rows, out, where=where or [], seed=seed, screened=not raw, progress=tell)
    if json:
        tables.print_json({"version": str(version), "path": str(out.resolve()), "screened": not raw, **made})
        return
    console = _console()
    tables.plain(console, f"{made['rows']:,} rows of {version} in {out}")
    if raw:
        tables.plain(
            console, "As the generator makes them: not screened, so copies of real rows may be among them."
        )
    elif made["rejected"]:
        tables.plain(
            console, f"{sum(made['rejected'].values()):,} others did not pass the screens of the release."
        )


def _refuse_beside_like(options: dict[str, Any]) -> None:
    for name, given in options.items():
        if given:
            raise InputError(f"{name} and --like exclude each other: --like makes the rows of its file")


def _sample_like(
    reference: str, like: Path, out: Path, copies: int, seed: int, store: str, json: bool
) -> None:
    from leaven.flows import progress
    from leaven.flows.sample_like import sample_like

    version = _named(_store(store), reference)
    with progress.display(_errors()), progress.stage(f"sample {version.name}") as tell:
        made = sample_like(version, like, out, copies=copies, seed=seed, progress=tell)
    if json:
        return tables.print_json({"version": str(version), "path": str(out.resolve()), **made})
    told = ", ".join(f"{name} {count:,}" for name, count in made["filled"].items()) or "nothing"
    tables.plain(_console(), f"{made['rows']:,} rows like those of {like} in {out}; filled in: {told}")


@app.command()
def path(
    reference: Reference,
    newer_than: Annotated[
        str | None, typer.Option(metavar="VERSION", help="Only a version that is newer than this one.")
    ] = None,
    wait: Annotated[str, typer.Option(metavar="TIME", help="Wait so long for it: 90s, 2h.")] = "0s",
    used_by: Annotated[
        str | None, typer.Option(metavar="WHO", help="Note that this job uses it: `leaven clean` leaves it.")
    ] = None,
    store: StorePlace = DEFAULT_STORE,
    json: Json = False,
) -> None:
    """Print a version's directory, for scripts."""
    from leaven.flows import starting
    from leaven.pipelines.load import find

    version = find(reference, store=store, newer_than=newer_than, wait=starting.duration("--wait", wait))
    if used_by:
        _store(store).note_use(version.name, version.id, used_by)
    if json:
        tables.print_json({"version": str(version), "path": str(version.path)})
    else:
        print(version.path)


@app.command()
def clean(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]…", help="All when left out.")] = None,
    keep: Annotated[int, typer.Option(min=1, help="The newest versions of each name that stay.")] = 5,
    keep_released: Annotated[bool, typer.Option(help="Whether all released versions stay.")] = True,
    yes: Annotated[bool, typer.Option("--yes", help="Remove; without it, only show what would go.")] = False,
    store: StorePlace = DEFAULT_STORE,
    json: Json = False,
) -> None:
    """Remove old versions and what was left unfinished.

    The version that readers get, the newest one, and those noted as used (`leaven path --used-by`) always stay.
    """
    from leaven.flows import show
    from leaven.pipelines import clean as cleaning

    where = _store(store)
    found = cleaning.removals(where, names or [], keep=keep, keep_released=keep_released)
    if yes:
        cleaning.remove(where, found)
    if json:
        return tables.print_json({"removed": yes, "found": [one.told() for one in found]})
    if not found:
        return tables.plain(_console(), f"store {where.uri}: nothing to remove")
    tables.print_table(_console(), show.removal_cells(found))
    tables.plain(_console(), "Removed." if yes else "Nothing was removed yet; --yes removes these.")


@app.command()
def approve(
    reference: Annotated[
        str, typer.Argument(metavar="NAME[@VERSION]", help="The newest version, or the one named.")
    ],
    reject: Annotated[bool, typer.Option("--reject", help="It is never released.")] = False,
    why: Annotated[str, typer.Option(metavar="TEXT", help="Kept with the decision.")] = "",
    store: StorePlace = DEFAULT_STORE,
    json: Json = False,
) -> None:
    """Release a version that waits for approval.

    It has passed every other gate of its recipe: leaven show NAME@VERSION.
    """
    from leaven.flows import starting

    version, verdict = starting.approve(_store(store), reference, not reject, why)
    if json:
        tables.print_json({"version": str(version), "verdict": verdict, "path": str(version.path)})
    else:
        tables.plain(_console(), f"{version}: {verdict}")


@app.command("train-translator")
def train_translator(
    pairs: Annotated[
        Path,
        typer.Argument(
            metavar="PAIRS", help="Text, .gz or not: a sentence, a tab, its translation in each line."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The model's folder, which is made.")],
    source: Annotated[str, typer.Option("--from", metavar="LANG", help="Language to translate from: en.")],
    target: Annotated[str, typer.Option("--to", metavar="LANG", help="Language to translate into: fr.")],
    reverse: Annotated[
        bool, typer.Option("--reverse", help="The second sentence of a line is the source.")
    ] = False,
    budget: Annotated[str, typer.Option(metavar="TIME", help="It ends at its best state by then.")] = "1h",
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the pairs, if the time lasts.")] = 20,
    evaluate: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Sets to be scored: name, sentence, translation in each line."),
    ] = None,
    credit: Annotated[str, typer.Option(help="Who made the pairs, under which licence: for the card.")] = "",
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1)] = 1,
    threads: Annotated[int, typer.Option(min=1, max=256)] = 2,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
    json: Json = False,
    verbose: Verbose = False,
) -> None:
    """Train a small translator for back-translation.

    From pairs of sentences; both directions take a training each. A killed training goes on when it is run again.
    """
    from leaven.flows import starting

    options = {"source": source, "target": target, "reverse": reverse, "epochs": epochs, "credit": credit}
    facts = starting.train_translator(
        pairs, out, budget, evaluate, _errors(), verbose, seed=seed, threads=threads, device=device, **options
    )
    if json:
        return tables.print_json(facts)
    for name, of in facts["scores"].items():
        tables.plain(
            _console(), f"{name}: BLEU {of['bleu']}, chrF {of['chrf']} ({of['sentences']:,} sentences)"
        )
    tables.plain(_console(), f"{out} is made: {facts['steps']:,} steps in {facts['seconds']:,} s")


@app.command()
def serve(
    recipes: Annotated[list[Path] | None, typer.Argument(metavar="[RECIPES]...", help="YAML files.")] = None,
    store: Annotated[
        str | None, typer.Option(metavar="URI", help="Folder or URI of the store, in place of the recipes'.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Runs that may go on at the same time; one of each recipe when left out."),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the server, if one has to be started.")
    ] = 4200,
) -> None:
    """Serve schedules and on-demand runs.

    Uses the Prefect server that is configured or runs on this machine; starts one where there is none.
    """
    from leaven.flows.serve import serve as start

    start(recipes or [], store=store, limit=limit, port=port, console=_errors())


def _run(
    path: Path,
    overrides: list[str],
    store: str | None,
    workers: int | None,
    json: bool,
    verbose: bool,
    replay: str | None = None,
    runner: Literal["local", "ray"] = "local",
    address: str | None = None,
) -> dict[str, Any]:
    """Run one recipe and print what came out; returns what `--json` prints."""
    from leaven.flows import show, starting

    recipe, folder = starting.refuse(path, overrides)
    if workers is not None:
        recipe = recipe.model_copy(update={"workers": workers})
    outcome = starting.run(recipe, folder, store, _errors(), verbose, replay, runner, address)
    if not json:
        show.print_report(_console(), outcome.report, outcome.path)
        if outcome.report.get("pending") and outcome.verdict != "released":
            reference = f"{outcome.report['name']}@{outcome.version}"
            tables.plain(
                _console(), f"It waits for a person: leaven approve {reference} [--reject --why TEXT]"
            )
        if not outcome.new:
            tables.plain(_console(), "An equal version stood in the store already; nothing was written.")
    return show.summary(outcome.report, outcome.path, new=outcome.new)


def _store(place: str) -> "Store":
    from leaven.pipelines.store import Store

    return Store(place)


def _named(store: "Store", reference: str) -> "Version":
    return store.find(reference)


def _console() -> "Console":
    from rich.console import Console

    return Console()


def _errors() -> "Console":
    from rich.console import Console

    return Console(stderr=True)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the `leaven` command; ends the process with its exit status."""
    from leaven.flows import ending

    sys.exit(ending.run(app, (sys.argv[1:] if arguments is None else arguments) or ["--help"]))


if __name__ == "__main__":
    main()
