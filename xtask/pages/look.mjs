// Opens reports in a headless browser, uses them as a reader would, and says what is wrong.
//
//   node look.mjs REPORTS [SHOTS]
//
// REPORTS has the files that the test `the_files_for_the_browser` writes. With SHOTS,
// pictures are left there. The browser is Debian's; playwright-core only talks to it.

import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [reports, shots] = process.argv.slice(2).map((path) => resolve(path));
const CHARTS = ["time", "flame", "sites", "types", "lifetimes", "sizes", "classes", "spans", "threads", "tasks"];
const profile = mkdtempSync(join(tmpdir(), "allod-browser-"));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium", headless: true, timeout: 60000, acceptDownloads: true,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"],
});
context.setDefaultTimeout(20000);
let checks = 0;
const same = (found, wanted, what) => { checks += 1; assert.deepEqual(found, wanted, what); };
const holds = (found, what) => { checks += 1; assert.ok(found, what); };

// A page that is only the file: any request beyond it, and any complaint, is a failure.
async function open(name, { width = 1280, theme = "light" } = {}) {
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (it) => { if (["error", "warning"].includes(it.type())) complaints.push(it.text()); });
  page.on("pageerror", (it) => complaints.push(String(it)));
  page.on("request", (it) => { if (!/^(file|data|blob):/.test(it.url())) complaints.push("asked for " + it.url()); });
  page.on("dialog", (it) => { complaints.push("a dialog"); it.dismiss(); });
  await page.setViewportSize({ width, height: 900 });
  await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
  await page.goto(pathToFileURL(join(reports, name)).href);
  await page.waitForSelector("html[data-ready=true]");
  await settle(page);
  page.finish = async () => { same(complaints, [], `${name}: the console`); await page.close(); };
  return page;
}
// Charts are drawn in the next frame; two frames later they are there.
const settle = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(done)))));
const shot = async (page, name, options = { fullPage: true }) => { if (shots) await page.screenshot({ path: join(shots, name + ".png"), ...options }); };
const data = (page, chart, key) => page.locator(`[data-chart=${chart}]`).getAttribute("data-" + key);
const number = async (page, chart, key) => Number(await data(page, chart, key));
const overflow = (page) => page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
// The share of a canvas that is painted: an empty chart has none.
const painted = (page, chart) => page.evaluate((name) => {
  const canvas = document.querySelector(`canvas[data-chart=${name}]`);
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let some = 0;
  for (let i = 3; i < pixels.length; i += 4) some += pixels[i] > 0;
  return some / (pixels.length / 4);
}, chart);

async function everythingIsThere() {
  for (const theme of ["light", "dark"]) {
    for (const width of [1280, 400]) {
      const page = await open("server.html", { width, theme });
      for (const chart of CHARTS) {
        const box = await page.locator(`[data-chart=${chart}]`).first().boundingBox();
        holds(box && box.width > 80 && box.height > 30, `${chart} has a size at ${width}`);
      }
      for (const canvas of ["flame", "spans"]) holds((await painted(page, canvas)) > 0.1, `${canvas} is painted`);
      for (const hint of await page.locator("section .hint").allTextContents()) holds(hint.length > 40, "each chart has its sentence");
      same(await page.locator("html").getAttribute("data-theme"), theme, "the theme of the system");
      same(await overflow(page), 0, `nothing hangs out at ${width}`);
      await shot(page, `server-${theme}-${width}`);
      await page.finish();
    }
  }
}

async function everythingCanBeUsed() {
  const page = await open("server.html");
  const rows = await number(page, "sites", "rows");
  holds(rows >= 10, "places in the table");
  const first = () => page.locator("[data-chart=sites] tbody tr td").first().textContent();

  // The value switch, sorting, and the table that unfolds.
  const top = await first();
  await page.click("[data-value=short]"); await settle(page);
  holds((await first()) !== top, "another value has another order");
  same(await page.getAttribute("[data-value=short]", "aria-pressed"), "true", "the switch");
  await page.click("[data-value=live]"); await settle(page);
  await page.click("[data-chart=sites] th [data-key=place]");
  const names = (await page.locator("[data-chart=sites] td.place").allTextContents());
  same([...names].sort((a, b) => a.localeCompare(b)), names, "sorted by name");
  await page.click("[data-chart=sites] th [data-key=weight]");

  // The filter: words, a type, nothing at all.
  await page.fill("#query", "lexer::run"); await settle(page);
  same(await number(page, "sites", "rows"), 1, "one place matches");
  const narrow = await number(page, "flame", "boxes");
  await page.fill("#query", "no such thing"); await settle(page);
  same(await number(page, "sites", "rows"), 0, "nothing matches");
  await page.fill("#query", ""); await settle(page);
  holds((await number(page, "flame", "boxes")) > narrow, "the flame graph follows the filter");
  await page.locator("[data-chart=types] .cell").first().click(); await settle(page);
  holds((await page.inputValue("#query")).startsWith("type:"), "a type is a filter");
  holds((await number(page, "sites", "rows")) < rows, "and it filters");
  await page.fill("#query", ""); await settle(page);
  await page.locator("[data-chart=threads] tr.pick").first().click(); await settle(page);
  holds((await page.inputValue("#query")).startsWith("thread:"), "a thread is a filter");
  await page.fill("#query", ""); await settle(page);
  await page.locator("[data-chart=tasks] button").first().click(); await settle(page);
  holds((await page.inputValue("#query")).startsWith("task:"), "a task is a filter");
  await page.fill("#query", ""); await settle(page);

  // A row: its stacks, and the histogram of its lifetimes.
  await page.locator("[data-chart=sites] tr.pick").first().click(); await settle(page);
  holds(await page.locator("tr.stacks li").count() > 2, "the stacks of a row");
  holds((await page.locator("#lifetimes .detail").textContent()).includes(":"), "the histogram says whose it is");
  await shot(page, "picked");
  await page.locator("[data-chart=sites] tr[aria-selected=true]").focus();
  await page.keyboard.press("Enter"); await settle(page);
  same(await page.locator("tr.stacks").count(), 0, "and back, by the keyboard");

  // The window of time, by the mouse and by the keyboard.
  const before = await first();
  await page.evaluate(() => scrollTo(0, 0));
  const time = await page.locator("[data-chart=time]").boundingBox();
  await page.mouse.move(time.x + time.width * .15, time.y + 80); await page.mouse.down();
  await page.mouse.move(time.x + time.width * .25, time.y + 90, { steps: 4 }); await page.mouse.up(); await settle(page);
  holds(await page.locator("#window-clear").isVisible(), "a window is open");
  same(await page.locator("[data-key=weight]").textContent(), "In the window", "the table says what it shows");
  holds(Number(await page.locator(".band").getAttribute("width")) > 40, "the band is drawn");
  await shot(page, "window");
  await page.locator("[data-chart=time]").focus();
  await page.keyboard.press("Escape"); await settle(page);
  holds(!(await page.locator("#window-clear").isVisible()), "the window is closed");
  same(await first(), before, "as before");
  await page.keyboard.press("ArrowLeft"); await settle(page);
  holds(await page.locator("#window-clear").isVisible(), "a window by the keyboard");
  await page.keyboard.press("Escape"); await settle(page);

  // The flame graph: look into a box, find, turn over, keys.
  const flame = page.locator("canvas[data-chart=flame]");
  await flame.scrollIntoViewIfNeeded();
  await flame.click({ position: { x: 60, y: 32 } }); await settle(page);
  const inside = await data(page, "flame", "zoom");
  holds(inside.length > 0, "looked into a box");
  await page.click("#flame-reset");
  same(await data(page, "flame", "zoom"), "", "and back");
  const boxes = await number(page, "flame", "boxes");
  await page.click("#flame-types");
  holds((await number(page, "flame", "boxes")) > boxes, "types add boxes");
  await page.click("#flame-types"); await page.click("#flame-library");
  holds((await number(page, "flame", "boxes")) > boxes, "library calls add boxes");
  await page.click("#flame-invert");
  await shot(page, "inverted");
  await page.click("#flame-invert"); await page.click("#flame-library");
  same(await number(page, "flame", "boxes"), boxes, "as before");
  await page.fill("#flame-search", "lexer");
  holds(/^\d+ % in it$/.test(await page.textContent("#flame-found")), "the share of what was found");
  await shot(page, "found", { clip: await page.locator("#flame").boundingBox().then(async (box) => ({ ...box, y: box.y + await page.evaluate(() => scrollY) })), fullPage: true });
  await page.fill("#flame-search", "");
  await flame.focus();
  for (const key of ["ArrowDown", "ArrowDown", "ArrowRight", "Enter"]) await page.keyboard.press(key);
  holds((await data(page, "flame", "zoom")).length > 0, "looked into a box by the keyboard");
  await page.keyboard.press("Escape");
  same(await data(page, "flame", "zoom"), "", "and back by the keyboard");

  // The map of the heap, the tooltip, the theme, the file of comma separated values.
  const map = page.locator("canvas[data-chart=spans]");
  await map.scrollIntoViewIfNeeded();
  await map.click({ position: { x: 4, y: 4 } });
  holds((await page.textContent("#spans-detail")).includes("in use"), "the figures of a span");
  await page.locator("[data-chart=lifetimes] .bar").nth(4).hover();
  holds(await page.locator("#tip").isVisible(), "a tooltip");
  await page.click("#theme");
  same(await page.locator("html").getAttribute("data-theme"), "dark", "the other theme");
  const [file] = await Promise.all([page.waitForEvent("download"), page.click("#csv")]);
  same(file.suggestedFilename(), "allod-sites.csv", "the name of the file");
  await page.finish();
}

async function changesAreShown() {
  const page = await open("changed.html");
  same(await page.locator("[data-key=change]").count(), 1, "a column for the change");
  const cells = await page.locator("[data-chart=sites] td.up, [data-chart=sites] td.down").allTextContents();
  holds(cells.some((it) => it.startsWith("+")) && cells.some((it) => it.startsWith("−")), "more and less");
  holds((await page.textContent("[data-chart=sites]")).includes("Cache::put"), "what has gone is listed");
  await shot(page, "changed");
  await page.finish();
}

async function nothingIsNoFailure() {
  const page = await open("nothing.html");
  holds((await page.locator(".empty:visible").count()) >= 6, "each chart says why it is empty");
  await shot(page, "nothing");
  await page.finish();
}

async function namesAreNotMarkup() {
  const page = await open("hostile.html");
  same(await page.locator("img").count(), 0, "a name became an image");
  holds((await page.textContent("#sites")).includes("<img src=x"), "the name is shown as it is");
  same(await page.locator("[data-chart=types] .cell").count() > 2, true, "places stand in for types");
  await page.finish();
}

async function itPrints() {
  const page = await open("server.html", { theme: "dark" });
  await page.emulateMedia({ media: "print" });
  const file = await page.pdf({ format: "A4" });
  holds(file.length > 20000, "paper has something on it");
  holds(!(await page.locator("#bar").isVisible()), "no switches on paper");
  await page.finish();
}

// Reports of real programs, when there are some: everything opens, nothing complains.
async function realOnes() {
  for (const name of readdirSync(reports).filter((it) => it.startsWith("real-") && it.endsWith(".html"))) {
    const page = await open(name);
    holds((await number(page, "flame", "boxes")) > 3, `${name}: a flame graph`);
    holds((await number(page, "sites", "rows")) > 0, `${name}: places`);
    await shot(page, name.replace(".html", ""));
    await page.finish();
  }
}

try {
  for (const part of [everythingIsThere, everythingCanBeUsed, changesAreShown, nothingIsNoFailure, namesAreNotMarkup, itPrints, realOnes]) {
    await part();
    console.log("ok", part.name);
  }
  console.log(`${checks} checks`);
} finally {
  await context.close();
  rmSync(profile, { recursive: true, force: true });
}
