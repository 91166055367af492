"""The automation for silent runs stands on the server once, and the example's too."""

from typing import Any

import pytest

from leaven.flows import automations

pytestmark = pytest.mark.prefect


def standing() -> list[Any]:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        return client.read_automations_by_name(automations.CRASHED)


def test_the_automation_for_silent_runs_is_there_once(
    prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.client.orchestration import get_client
    from prefect.events.schemas.automations import AutomationCore

    automations.watch_heartbeats()
    [first] = standing()
    assert first.trigger.within.total_seconds() == 180 and first.actions[0].state.value == "CRASHED"
    automations.watch_heartbeats()
    assert standing() == [first]  # untouched: a changed one forgets which runs it was watching
    with get_client(sync_client=True) as client:
        client.create_automation(AutomationCore(**first.model_dump(exclude={"id"})))
    monkeypatch.setattr(automations, "SILENCE_SECONDS", 240.0)
    automations.watch_heartbeats()
    [changed] = standing()
    assert changed.trigger.within.total_seconds() == 240
