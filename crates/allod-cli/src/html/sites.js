// The table of places: sortable, filterable, with the stacks behind each row.

function siteTable() {
  const FIRST = 15;
  let key = before ? "change" : "weight", way = -1, unfolded = false;
  const previous = before && new Map(gather(before, before.sites).map((row) => [placeKey(before, row.of), row]));

  const ratio = (part, whole) => (whole > 0 ? part / whole : 0);
  const COLUMNS = [
    { key: "place", name: "Place", left: true, of: (it) => it.of.name },
    { key: "type", name: "Type", left: true, of: (it) => it.of.type },
    { key: "weight", name: () => (state.window && state.value === "live" ? "In the window" : VALUES[state.value]), of: (it) => it.weight },
    { key: "deviation", name: "±", help: "One standard deviation: two times in three the truth is within", of: (it) => ratio(Math.sqrt(amount(it).variance), amount(it).bytes) },
    before && { key: "before", name: "Before", of: (it) => it.before },
    before && { key: "change", name: "Change", of: (it) => Math.abs(it.weight - it.before), signed: true },
    { key: "allocations", name: "Allocations", of: (it) => it.allocated.count },
    { key: "median", name: "Median life", of: (it) => { const m = median(it.lifetimes, it.live.count); return Number.isNaN(m) ? -1 : m; } },
    { key: "short", name: "Short-lived", help: "Of the bytes allocated here, freed within a millisecond", of: (it) => ratio(it.short.bytes, it.allocated.bytes) },
    { key: "remote", name: "Freed by others", help: "Of the bytes allocated here, freed by another thread", of: (it) => ratio(it.remote.bytes, it.allocated.bytes) },
    { key: "growth", name: "History", of: (it) => (it.of.growth ? it.of.growth.bytes_per_second : 0) },
  ].filter(Boolean);
  const amount = (it) => it[state.value];

  const body = card("sites", "Top sites",
    "Where memory was asked for, by the line of the program outside the standard library. Click a row to see its stacks and to let the other charts follow it.",
    el("button", { class: "plain", id: "csv", onclick: csv }, "Save as CSV"));
  const table = el("table", { "data-chart": "sites" });
  const more = el("button", { class: "plain", id: "sites-more", onclick: () => { unfolded = !unfolded; draw(); } });
  body.append(el("div", { class: "scroll" }, table), more);

  function rows() {
    // What was never sampled, as far as this profile goes, is no row.
    const list = gather(profile, matching()).filter((it) => it.allocated.bytes > 0 || it.live.bytes > 0);
    if (before) {
      const test = parse(state.query);
      const keys = new Set(list.map((row) => placeKey(profile, row.of)));
      for (const row of list) { const old = previous.get(placeKey(profile, row.of)); row.before = old ? old[state.value].bytes : 0; }
      for (const [name, old] of previous) {
        if (keys.has(name) || !old.sites.some(test)) continue;
        const gone = { place: null, of: old.of, weight: 0, before: old[state.value].bytes, lifetimes: [], history: [], sites: [] };
        for (const it of amounts) gone[it] = { count: 0, bytes: 0, variance: 0 };
        list.push(gone);
      }
    }
    const column = COLUMNS.find((it) => it.key === key) || COLUMNS[2];
    return list.map((it) => [column.of(it), it])
      .sort(([a], [b]) => way * (typeof a === "string" ? a.localeCompare(b) : a - b)).map(([, it]) => it);
  }
  function spark(history, growth) {
    if (history.length < 2) return "";
    const most = Math.max(...history, 1);
    const points = history.map((it, i) => `${((i * 96) / (history.length - 1)).toFixed(1)},${(20 - (it / most) * 17).toFixed(1)}`);
    const tone = growth ? "var(--warm)" : "var(--live)";
    return svg("svg", { viewBox: "0 0 96 22", role: "img", "aria-label": "history up to " + bytes(most) },
      svg("polygon", { points: `0,21 ${points.join(" ")} 96,21`, fill: tone, "fill-opacity": .16 }),
      svg("polyline", { points: points.join(" "), fill: "none", stroke: tone, "stroke-width": 1.5 }));
  }
  const rate = (growth) => `grows ${bytes(growth.bytes_per_second * 60)}/min`;
  function line(it, whole) {
    const picked = it.place !== null && it.place === state.place;
    const where = it.of.file ? it.of.file + (it.of.line ? ":" + it.of.line : "") : it.of.module;
    const pick = () => it.place !== null && change({ place: picked ? null : it.place });
    const moved = it.weight - it.before;
    return el("tr", { class: "pick", tabindex: 0, "aria-selected": String(picked), "data-place": it.place,
      onclick: pick, onkeydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); pick(); } } },
    el("td", { class: "left place", title: it.of.function }, it.of.name || "unknown", " ",
      it.of.growth && el("span", { class: "badge", title: `A straight line explains ${percent(it.of.growth.r2, 1)} of its history` }, rate(it.of.growth)),
      el("div", { class: "file" }, where)),
    el("td", { class: "left type" }, it.of.type),
    el("td", {}, bytes(it.weight), el("span", { class: "share" }, el("i", { style: `width:${(100 * ratio(it.weight, whole)).toFixed(1)}%` }))),
    el("td", { class: "quiet" }, plusMinus(amount(it)).slice(2)),
    before && el("td", { class: "quiet" }, bytes(it.before)),
    before && el("td", { class: Math.abs(moved) < 1 ? "quiet" : moved > 0 ? "up" : "down" }, Math.abs(moved) < 1 ? "same" : (moved > 0 ? "+" : "−") + bytes(Math.abs(moved))),
    el("td", {}, count(it.allocated.count)),
    el("td", {}, lifetimeWords(median(it.lifetimes, it.live.count))),
    el("td", {}, percent(it.short.bytes, it.allocated.bytes)),
    el("td", {}, percent(it.remote.bytes, it.allocated.bytes)),
    el("td", {}, spark(it.history, it.of.growth)));
  }
  function stacks(it) {
    const best = [...it.sites].sort((a, b) => weight(profile, b) - weight(profile, a)).slice(0, 3);
    return el("tr", { class: "stacks" }, el("td", { colspan: COLUMNS.length }, best.map((site) => [
      el("h4", {}, [bytes(weight(profile, site)), `blocks of ${bytes(site.block_size)}`, site.thread ? `thread ${site.thread}` : "several threads", site.label && `task ${site.label}`].filter(Boolean).join(" · ")),
      el("ol", {}, site.stack.map((index) => { const frame = profile.frames[index]; return el("li", { class: "mono" + (frame.library ? " library" : "") }, frame.function, el("span", { class: "file" }, frame.file ? `  ${frame.file}${frame.line ? ":" + frame.line : ""}` : "")); })),
      site.truncated && el("p", { class: "file" }, "The outer end of this stack was not reached."),
    ]), it.sites.length > 3 && el("p", { class: "file" }, `and ${it.sites.length - 3} more stacks, sizes and threads`)));
  }
  function draw() {
    const list = rows(), whole = Math.max(...list.map((it) => it.weight), 1);
    const shown = unfolded ? list : list.slice(0, FIRST);
    const head = COLUMNS.map((column) => el("th", { class: column.left ? "left" : null, scope: "col", title: column.help, "aria-sort": column.key === key ? (way < 0 ? "descending" : "ascending") : null },
      el("button", { "data-key": column.key, onclick: () => { way = key === column.key ? -way : column.left ? 1 : -1; key = column.key; draw(); } }, typeof column.name === "function" ? column.name() : column.name)));
    table.replaceChildren(el("thead", {}, el("tr", {}, head)),
      el("tbody", {}, shown.flatMap((it) => (it.place !== null && it.place === state.place ? [line(it, whole), stacks(it)] : [line(it, whole)]))));
    if (!list.length) table.replaceChildren(el("tbody", {}, el("tr", {}, el("td", { class: "left" }, empty(profile.sites.length ? "No site matches the filter." : "Nothing was sampled: the program allocated too little, or the profiler was off.")))));
    more.hidden = list.length <= FIRST;
    more.textContent = unfolded ? "Show the first " + FIRST : `Show all ${list.length}`;
    table.dataset.rows = list.length;
  }
  function csv() {
    const cell = (it) => (/[",\n]/.test(String(it)) ? `"${String(it).replaceAll('"', '""')}"` : String(it));
    const head = ["function", "file", "line", "type", "live_bytes", "live_deviation_bytes", "live_count", "peak_bytes", "allocated_bytes", "allocations", "short_bytes", "remote_bytes", "median_lifetime_ns", "growth_bytes_per_second"];
    const lines = rows().map((it) => [it.of.function, it.of.file, it.of.line, it.of.type, Math.round(it.live.bytes), Math.round(Math.sqrt(it.live.variance)), Math.round(it.live.count), Math.round(it.peak.bytes), Math.round(it.allocated.bytes), Math.round(it.allocated.count), Math.round(it.short.bytes), Math.round(it.remote.bytes),
      Number.isFinite(median(it.lifetimes, it.live.count)) ? Math.round(median(it.lifetimes, it.live.count)) : "", it.of.growth ? Math.round(it.of.growth.bytes_per_second) : ""]);
    const text = [head, ...lines].map((it) => it.map(cell).join(",")).join("\r\n") + "\r\n";
    const link = el("a", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: "allod-sites.csv" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }
  follow(draw);
  draw();
}
