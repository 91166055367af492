"""Where this user's caches are: what may be deleted at any time and is made again."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


def cache_folder() -> Path:
    """The folder of what may be made again: `LEAVEN_CACHE`, or the user's own cache folder."""
    from platformdirs import user_cache_path

    named = os.environ.get("LEAVEN_CACHE")
    return Path(named).expanduser() if named else user_cache_path("leaven", appauthor=False)


@contextlib.contextmanager
def made_once(kept: Path) -> Iterator[Path]:
    """A new folder that becomes `kept` once it is filled. Where another process was quicker, its own stays.

    Raises:
        OSError: it cannot be written.
    """
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{kept.name}.", dir=kept.parent) as place:
        making = Path(place) / kept.name
        making.mkdir()
        yield making
        try:
            making.rename(kept)
        except OSError:
            if not kept.is_dir():
                raise
