"""The same recipe into two stores, with 1 and with 2 workers: are all data files equal byte for byte?

python benchmarks/equal_bytes.py RECIPE [--workers 1 2]
"""

import argparse
import tempfile
from pathlib import Path

from kill_and_resume import data_files, finish

from leaven.pipelines.recipe_file import load_recipe


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    name = load_recipe(options.recipe, [])[0].name
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number, workers in enumerate(options.workers):
            store = Path(folder) / f"store-{number}"
            seconds = finish(options.recipe, store, "--workers", str(workers))
            found.append(data_files(store, name))
            print(f"{workers} worker(s): {seconds:.1f} s, {len(found[-1])} data files", flush=True)
    for path in sorted(found[0]):
        same = all(files.get(path) == found[0][path] for files in found)
        print(f"{'equal' if same else 'DIFFERS'}  {found[0][path][:16]}  {path}")
    if any(files != found[0] for files in found):
        raise SystemExit("the runs differ")
    print("all equal")


if __name__ == "__main__":
    main()
