"""Which column of a table is the target? The likeliest first, each with the reason."""

import re
from pathlib import Path

from leaven.generators.errors import InputError
from leaven.pipelines.kinds.table.infer import understand
from leaven.pipelines.kinds.table.reader import check_names, open_source, survey
from leaven.pipelines.recipe import Source as SourceRecipe
from leaven.pipelines.target import LEAST_PER_CLASS, MAX_CLASSES

_NAMES = re.compile(
    r"^(label|labels|target|class|y|outcome|response|churn|churned|default|defaulted|fraud|is_fraud|survived|"
    r"diagnosis|income|status|result|revenue|converted|exited|attrition|species|quality|price|approved)$",
    re.I,
)
_TRIED = 5


def guess_targets(path: Path) -> list[tuple[str, str]]:
    """Columns that may be the target, likeliest first, with the reason.

    Raises:
        InputError: the file cannot be read, or no column has classes or numbers.
    """
    source = open_source(path, SourceRecipe(kind="table", path=str(path)), "source.path")
    check_names(source)
    found = survey(source, source.names, None, ())
    good = []
    for name in source.names:
        stats = found[name]
        how = understand(
            stats, None, target=False, delimiter=source.delimiter, locate=lambda row: source.path.name
        )
        distinct = int(stats.distinct)
        if how.column.type in ("identifier", "text", "date") or distinct < 2:
            continue
        if how.column.type in ("category", "boolean") and (
            stats.counts is None or distinct > MAX_CLASSES or min(stats.counts.values()) < LEAST_PER_CLASS
        ):
            continue
        good.append(name)
    if not good:
        raise InputError(
            f"{path.name}: no column could be a target: none has classes of at least {LEAST_PER_CLASS} rows, or numbers"
        )
    named = [name for name in good if _NAMES.match(name)]
    guesses = [(name, "by its name") for name in reversed(named)]
    if good[-1] not in named:
        guesses.append((good[-1], "the last column that could be one"))
    guesses += [(name, "a column that could be one") for name in reversed(good) if name not in dict(guesses)]
    return guesses[:_TRIED]
