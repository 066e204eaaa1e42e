// Reads what `allod export` writes with programs that we have not written.
//
//   node readers.mjs EXPORTS
//
// EXPORTS has the files that the test `the_files_for_other_readers` writes, and what has to
// come out of them. pprof is read by pprof-format and by speedscope, speedscope's JSON by
// speedscope: its own page, in the headless browser, which is how its command line opens
// files too.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { gunzipSync } from "node:zlib";
import { chromium } from "playwright-core";
import { Profile } from "pprof-format";

const exports = resolve(process.argv[2]);
const wanted = JSON.parse(readFileSync(join(exports, "wanted.json"), "utf8"));
const speedscope = join(dirname(fileURLToPath(import.meta.url)), "node_modules/speedscope/dist/release/index.html");
let checks = 0;
const same = (found, expected, what) => { checks += 1; assert.deepEqual(found, expected, what); };
const holds = (found, what) => { checks += 1; assert.ok(found, what); };

function pprofIsRead() {
  const profile = Profile.decode(gunzipSync(readFileSync(join(exports, "server.pb.gz"))));
  const text = (index) => profile.stringTable.strings[Number(index)];
  const types = profile.sampleType.map((it) => `${text(it.type)}/${text(it.unit)}`);
  same(types.slice(0, 4), ["alloc_objects/count", "alloc_space/bytes", "inuse_objects/count", "inuse_space/bytes"], "the usual four come first");
  for (const [name, total] of Object.entries(wanted.totals)) {
    const at = types.indexOf(name + "/bytes");
    const sum = profile.sample.reduce((sum, it) => sum + Number(it.value[at]), 0);
    // Each sample is rounded.
    holds(at >= 0 && Math.abs(sum - total) <= profile.sample.length, `${name}: ${sum}, and not ${total}`);
  }
  same(profile.sample.length, wanted.sites, "a sample for each site");
  const functions = new Map(profile.function.map((it) => [Number(it.id), text(it.name)]));
  const locations = new Map(profile.location.map((it) => [Number(it.id), it.line.map((line) => functions.get(Number(line.functionId)))]));
  const stacks = profile.sample.map((it) => it.locationId.flatMap((id) => locations.get(Number(id))).join(";"));
  for (const stack of wanted.stacks) holds(stacks.includes(stack), `a stack is missing: ${stack}`);
  same(profile.mapping.map((it) => text(it.filename)), wanted.modules, "the files that code ran from");
  same([text(profile.periodType.type), text(profile.periodType.unit)], ["space", "bytes"], "what the interval counts");
}

// Opens a file as speedscope's command does, and gives the rows of its tables.
async function opened(browser, file) {
  const folder = mkdtempSync(join(tmpdir(), "allod-speedscope-"));
  const script = join(folder, "load.js");
  const content = readFileSync(join(exports, file)).toString("base64");
  writeFileSync(script, `speedscope.loadFileFromBase64(${JSON.stringify(file)}, "${content}")`);
  const page = await browser.newPage();
  const complaints = [];
  page.on("pageerror", (it) => complaints.push(String(it)));
  page.on("dialog", (it) => { complaints.push(it.message()); it.dismiss(); });
  page.on("console", (it) => { if (it.type() === "error") complaints.push(it.text()); });
  await page.goto(`${pathToFileURL(speedscope).href}#localProfilePath=${script}`);
  // Its menu comes with the profile.
  await page.getByText("Sandwich").waitFor({ timeout: 60000 });
  await page.keyboard.press("3");
  await page.getByText("Symbol Name").waitFor({ timeout: 60000 });
  const rows = await page.locator("tr").allTextContents();
  same(complaints, [], `${file}: speedscope complains`);
  await page.close();
  rmSync(folder, { recursive: true, force: true });
  return rows.join("\n");
}

async function speedscopeReadsIt() {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium", headless: true, timeout: 60000,
    args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"],
  });
  try {
    // Of functions that are inlined into each other, speedscope takes the outermost from pprof.
    for (const [file, leaves] of [["server.speedscope.json", wanted.leaves], ["server.pb.gz", wanted.outer_leaves]]) {
      const rows = await opened(browser, file);
      for (const leaf of leaves) holds(rows.includes(leaf), `${file}: ${leaf} is missing in ${rows}`);
    }
  } finally {
    await browser.close();
  }
}

pprofIsRead();
console.log("ok pprofIsRead");
await speedscopeReadsIt();
console.log("ok speedscopeReadsIt");
console.log(`${checks} checks`);
