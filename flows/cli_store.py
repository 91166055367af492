"""Commands on what is in the store: list, show, compare, sample, path, clean, approve."""

from pathlib import Path
from typing import Annotated, Any

import typer

from leaven.flows import tables
from leaven.flows.cli_options import DEFAULT_STORE, Json, Reference, StorePlace, errors, open_store, results
from leaven.generators.errors import InputError


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

    where = open_store(store)
    versions = show.every(where, name)
    verdicts = {str(version): approval.state(where, version) for version in versions}
    latest = {one: where.latest(one) for one in {version.name for version in versions}}
    if json:
        tables.print_json([show.listed(version, latest, verdicts[str(version)]) for version in versions])
    elif versions:
        tables.print_table(results(), show.version_cells(versions, latest, verdicts))
    else:
        tables.plain(results(), f"store {where.uri}: holds no versions yet")


def show_(reference: Reference, store: StorePlace = DEFAULT_STORE, json: Json = False) -> None:
    """Show a version: answer, arms, gates.

    Also what was tried, the quality of the rows, and where the report is.
    """
    from leaven.flows import show
    from leaven.pipelines import approval

    where = open_store(store)
    version, newer = show.find(where, reference)
    report = approval.report(where, version)
    if json:
        tables.print_json(report)
        return
    show.print_report(results(), report, version.file("report.html").parent, full=True)
    for by, when in where.uses(version.name).get(version.id, {}).items():
        tables.plain(results(), f"used by {by}, since {when}")
    if newer:
        waits = approval.state(where, newer) == "pending"
        how = f"waits for approval: leaven approve {newer}" if waits else f"was withheld: leaven show {newer}"
        tables.plain(results(), f"A newer version {how}")


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="NAME[@VERSION]")],
    second: Annotated[str, typer.Argument(metavar="B", help="NAME[@VERSION]")],
    store: StorePlace = DEFAULT_STORE,
    json: Json = False,
) -> None:
    """Compare two versions."""
    from leaven.flows import show
    from leaven.pipelines import approval

    where = open_store(store)
    versions = [show.find(where, reference)[0] for reference in (first, second)]
    if json:
        tables.print_json(
            [show.summary(approval.report(where, version), version.place) for version in versions]
        )
        return
    console = results()
    for letter, version in zip("AB", versions, strict=True):
        tables.plain(console, f"{letter}  {version}")
    tables.print_table(console, show.compare_cells(*versions))


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
    version = open_store(store).find(reference)
    with progress.display(errors()), progress.stage(f"sample {version.name}") as tell:
        made = sample_more(version, rows, out, where=where or [], seed=seed, screened=not raw, progress=tell)
    if json:
        tables.print_json({"version": str(version), "path": str(out.resolve()), "screened": not raw, **made})
        return
    console = results()
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

    version = open_store(store).find(reference)
    with progress.display(errors()), progress.stage(f"sample {version.name}") as tell:
        made = sample_like(version, like, out, copies=copies, seed=seed, progress=tell)
    if json:
        return tables.print_json({"version": str(version), "path": str(out.resolve()), **made})
    told = ", ".join(f"{name} {count:,}" for name, count in made["filled"].items()) or "nothing"
    tables.plain(results(), f"{made['rows']:,} rows like those of {like} in {out}; filled in: {told}")


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
        open_store(store).note_use(version.name, version.id, used_by)
    if json:
        tables.print_json({"version": str(version), "path": str(version.path)})
    else:
        print(version.path)


def clean(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]…", help="All when left out.")] = None,
    keep: Annotated[int, typer.Option(min=1, help="The newest versions of each name that stay.")] = 5,
    keep_released: Annotated[bool, typer.Option(help="Whether all released versions stay.")] = True,
    samples: Annotated[
        int | None,
        typer.Option(metavar="DAYS", min=0, help="Rows on demand (samples/) that are older go too."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove; without it, only show what would go.")] = False,
    store: StorePlace = DEFAULT_STORE,
    json: Json = False,
) -> None:
    """Remove old versions and what was left unfinished.

    The version that readers get, the newest one, and those noted as used (`leaven path --used-by`) always stay.
    """
    from leaven.flows import show
    from leaven.pipelines import clean as cleaning

    where = open_store(store)
    found = cleaning.removals(
        where, names or [], keep=keep, keep_released=keep_released, samples_days=samples
    )
    if yes:
        cleaning.remove(where, found)
    if json:
        return tables.print_json({"removed": yes, "found": [one.told() for one in found]})
    if not found:
        return tables.plain(results(), f"store {where.uri}: nothing to remove")
    tables.print_table(results(), show.removal_cells(found))
    tables.plain(results(), "Removed." if yes else "Nothing was removed yet; --yes removes these.")


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

    version, verdict = starting.approve(open_store(store), reference, not reject, why)
    if json:
        tables.print_json({"version": str(version), "verdict": verdict, "path": str(version.path)})
    else:
        tables.plain(results(), f"{version}: {verdict}")
