// The strip at the top, the bar that all charts follow, the findings, and the start.

const themed = [];
const onTheme = (draw) => themed.push(draw);
function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  themed.forEach((draw) => draw());
}
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
setTheme(prefersDark.matches ? "dark" : "light");
prefersDark.addEventListener("change", () => setTheme(prefersDark.matches ? "dark" : "light"));
// Paper is white.
let themeBefore = null;
addEventListener("beforeprint", () => { themeBefore = document.documentElement.dataset.theme; setTheme("light"); });
addEventListener("afterprint", () => { if (themeBefore) setTheme(themeBefore); });

const REASONS = { exit: "at its end", signal: "on a signal", peak: "at a peak", "out of memory": "when memory ran out", demand: "on demand" };
const nameOf = (path) => path.split("/").pop() || path;
const when = (nanos) => new Date(nanos / 1e6).toISOString().replace("T", " ").replace(/\.\d+Z/, " UTC");

function strip() {
  const ledger = profile.ledger;
  document.title = `${profile.name} — Allod`;
  const fact = (name, value, more) => el("div", {}, el("dt", {}, name), el("dd", {}, value, more && el("small", {}, " " + more)));
  const old = before && before.ledger;
  by("strip").append(
    el("div", { class: "who" }, el("h1", {}, profile.name || "a program"),
      el("p", { class: "sub" }, [profile.pid && `process ${profile.pid}`, profile.elapsed_ns && `ran ${time(profile.elapsed_ns)}`, profile.reason && `written ${REASONS[profile.reason] || profile.reason}`,
        before && `compared with process ${before.pid}`].filter(Boolean).join(" · "))),
    el("dl", { class: "figures" }, !ledger.live_bytes && !ledger.resident_bytes && profile.sites.length ? [
      // Of another tool: there are samples, and no figures of the process.
      fact("Live", bytes(sum(profile.sites, (it) => it.live.bytes)), "estimated"),
      fact("Allocated", bytes(sum(profile.sites, (it) => it.allocated.bytes)), "estimated"),
    ] : [
      fact("Peak live", bytes(ledger.peak_live_bytes), old ? "was " + bytes(old.peak_live_bytes) : "after " + time(ledger.peak_at_ns)),
      fact("Live", bytes(ledger.live_bytes), old ? "was " + bytes(old.live_bytes) : null),
      fact("Resident", bytes(ledger.resident_bytes), ledger.live_bytes > ledger.peak_live_bytes / 10 ? (ledger.resident_bytes / ledger.live_bytes).toFixed(2) + " × live" : null),
      fact("Allocations", count(ledger.allocations)),
      fact("Threads", count(ledger.peak_threads), "at most"),
    ]));
}

function bar() {
  const values = Object.entries(VALUES).map(([key, name]) => el("button", { "data-value": key, title: HELP[key], onclick: () => change({ value: key }) }, name));
  const query = el("input", { type: "search", id: "query", placeholder: "filter: words of a stack, type:… task:… thread:…", "aria-label": "Filter all charts", oninput: (event) => change({ query: event.target.value }) });
  const window_ = el("button", { class: "chip", onclick: () => change({ window: null }) });
  const place = el("button", { class: "chip", onclick: () => change({ place: null }) });
  const theme = el("button", { class: "plain", id: "theme", onclick: () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark") }, "Light or dark");
  by("bar").append(el("div", { class: "switch", role: "group", "aria-label": "Which bytes" }, values), query, window_, place, theme);
  const draw = () => {
    values.forEach((it) => it.setAttribute("aria-pressed", String(it.dataset.value === state.value)));
    if (query.value !== state.query) query.value = state.query;
    window_.hidden = !state.window;
    window_.textContent = state.window ? `${time(state.window[0])} to ${time(state.window[1])}${state.value === "live" ? "" : ", for what is live"}` : "";
    place.hidden = state.place === null;
    place.textContent = state.place === null ? "" : profile.places[state.place].name;
  };
  follow(draw);
  draw();
}

// A few true sentences, for who has ten seconds.
function findings() {
  const box = by("findings"), list = [];
  const say = (kind, title, ...words) => list.push(el("li", { class: kind }, el("h3", {}, title), el("p", {}, words)));
  const rows = gather(profile, profile.sites), b = (text) => el("b", {}, text);
  const name = (row) => row.of.name + (row.of.file ? ` (${row.of.file.split("/").pop()}${row.of.line ? ":" + row.of.line : ""})` : "");
  const peak = sum(rows, (it) => it.peak.bytes);
  const top = [...rows].sort((x, y) => y.peak.bytes - x.peak.bytes)[0];
  if (top && peak > 0) say("", "Most at the peak", b(name(top)), ` holds ${bytes(top.peak.bytes)}, ${percent(top.peak.bytes, peak)} of what is alive`, top.of.type ? `, in ${top.of.type}.` : ".");
  const growing = rows.filter((it) => it.of.growth).sort((x, y) => y.of.growth.bytes_per_second - x.of.growth.bytes_per_second);
  if (growing.length) say("grows", "Grows without end", b(name(growing[0])), ` gains ${bytes(growing[0].of.growth.bytes_per_second * 60)} a minute${growing[0].of.growth.is_kept ? " and has not let go" : ", until the program ends and frees it"}`, growing.length > 1 ? `; ${growing.length - 1} more grow as well.` : ".");
  else if (profile.history_at_ns.length >= 8) say("", "Grows without end", "No place does, as far as the samples tell.");
  const brief = [...rows].sort((x, y) => y.short.bytes - x.short.bytes)[0], allocated = sum(rows, (it) => it.allocated.bytes), short = sum(rows, (it) => it.short.bytes);
  if (brief && short > 0) say("brief", "Thrown away at once", `${percent(short, allocated)} of all bytes live less than a millisecond; `, b(name(brief)), ` alone asks for ${percent(brief.short.bytes, short)} of these.`);
  const nameless = sum(profile.sites.filter((site) => { const own = site.stack.map((at) => profile.frames[at]).find((it) => !it.library); return own && !own.named; }), (it) => it.peak.bytes);
  if (peak > 0 && nameless > peak / 4) say("cost", "Names are missing", `${percent(nameless, peak)} of that was asked for by code without a name, so it goes to the nearest caller that has one. `, b("allod check"), " says where its debug information is.");
  const ledger = profile.ledger, cost = ledger.resident_bytes - ledger.live_bytes;
  if (ledger.resident_bytes > 0) {
    const parts = [["free blocks", ledger.free_blocks_bytes], ["threads' caches", ledger.cached_bytes], ["memory retained for reuse", ledger.retained_bytes], ["records", ledger.metadata_bytes]].sort((x, y) => y[1] - x[1]);
    say("cost", "What keeping it costs", cost > 0 ? b(bytes(cost)) : "Nothing", cost > 0 ? ` more than is alive, the largest part of it ${parts[0][0]} (${bytes(parts[0][1])}).` : ": some of what is alive was never touched.");
  }
  box.append(el("h2", { id: "findings-h" }, "At a glance"), list.length ? el("ul", {}, list) : empty("Nothing was sampled: the program allocated too little, or the profiler was off."));
}

function provenance() {
  const body = card("provenance", "Where these figures come from",
    "Sizes of sites are estimates from samples, with one standard deviation beside them; the figures at the top, the classes and the map are counted exactly.");
  const samples = profile.samples, ledger = profile.ledger;
  const facts = [
    ["Command", profile.command.join(" ") || profile.program], ["Program", profile.program], ...(profile.started_ns ? [["Started", when(profile.started_ns)]] : []),
    ["Sampled", profile.interval_bytes ? `every ${bytes(profile.interval_bytes)} on average: ${count(samples.taken)} samples, ${count(samples.dropped)} dropped, ${count(samples.truncated)} with an incomplete stack` : "not at all"],
    ["Profiler's tables", bytes(ledger.profiler_bytes)], ["Address space", bytes(ledger.mapped_bytes)],
    ...profile.modules.filter((it) => it.symbols !== "not looked").map((it) => [nameOf(it.path), `${it.symbols}${it.build_id ? " · build " + it.build_id : ""}`]),
  ];
  body.append(el("dl", { class: "facts" }, facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])));
}

// A program that cleans up before it ends has nothing alive then: what it held at its
// peak is what there is to see.
if (sum(profile.sites, (it) => it.live.bytes) < sum(profile.sites, (it) => it.peak.bytes) / 10) state.value = "peak";
strip();
bar();
findings();
timeChart();
flameGraph();
siteTable();
typeMap();
lifetimeChart();
sizeChart();
classChart();
spanMap();
threadChart();
taskChart();
provenance();
document.documentElement.dataset.ready = "true";
