// Runs the module it is given, and is not satisfied easily.
import { readFileSync } from "node:fs";
import assert from "node:assert/strict";

const bytes = readFileSync(process.argv[2]);
const { instance } = await WebAssembly.instantiate(bytes, {});
const { run, used, capacity, check } = instance.exports;

const before = capacity();
assert.equal(run(1000), 499500);
assert.equal(used(), 0);
assert.equal(run(100_000), 4999950000 % 2 ** 32);
assert.equal(used(), 0);
assert.equal(check(), 1);
assert.ok(capacity() > before, "the memory has grown");
console.log(`ok: ${bytes.length} bytes of module, ${before} bytes of heap grew to ${capacity()}`);
