// Buffers outside the engine's own heap, compression, JSON, and worker threads.
// The argument is an amount.
"use strict";
const zlib = require("zlib");
const { createHash } = require("crypto");
const { Worker, isMainThread, parentPort, workerData } = require("worker_threads");

let seed = 1;
function number(below) {
  seed = (Math.imul(seed, 1103515245) + 12345) & 0x7fffffff;
  return (seed >>> 8) % below;
}

function work(turn) {
  seed = turn + 1;
  const hash = createHash("sha256");
  const kept = [];
  for (let i = 0; i < 40000; i++) {
    const buffer = Buffer.allocUnsafeSlow(16 + number(8000));
    buffer.fill(i & 255);
    kept[number(500)] = buffer;
  }
  for (const buffer of kept) if (buffer) hash.update(buffer);
  const document = [];
  for (let i = 0; i < 30000; i++) document.push({ id: i, name: "n" + number(1000), at: [number(10), number(10)] });
  const text = JSON.stringify(document);
  const packed = zlib.deflateSync(text, { level: 6 });
  hash.update(zlib.inflateSync(packed));
  hash.update(String(JSON.parse(text).length));
  const small = zlib.brotliCompressSync(text.slice(0, 200000), { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 5 } });
  hash.update(zlib.brotliDecompressSync(small));
  return hash.digest("hex");
}

if (isMainThread) {
  const turns = Number(process.argv[2]);
  const results = [];
  for (let turn = 0; turn < turns; turn++) results.push(work(turn));
  const workers = [100, 101].map((turn) => new Promise((resolve, reject) => {
    const worker = new Worker(__filename, { workerData: turn });
    worker.on("message", resolve);
    worker.on("error", reject);
  }));
  Promise.all(workers).then((answers) => console.log(results.concat(answers).join("\n")));
} else {
  parentPort.postMessage(work(workerData));
}
