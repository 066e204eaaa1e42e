"""Objects that come and go, as Python programs make them. The argument is an amount."""

import json
import re
import sys


def numbers(seed, count):
    """The same numbers on every machine and in every version."""
    for _ in range(count):
        seed = (seed * 6364136223846793005 + 1442695040888963407) % 2**64
        yield seed >> 33


class Node:
    def __init__(self, key, value):
        self.key, self.value, self.left, self.right = key, value, None, None


def tree(keys):
    root = None
    for key in keys:
        node, place = root, None
        while node is not None:
            place, node = node, node.left if key < node.key else node.right
        new = Node(key, str(key))
        if place is None:
            root = new
        elif key < place.key:
            place.left = new
        else:
            place.right = new
    total, stack = 0, [root]
    while stack:
        node = stack.pop()
        if node:
            total += len(node.value)
            stack += [node.left, node.right]
    return total


def documents(keys):
    document = [{"id": key, "name": f"item {key}", "tags": [str(key % 7), str(key % 11)]} for key in keys]
    text = json.dumps(document)
    back = json.loads(text)
    back.sort(key=lambda entry: (entry["tags"], entry["id"]))
    return len(text) + sum(entry["id"] % 101 for entry in back[::3])


def words(keys):
    text = " ".join(f"w{key % 5003}" for key in keys)
    counts = {}
    for word in re.findall(r"w\d+", text):
        counts[word] = counts.get(word, 0) + 1
    upper = re.sub(r"w(\d)", r"W\1-", text)
    return len(counts) + max(counts.values()) + len(upper)


def lists(keys):
    rows = [list(range(key % 50)) for key in keys]
    kept = {tuple(row) for row in rows if len(row) % 3}
    blobs = [bytes(key % 3000) for key in rows and keys[::20]]
    return len(kept) + sum(map(len, rows)) + sum(map(len, blobs))


total = 0
for turn in range(int(sys.argv[1])):
    keys = list(numbers(turn, 60_000))
    for work in (tree, documents, words, lists):
        total = (total * 31 + work(keys)) % 2**61
print("checksum", total)
