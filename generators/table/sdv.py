"""What generators from SDV (https://docs.sdv.dev) share: metadata, constraints, seeds, silence, files."""

import contextlib
import io
import logging
import warnings
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from leaven.generators.conditions import Conditions
from leaven.generators.constraints import FixedCombinations, Inequality
from leaven.generators.contract import Budget, Fit, Progress
from leaven.generators.errors import FitError, LeavenError
from leaven.generators.schema import Schema
from leaven.generators.seeds import derive, seeded
from leaven.generators.table.base import TableGenerator
from leaven.generators.table.prepare import Preparation

MODEL = "model.pkl"
TABLE = "rows"
LOG = logging.getLogger(__name__)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """SDV warns and prints about what is decided here; it goes to the debug log."""
    said = io.StringIO()
    loggers = [
        logging.getLogger(name) for name in ("sdv", "rdt", "copulas", "ctgan", "SingleTableSynthesizer")
    ]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if said.getvalue():
            LOG.debug("%s", said.getvalue())


OFTEN = 0.25  # an inequality that holds by chance at least so often is kept by drawing again


def chance(frame: pd.DataFrame, low: str, high: str) -> float:
    """How often `low` <= `high` would hold if the columns had nothing to do with each other.

    SDV keeps an inequality by learning `low` and the logarithm of the difference, which smooths repeated values
    of `high` away: worth it only where drawing again would take long.
    """
    small, large = frame[low].dropna().sort_values(), frame[high].dropna().sort_values()
    if small.empty or large.empty:
        return 1.0
    return float(small.searchsorted(large, side="right").mean() / len(small))


class SdvGenerator(TableGenerator):
    """What SDV's generators share: metadata from the schema, constraints, seeds, files."""

    draw_missing = False  # missing values are learned, like everything else
    discrete_up_to = 2  # a number with at most so many distinct values is learned as a category
    model: Any = None  # None when every column is constant: nothing is to be learned

    @abstractmethod
    def _synthesizer(self, metadata: Any, device: str) -> Any:
        """A fresh SDV synthesizer."""

    @abstractmethod
    def _train(
        self, coded: pd.DataFrame, *, seed: int, budget: Budget, device: str, progress: Progress
    ) -> Fit:
        """Fit on coded rows; sets `self.model`."""

    def _guide(self, count: int, seed: int, conditions: Conditions) -> None:
        """Set the model up so that it draws by the conditions, as far as it can."""

    def _transformers(self, coded: pd.DataFrame) -> dict[str, Any]:
        """Transformers that are not SDV's default, by coded column."""
        return {}

    def _prepare(self, frame: pd.DataFrame, schema: Schema) -> Preparation:
        return Preparation.learn(
            frame,
            schema,
            max_categories=self.parameters.max_categories,
            discrete_up_to=self.discrete_up_to,
            discrete={name for names in self._combined() for name in names},
            linked=[pair for pair in self._ordered_pairs(schema) if chance(frame, *pair) < OFTEN],
            draw_missing=self.draw_missing,
        )

    def _learn(
        self, frame: pd.DataFrame, *, seed: int, budget: Budget, device: str, progress: Progress
    ) -> Fit:
        self.model = None
        coded = self._ready.encode(frame, derive(seed, "fill"))
        if coded.shape[1] == 0:
            return Fit(notes=["every column is constant: nothing to learn"])
        progress(0.0, f"{self.name}: preprocessing {coded.shape[1]} columns of {len(coded):,} rows")
        try:
            with self._fixed(derive(seed, "fit")):
                return self._train(coded, seed=seed, budget=budget, device=device, progress=progress)
        except LeavenError:
            raise
        except (Exception, AssertionError) as error:
            LOG.debug("%s failed", self.name, exc_info=True)
            said = str(error).strip().splitlines()
            raise FitError(
                f"{self.name}: SDV failed with {type(error).__name__}: {said[0] if said else ''}"
            ) from error

    def _fitted(self, coded: pd.DataFrame, device: str, notes: list[str], **attributes: Any) -> Any:
        """A synthesizer fitted on coded rows, with SDV's constraints if it accepts them."""
        from sdv.metadata import Metadata

        columns = {key: {"sdtype": "numerical"} for key in self._ready.numeric}
        columns |= {key: {"sdtype": "categorical"} for key in self._ready.discrete}
        described = {"tables": {TABLE: {"columns": {key: columns[key] for key in coded.columns}}}}
        texts = coded.copy()
        for key in self._ready.discrete:
            texts[key] = np.array([f"v{code}" for code in range(max(coded[key].max() + 1, 1))], dtype=object)[
                coded[key]
            ]
        constraints = self._native()
        for own in [constraints, []] if constraints else [[]]:
            model = self._synthesizer(Metadata.load_from_dict(described), device)
            for name, value in attributes.items():
                setattr(model, name, value)
            # When and under which number it was made would make equal fits unequal files.
            model._synthesizer_id, model._creation_date = self.name, ""
            try:
                if own:
                    model.add_constraints(own)
                if special := self._transformers(coded):
                    model.auto_assign_transformers({TABLE: texts})
                    assigned = model.get_transformers()
                    model.update_transformers({key: made for key, made in special.items() if key in assigned})
                model.fit({TABLE: texts})
            except Exception as error:
                if not own:
                    raise
                LOG.debug("SDV refused the constraints", exc_info=True)
                notes.append(
                    f"SDV refused the constraints ({type(error).__name__}); rows that break one are drawn again"
                )
                continue
            model._fitted_date = ""
            return model

    def _native(self) -> list[Any]:
        """The recipe's constraints as SDV's, where it has them; the others are kept by drawing again."""
        from sdv import cag

        keys, found = self._ready.keys, []
        for constraint in self.constraints:
            if isinstance(constraint, Inequality) and (constraint.low, constraint.high) in self._ready.linked:
                found.append(
                    cag.Inequality(
                        keys[constraint.low], keys[constraint.high], strict_boundaries=constraint.strict
                    )
                )
            elif isinstance(constraint, FixedCombinations):
                codings = self._ready.codings  # of what is learned: computed columns are not among them
                names = [n for n in constraint.columns if n in codings and codings[n].form == "discrete"]
                if len(names) > 1:
                    found.append(cag.FixedCombinations([keys[name] for name in names]))
        return found

    @contextlib.contextmanager
    def _fixed(self, seed: int) -> Iterator[None]:
        """What equal bytes depend on: seeds, and the threads of torch and of linear algebra."""
        from threadpoolctl import threadpool_limits

        with seeded(seed, self.threads), threadpool_limits(self.threads), _quiet():
            yield

    def _draw(self, count: int, *, seed: int, conditions: Conditions) -> pd.DataFrame:
        if self.model is None:
            return pd.DataFrame(index=pd.RangeIndex(count))
        with self._fixed(seed):
            self.model.reset_sampling()
            self.model._set_random_state(seed)
            self._guide(count, seed, conditions)
            drawn = self.model.sample(num_rows=count)[TABLE].reset_index(drop=True)
        coded = {}
        for key in self._ready.numeric:
            coded[key] = drawn[key].to_numpy(dtype="float64")
        for key, levels in self._ready.discrete.items():
            tokens = pd.Index([f"v{code}" for code in range(levels)], dtype=object)
            codes = tokens.get_indexer(pd.Index(drawn[key].astype(object)))
            coded[key] = np.maximum(codes, 0)
        return pd.DataFrame(coded)

    def _save(self, directory: Path) -> None:
        import cloudpickle

        with (directory / MODEL).open("wb") as file:
            cloudpickle.dump(self.model, file)

    def _load(self, directory: Path) -> None:
        import cloudpickle

        with (directory / MODEL).open("rb") as file, _quiet():
            self.model = cloudpickle.load(file)
        self._on_cpu()

    def _on_cpu(self) -> None:
        """Rows are drawn on the processor everywhere, so that a graphics card does not change them."""
        network: Any = getattr(self.model, "_model", None)
        if hasattr(network, "set_device"):
            network.set_device("cpu")
