// Elements, amounts in words, the tooltip, and the state that all charts follow.

const SVG = "http://www.w3.org/2000/svg";

function put(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((it) => it !== null && it !== undefined && it !== false));
  return node;
}
// Text only ever becomes text nodes: names come from programs and are not markup.
const el = (tag, attributes, ...children) => put(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => put(document.createElementNS(SVG, tag), attributes, children);
const by = (id) => document.getElementById(id);
const sum = (list, of) => list.reduce((total, it) => total + (of(it) || 0), 0);
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

// Three digits and a unit.
function digits(x) {
  const size = Math.abs(x);
  return size >= 100 ? x.toFixed(0) : size >= 10 ? x.toFixed(1) : x.toFixed(2);
}
function bytes(x) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  while (Math.abs(x) >= 1024 && unit < units.length - 1) { x /= 1024; unit += 1; }
  return (unit === 0 ? x.toFixed(0) : digits(x)) + " " + units[unit];
}
function count(x) {
  const units = ["", " k", " M", " G", " T"];
  let unit = 0;
  while (Math.abs(x) >= (unit ? 1000 : 10000) && unit < units.length - 1) { x /= 1000; unit += 1; }
  return unit === 0 ? Math.round(x).toLocaleString("en") : digits(x) + units[unit];
}
function time(nanos) {
  for (const [big, small, size, part] of [["h", "min", 3600e9, 60e9], ["min", "s", 60e9, 1e9]]) {
    const rest = Math.floor((nanos % size) / part);
    if (nanos >= size) return `${Math.floor(nanos / size)} ${big}${rest ? ` ${rest} ${small}` : ""}`;
  }
  for (const [unit, size] of [["s", 1e9], ["ms", 1e6], ["µs", 1e3]]) if (nanos >= size) return digits(nanos / size) + " " + unit;
  return Math.round(nanos) + " ns";
}
const percent = (part, whole) => {
  if (!(whole > 0)) return "–";
  const share = (100 * part) / whole;
  return (share > 0 && share < 0.95 ? "<1" : share.toFixed(0)) + " %";
};
// One standard deviation, as a share.
const plusMinus = (amount) =>
  amount.bytes > 0 && amount.variance > 0 ? "± " + percent(Math.sqrt(amount.variance), amount.bytes) : "";

// A round step of an axis: about `parts` of them up to `top`, in powers of two for bytes.
function ticks(top, parts, binary) {
  if (!(top > 0)) return [0];
  let step = binary ? 2 ** Math.floor(Math.log2(top / parts)) : 10 ** Math.floor(Math.log10(top / parts));
  while (top / step > parts * 1.5) step *= 2;
  const list = [];
  for (let at = 0; at <= top * 1.0001; at += step) list.push(at);
  return list;
}
// The same for times, in steps that clocks have.
function clockTicks(from, to, parts) {
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400].map((it) => it * 1e9);
  const span = to - from;
  let step = steps.find((it) => span / it <= parts) || steps[steps.length - 1] * Math.ceil(span / steps[steps.length - 1] / parts);
  if (span < 2e9) { step = 10 ** Math.floor(Math.log10(span / 2 || 1)); while (span / step > parts) step *= 2; }
  const list = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) list.push(at);
  return list;
}

const tip = {
  show(event, ...lines) {
    const box = by("tip");
    box.replaceChildren(...lines.filter(Boolean).map((line, i) => el("div", { class: i > 1 ? "dim" : null }, i === 0 ? el("b", {}, line) : line)));
    box.hidden = false;
    const wide = box.offsetWidth, high = box.offsetHeight;
    box.style.left = clamp(event.clientX + 14, 6, innerWidth - wide - 6) + "px";
    box.style.top = (event.clientY + 18 + high > innerHeight ? event.clientY - high - 12 : event.clientY + 18) + "px";
  },
  hide() { by("tip").hidden = true; },
};
// A tooltip for the mouse, and the same words for a reader of the screen.
const told = (...lines) => ({
  onpointermove: (event) => tip.show(event, ...lines),
  onpointerleave: tip.hide,
  "aria-label": lines.filter(Boolean).join(", "),
});

// Enter and space press what is no button.
const pressed = (action) => ({
  tabindex: 0, role: "button", onclick: action,
  onkeydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); action(event); } },
});

// What all charts follow: `value`, `query`, `window` (nanoseconds), `place` (an index).
const state = { value: "live", query: "", window: null, place: null };
const followers = [];
const follow = (draw) => followers.push(draw);
let drawing = false;
function change(patch) {
  Object.assign(state, patch);
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => { drawing = false; followers.forEach((draw) => draw()); });
}

// Title, the sentence that says how to read it, and the room for the chart.
function card(id, title, hint, ...tools) {
  const body = el("div", { class: "body" });
  by(id).append(
    el("div", { class: "head" }, el("h2", { id: id + "-h" }, title), el("div", { class: "tools" }, tools)),
    el("p", { class: "hint" }, hint), body);
  return body;
}
const empty = (text) => el("p", { class: "empty" }, text);
const legend = (...items) => el("ul", { class: "legend" },
  items.map(([name, variable, kind]) => el("li", {}, el("i", { class: kind || null, style: `--c:var(--${variable})` }), name)));

// A card wakes when the width changes, and draws for what is there.
function watchWidth(node, draw) {
  let last = 0;
  new ResizeObserver(() => { const wide = Math.round(node.clientWidth); if (wide !== last) { last = wide; draw(); } }).observe(node);
}
