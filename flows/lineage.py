"""Runs as OpenLineage events (https://openlineage.io/docs/spec), where OpenLineage is configured: else nothing is sent.

A run reads the recipe's sources and writes a version. Its job is `leaven.<name>`. An event that cannot be sent is a
warning in the log: no run fails for it.
"""

import contextlib
import datetime
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:
    from leaven.pipelines.recipe import Recipe
    from leaven.pipelines.release import Outcome
    from leaven.pipelines.store import Store

PRODUCER = "urn:leaven"
_CONFIGURED = (
    "OPENLINEAGE_URL",
    "OPENLINEAGE_CONFIG",
    "OPENLINEAGE__TRANSPORT",
    "OPENLINEAGE__TRANSPORT__TYPE",
)

_log = logging.getLogger(__name__)


class Events:
    """The events of one run. Give it the outcome when there is one."""

    def __init__(self, client: Any, recipe: "Recipe", folder: Path, store: "Store"):
        self._client, self._recipe, self._folder, self._store = client, recipe, folder, store
        self._id = str(uuid4())
        self.outcome: Outcome | None = None

    def send(self, state: str, error: BaseException | None = None) -> None:
        """One event: START, COMPLETE, FAIL or ABORT."""
        if self._client is None:
            return
        from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
        from openlineage.client.facet_v2 import error_message_run

        facets: dict[str, Any] = {}
        if error is not None:
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(str(error), "python")
        event = RunEvent(
            eventTime=datetime.datetime.now(datetime.UTC).isoformat(),
            eventType=RunState(state),
            producer=PRODUCER,
            run=Run(self._id, facets),
            job=Job("leaven", self._recipe.name),
            inputs=self._inputs(),
            outputs=self._outputs() if state == "COMPLETE" else [],
        )
        try:
            self._client.emit(event)
        except Exception as failure:  # transports raise whatever their libraries do
            _log.warning("OpenLineage: the event %s could not be sent: %s", state, type(failure).__name__)

    def _inputs(self) -> list[Any]:
        from openlineage.client.event_v2 import InputDataset

        split = self._recipe.split
        named = (self._recipe.source.path, split.validation_path, split.test_path)
        return [InputDataset(*_place(path, self._folder)) for path in named if path is not None]

    def _outputs(self) -> list[Any]:
        from openlineage.client.event_v2 import OutputDataset
        from openlineage.client.facet_v2 import dataset_version_dataset, output_statistics_output_dataset

        if self.outcome is None:
            return []
        rows = self.outcome.report["rows"]["synthetic"]
        namespace, name = _place(self._store.uri, self._folder)
        version = dataset_version_dataset.DatasetVersionDatasetFacet(self.outcome.version)
        statistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(rowCount=rows)
        return [
            OutputDataset(
                namespace,
                f"{name}/{self._recipe.name}",
                facets={"version": version},
                outputFacets={"outputStatistics": statistics},
            )
        ]


@contextlib.contextmanager
def events(recipe: "Recipe", folder: Path, store: "Store") -> Iterator[Events]:
    """Send START, then COMPLETE, FAIL or ABORT as the block ends."""
    told = Events(_client(), recipe, folder, store)
    told.send("START")
    try:
        yield told
    except Exception as error:
        told.send("FAIL", error)
        raise
    except BaseException:
        told.send("ABORT")
        raise
    told.send("COMPLETE")


def _client() -> Any:
    """OpenLineage's client, which reads its own configuration; None where there is none."""
    if not any(os.environ.get(name) for name in _CONFIGURED) and not Path("openlineage.yml").is_file():
        return None
    try:
        from openlineage.client import OpenLineageClient

        return OpenLineageClient()
    except ImportError:
        _log.warning("OpenLineage is configured, but not installed: pip install 'leaven[lineage]'")
    except Exception as failure:  # a configuration that it refuses
        _log.warning("OpenLineage: its configuration cannot be used: %s", failure)
    return None


def _place(path: str, folder: Path) -> tuple[str, str]:
    """Namespace and name, as OpenLineage's naming has them: `s3://bucket` and the key, or `file` and the path."""
    scheme, found, rest = path.partition("://")
    if found:
        bucket, _, key = rest.partition("/")
        return f"{scheme}://{bucket}", key or "/"
    return "file", str((folder / path).resolve())
