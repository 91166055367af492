"""A person decides on a version that waits: in Prefect's page, or with `leaven approve`.

Under `leaven serve`, a run whose version waits ends, and asks for the flow `approve`. That one shows the report and
is suspended: no process waits. Whoever resumes it in Prefect's page fills in a form with the decision.
"""

import contextlib
from typing import Any

from prefect import flow
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment
from prefect.states import Completed, State

from leaven.flows import notify, show
from leaven.flows.decide import settle
from leaven.generators.errors import InputError
from leaven.pipelines import approval
from leaven.pipelines.store import Store
from leaven.pipelines.version import Version


class Decision(RunInput):
    """What a person says of a version."""

    approve: bool
    why: str = ""
    by: str = ""


@flow(name="approve", persist_result=True, log_prints=False)
def approve(name: str, version: str, store: str) -> State[str]:
    """Show the report of a version that waits, and wait for a person's decision.

    Args:
        name: of the dataset.
        version: its id.
        store: folder or URI of the store.
    """
    where = Store(store)
    found = where.find(f"{name}@{version}")
    if approval.state(where, found) == "pending":
        page = found.file("report.html")
        _show(found)
        text = f"{show.markdown(found.report, page)}\n\nIs {found} to be released?"
        asked: Any = suspend_flow_run(wait_for_input=Decision.with_initial_data(description=text))
        try:
            settle(where, str(found), asked.approve, asked.why, asked.by)
        except InputError:
            if approval.state(where, found) == "pending":
                raise
            # decided with `leaven approve` in the meantime: that one stands
    stands = approval.state(where, found)
    return Completed(message=f"{found}: {stands}", data=stands)


def ask(name: str, version: str, store: str) -> None:
    """Within a run of `leaven serve`: have the flow `approve` ask for this version. Elsewhere nothing is asked."""
    if not deployment.id:
        return
    from prefect.deployments import run_deployment

    parameters = {"name": name, "version": version, "store": store}
    key = f"approve-{name}-{version}"  # a rerun that makes the same version does not ask again
    try:
        run_deployment(
            f"approve/{name}",
            parameters=parameters,
            timeout=0,
            as_subflow=False,
            idempotency_key=key,
            flow_run_name=f"{name}@{version}",
        )
    except Exception as error:
        notify.warn(
            f"{name}@{version} waits: leaven approve {name}@{version}; nobody was asked here: {error}"
        )


def _show(version: Version) -> None:
    from prefect.artifacts import create_markdown_artifact

    from leaven.flows.artifacts import key

    with contextlib.suppress(Exception):  # the form shows it too
        create_markdown_artifact(
            show.markdown(version.report, version.path / "report.html"), key=key(version.name, "waits")
        )
