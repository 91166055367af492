"""Where this user's caches are: what may be deleted at any time and is made again."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """The folder of what may be made again: `LEAVEN_CACHE`, or the user's own cache folder."""
    from platformdirs import user_cache_path

    named = os.environ.get("LEAVEN_CACHE")
    return Path(named).expanduser() if named else user_cache_path("leaven", appauthor=False)
