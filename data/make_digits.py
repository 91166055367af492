"""Writes digits.npz and digits_test.npz: scikit-learn's handwritten digits, few of them with labels to learn from."""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

EACH = 10  # images of each digit to learn and choose from; the others are for the test


def main() -> None:
    """Write both files beside this one."""
    digits = load_digits()
    pixels = np.round(digits.images * 255 / 16).astype(np.uint8)
    rng = np.random.default_rng(7)
    order = rng.permutation(len(pixels))
    few = np.concatenate([order[digits.target[order] == digit][:EACH] for digit in range(10)])
    rest = np.setdiff1d(np.arange(len(pixels)), few)
    here = Path(__file__).parent
    np.savez_compressed(here / "digits.npz", x=pixels[few], y=digits.target[few])
    np.savez_compressed(here / "digits_test.npz", x=pixels[rest], y=digits.target[rest])


if __name__ == "__main__":
    main()
