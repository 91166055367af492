"""The command line. Heavy libraries are imported by the command that needs them, after what can be refused is.

Results go to standard output, progress and errors to standard error. Exit status: 0 released, 2 the input is
wrong, 3 withheld by a gate, 130 interrupted, 1 anything else.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from leaven.flows import cli_store, tables
from leaven.flows.cli_options import (
    DEFAULT_STORE,
    Json,
    Overrides,
    RecipePath,
    StorePlace,
    Verbose,
    errors,
    results,
)

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

    starting.check(recipe, overrides or [], errors(), json)


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


app.command("list")(cli_store.list_)
app.command("show")(cli_store.show_)
app.command()(cli_store.compare)
app.command()(cli_store.sample)
app.command()(cli_store.path)
app.command()(cli_store.clean)
app.command()(cli_store.approve)


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
        pairs, out, budget, evaluate, errors(), verbose, seed=seed, threads=threads, device=device, **options
    )
    if json:
        return tables.print_json(facts)
    for name, of in facts["scores"].items():
        tables.plain(
            results(), f"{name}: BLEU {of['bleu']}, chrF {of['chrf']} ({of['sentences']:,} sentences)"
        )
    tables.plain(results(), f"{out} is made: {facts['steps']:,} steps in {facts['seconds']:,} s")


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

    start(recipes or [], store=store, limit=limit, port=port, console=errors())


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
    outcome = starting.run(recipe, folder, store, errors(), verbose, replay, runner, address)
    if not json:
        show.print_report(results(), outcome.report, outcome.path)
        if outcome.report.get("pending") and outcome.verdict != "released":
            reference = f"{outcome.report['name']}@{outcome.version}"
            tables.plain(
                results(), f"It waits for a person: leaven approve {reference} [--reject --why TEXT]"
            )
        if not outcome.new:
            tables.plain(results(), "An equal version stood in the store already; nothing was written.")
    return show.summary(outcome.report, outcome.path, new=outcome.new)


def main(arguments: list[str] | None = None) -> None:
    """Entry point of the `leaven` command; ends the process with its exit status."""
    from leaven.flows import ending

    sys.exit(ending.run(app, (sys.argv[1:] if arguments is None else arguments) or ["--help"]))


if __name__ == "__main__":
    main()
