"""A person's decision on a version that waits is carried out and told, without Prefect where no server is told."""

from leaven.flows import notify
from leaven.pipelines import approval
from leaven.pipelines.recipe import Recipe
from leaven.pipelines.store import Store
from leaven.pipelines.version import Version


def settle(store: Store, reference: str, approved: bool, why: str, by: str, events: bool = True) -> Version:
    """Carry out a decision, and tell of it.

    Raises:
        InputError: there is no such version, none waits, it was decided already, or a newer one is released.
        StoreError: files of the version were altered, or the store cannot be written.
    """
    version = approval.decide(store, reference, approved, why, by)
    recipe = Recipe.model_validate(version.manifest["recipe"])
    stands = approval.state(store, version)
    place = store.place(version.name, version.id)
    notify.tell(recipe, store, version.id, stands, approval.report(store, version), place, events)
    return version
