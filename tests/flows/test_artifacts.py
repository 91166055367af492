"""What a run leaves on Prefect's pages while it goes on."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from leaven.flows import progress


@pytest.mark.usefixtures("prefect_server")
def test_images_drawn_so_far_are_shown_beside_the_progress() -> None:
    from prefect import flow
    from prefect.artifacts import Artifact

    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)

    @flow
    def fitting() -> None:
        with progress.stage("fit of a test") as tell:
            tell.picture(pixels, 3)  # type: ignore[attr-defined]
            tell.picture(pixels[::-1], 3)  # type: ignore[attr-defined]

    fitting()
    shown = Artifact.get("images-fit-of-a-test")
    assert shown is not None and shown.type == "image" and shown.description == "fit of a test: so far"
    kind, _, data = str(shown.data).partition(",")
    assert kind == "data:image/png;base64"
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    assert sheet.shape[:2] == (2 * 8 + 1, 3 * 8 + 2)
    assert (sheet[:8, :8, :3] == pixels[-1]).all()  # the newest


def test_nothing_is_drawn_where_nobody_looks() -> None:
    with progress.stage("fit") as tell:
        assert not hasattr(tell, "picture")
