"""Arrays that are filtered, joined, sorted and summed, each step a new one.

Sizes go up and down from a quarter of a mebibyte to a hundred: what a program of
data does is mostly temporaries as large as its data.
"""

import sys

import numpy as np


def signal(n, seed):
    """Filters of a signal: a dozen temporaries of its size."""
    at = np.arange(n, dtype=np.float64) * 0.001 + seed
    wave = np.sin(at) * 2.0 + np.cos(at * 3.0)
    smooth = (wave[:-2] + wave[1:-1] * 2.0 + wave[2:]) / 4.0
    low, high = np.minimum(smooth, 0.5), np.maximum(smooth, -0.5)
    return int(np.round((low * high).astype(np.float32).sum(dtype=np.float64)))


def table(n, seed):
    """Columns joined, sorted, counted."""
    keys = (np.arange(n, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(44)
    parts = [keys[i::7] + np.uint64(seed) for i in range(7)]
    order = np.argsort(np.concatenate(parts), kind="stable")
    values, counts = np.unique(keys[order], return_counts=True)
    return int(values[counts.argmax()]) + int(counts.max())


def grid(n, seed):
    """Steps of heat flowing over a plate."""
    plate = np.zeros((n, n))
    plate[seed % n, :] = 100.0
    for _ in range(8):
        inner = (plate[:-2, 1:-1] + plate[2:, 1:-1] + plate[1:-1, :-2] + plate[1:-1, 2:]) / 4.0
        plate = np.pad(inner, 1, mode="edge")
    return int(np.round(plate.sum()))


def main():
    total = 0
    for turn in range(int(sys.argv[1])):
        for n in (30_000, 300_000, 3_000_000, 12_000_000, 1_000_000):
            total = total * 31 + signal(n, turn) & 0xFFFFFFFF
        for n in (20_000, 200_000, 1_000_000):
            total = total * 31 + table(n, turn) & 0xFFFFFFFF
        for n in (200, 2_000):
            total = total * 31 + grid(n, turn) & 0xFFFFFFFF
    print(f"{total:08x}")


main()
