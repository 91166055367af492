"""What tests of texts share."""

import pytest

from leaven.generators.text.spent import forget_spent


@pytest.fixture(autouse=True)
def own_budgets() -> None:
    """No test spends what another one may."""
    forget_spent()
