// The allocator's own books: size classes, threads, and the labels of tasks.

const bars = (children) => el("div", { class: "bars" }, children);
const segments = (parts, whole, ...words) => el("div", { class: "stack", tabindex: 0, role: "img", ...told(...words) },
  parts.map(([value, tone, kind]) => value > 0 && el("i", { class: kind || null, style: `--c:var(--${tone});width:${(100 * value) / (whole || 1)}%` })));

function classChart() {
  const body = card("classes", "Size classes",
    "For each block size, the memory that its spans take: in use, free but kept by threads, free, and never touched. A long pale bar is memory that only this size can use.");
  const used = profile.classes.filter((it) => it.capacity > 0);
  if (!used.length) { body.append(empty("No figures of size classes are in this profile.")); return; }
  const most = Math.max(...used.map((it) => it.capacity * it.block_size));
  const waste = (it) => (it.carved - it.in_use) * it.block_size;
  const worst = used.reduce((a, b) => (waste(b) > waste(a) ? b : a));
  body.append(el("div", { class: "tall", "data-chart": "classes", "data-rows": used.length }, bars(used.flatMap((it) => {
    const free = Math.max(0, it.carved - it.in_use - it.cached), size = it.block_size;
    return [el("span", { class: "name" }, bytes(size).replace(".00", "")),
      segments([[it.in_use * size, "live"], [it.cached * size, "teal"], [free * size, "warm"], [(it.capacity - it.carved) * size, "retained", "hatch"]], most,
        `blocks of ${bytes(size)}`, `${count(it.in_use)} in use, ${count(it.cached)} kept by threads, ${count(free)} free, ${count(it.capacity - it.carved)} never touched`, `${count(it.spans)} spans, ${bytes(it.capacity * size)}`),
      el("span", { class: "number" }, percent(it.in_use, it.capacity) + " used")];
  }))), legend(["in use", "live"], ["kept by threads", "teal"], ["free", "warm"], ["never touched", "retained", "hatch"]),
  el("p", { class: "detail" }, waste(worst) > 0 ? `Most is free in blocks of ${bytes(worst.block_size)}: ${bytes(waste(worst))}.` : "Nothing is free."));
}

function threadChart() {
  const body = card("threads", "Threads",
    "Who allocates, whose memory is alive, and who frees what others have allocated: a thread that frees much for others is the receiving end of a queue.");
  const holder = el("div", { class: "scroll tall" });
  body.append(holder);
  function draw() {
    const live = new Map();
    for (const site of chosen()) live.set(site.thread, (live.get(site.thread) || 0) + weight(profile, site));
    const list = new Map(profile.threads.map((it, i) => [it.id || "ended " + i, { ...it }]));
    for (const id of live.keys()) if (id && !list.has(id)) list.set(id, { id, ended: true });
    if (!list.size) { holder.replaceChildren(empty("No thread had a heap.")); return; }
    const rows = [...list.values()].sort((a, b) => (b.allocations || 0) - (a.allocations || 0) || (live.get(b.id) || 0) - (live.get(a.id) || 0));
    const most = Math.max(...rows.map((it) => live.get(it.id) || 0), 1);
    holder.replaceChildren(el("table", { "data-chart": "threads", "data-rows": rows.length },
      el("thead", {}, el("tr", {}, ["Thread", VALUES[state.value], "Allocations", "Freed for others", "Kept"].map((it, i) => el("th", { class: "bare" + (i ? "" : " left"), scope: "col" }, it)))),
      el("tbody", {}, rows.map((it) => {
        const mine = live.get(it.id) || 0;
        const pick = () => it.id && change({ query: `thread:${it.id}` });
        return el("tr", it.id ? { class: "pick", ...pressed(pick), role: null } : {},
          el("td", { class: "left" }, it.id ? (it.id === profile.pid ? `${it.id} main` : String(it.id)) : "ended", it.ended ? " ended" : ""),
          el("td", {}, it.id ? bytes(mine) : "", el("span", { class: "share" }, el("i", { style: `width:${(100 * mine) / most}%` }))),
          el("td", {}, it.allocations === undefined ? "" : count(it.allocations)), el("td", {}, it.remote_frees === undefined ? "" : count(it.remote_frees)), el("td", {}, it.cached_bytes === undefined ? "" : bytes(it.cached_bytes)));
      }))));
  }
  follow(draw);
  draw();
}

function taskChart() {
  const body = card("tasks", "Tasks",
    "Memory by the label that the program gave to what it was doing, a request or a job for example. Click a label to see only that.");
  const holder = el("div");
  body.append(holder);
  const labelled = profile.sites.some((site) => site.label);
  function draw() {
    if (!labelled) { holder.replaceChildren(empty("The program gave no labels.")); return; }
    const groups = new Map();
    for (const site of chosen()) groups.set(site.label, (groups.get(site.label) || 0) + weight(profile, site));
    const list = [...groups].sort((a, b) => b[1] - a[1]).slice(0, 30);
    const whole = sum(list, ([, it]) => it), most = Math.max(...list.map(([, it]) => it), 1);
    holder.replaceChildren(el("div", { "data-chart": "tasks", "data-rows": list.length }, bars(list.flatMap(([label, value]) => [
      label ? el("button", { class: "name", onclick: () => change({ query: quoted("task", label) }) }, label) : el("span", { class: "name" }, "no label"),
      segments([[value, label ? "plum" : "retained"]], most, label || "no label", `${bytes(value)}, ${percent(value, whole)}`),
      el("span", { class: "number" }, bytes(value))]))));
  }
  follow(draw);
  draw();
}
