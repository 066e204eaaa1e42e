// The flame graph: stacks as boxes on a canvas, the outermost call on top.
//
// A box is as wide as what was allocated below it. With two profiles a box is as wide
// as the larger of the two, so that what has gone is still seen, and the colour says
// which way it went.

function flameGraph() {
  // Rows end where no box is wide enough for a name, or after some rows to be seen.
  const ROW = 21, LEAST = 0.4, SEEN = 3, NAMED = 26, ROWS = 24;
  const options = { invert: false, library: false, types: false, recursion: false };
  let search = "", root = null, zoom = null, boxes = [], focus = null, hover = null, drawn = null;

  const tick = (key, words) => el("label", { class: "tick" }, el("input", {
    type: "checkbox", id: "flame-" + key, checked: key === "library" ? !options.library : options[key],
    onchange: (event) => { options[key] = key === "library" ? !event.target.checked : event.target.checked; rebuild(); },
  }), words);
  const found = el("span", { id: "flame-found", class: "mono" });
  const body = card("flame", "Flame graph",
    before ? "Each box is a call; the boxes below it are what it called. Width is the larger of before and after: orange grew, blue shrank, grey stayed. Click a box to look into it."
      : "Each box is a call, and the boxes below it are what it called: the wider a box, the more of the memory was asked for from there. Click a box to look into it, click the top to come back.",
    tick("library", "hide library calls"), tick("invert", "from the inside out"), tick("types", "types as leaves"), tick("recursion", "merge recursion"),
    el("input", { type: "search", id: "flame-search", placeholder: "find a function", "aria-label": "Find a function in the flame graph", oninput: (event) => { search = event.target.value.toLowerCase(); paint(); } }),
    el("button", { class: "plain", id: "flame-reset", onclick: () => { zoom = null; lay(); } }, "Reset"), found);
  const canvas = el("canvas", { tabindex: 0, role: "application", "data-chart": "flame", "aria-label": "Flame graph. Arrow keys move, Enter looks into a box, Escape comes back.", "aria-describedby": "flame-detail" });
  const detail = el("p", { class: "detail", id: "flame-detail", "aria-live": "polite" });
  const nothing = empty("No samples match.");
  body.append(canvas, detail, nothing,
    before ? legend(["grew", "warm"], ["shrank", "live"]) : legend(["your code", "warm"], ["library", "faint"], ["type", "teal"]));

  const node = (name, kind, frame, parent) => ({ name, kind, frame, parent, value: 0, old: 0, own: 0, ownOld: 0, size: 0, children: new Map() });
  function grow(owner, sites, into) {
    for (const site of sites) {
      const value = weight(owner, site);
      if (!(value > 0)) continue;
      let path = site.stack.map((index) => owner.frames[index]).filter((it) => options.library || !it.library);
      if (!path.length && site.stack.length) path = [owner.frames[site.stack[0]]];
      if (!options.invert) path = path.slice().reverse();
      let at = root;
      at[into] += value;
      const step = (name, kind, frame) => {
        let next = at.children.get(name);
        if (!next) { next = node(name, kind, frame, at); at.children.set(name, next); }
        next[into] += value;
        at = next;
      };
      const type = options.types && site.type && ["‹" + site.type + "›", "type", null];
      if (type && options.invert) step(...type);
      for (const frame of path) {
        const name = frame.function;
        let again = options.recursion ? at : null;
        while (again && again.name !== name) again = again.parent;
        if (again) at = again; // Entered a second time: what it asks for is its own.
        else step(name, frame.library ? "library" : "own", frame);
      }
      if (type && !options.invert) step(...type);
      at[into === "value" ? "own" : "ownOld"] += value;
    }
  }
  function measure(it) {
    it.size = Math.max(it.own, it.ownOld);
    for (const child of it.children.values()) it.size += measure(child);
    return it.size;
  }
  const trail = (it) => { const names = []; for (; it && it.parent; it = it.parent) names.unshift(it.name); return names; };
  const walk = (names) => names.reduce((at, name) => at && at.children.get(name), root);

  function rebuild() {
    const was = zoom && trail(zoom);
    root = node("all of it", "root", null, null);
    grow(profile, chosen(), "value");
    if (before) grow(before, chosen(before), "old");
    measure(root);
    zoom = (was && walk(was)) || null;
    if (zoom === root) zoom = null;
    focus = hover = null;
    lay();
  }
  // Boxes for what is below `zoom`, and a full row for each of its callers.
  function lay() {
    const wide = canvas.parentNode.clientWidth || 600;
    const target = zoom || root;
    boxes = [];
    const above = [];
    for (let it = target.parent; it; it = it.parent) above.unshift(it);
    above.forEach((it, depth) => boxes.push({ it, x: 0, wide, depth, dim: true }));
    let deepest = above.length;
    const place = (it, x, scale, depth) => {
      const own = it.size * scale;
      if (own < LEAST) return;
      boxes.push({ it, x, wide: own, depth });
      if (own >= NAMED || (own >= SEEN && depth < ROWS)) deepest = Math.max(deepest, depth);
      for (const child of [...it.children.values()].sort((a, b) => b.size - a.size || (a.name < b.name ? -1 : 1))) {
        place(child, x, scale, depth + 1);
        x += child.size * scale;
      }
    };
    if (target.size > 0) place(target, 0, wide / target.size, above.length);
    boxes = boxes.filter((box) => box.depth <= deepest);
    const has = target.size > 0;
    nothing.hidden = has; canvas.hidden = !has; detail.hidden = !has;
    const dense = window.devicePixelRatio || 1;
    const high = (deepest + 1) * ROW;
    canvas.width = Math.round(wide * dense); canvas.height = Math.round(high * dense);
    canvas.style.height = high + "px";
    canvas.dataset.boxes = boxes.length;
    canvas.dataset.zoom = zoom ? zoom.name : "";
    drawn = { wide, high, dense };
    paint();
  }
  function hue(text) {
    let hash = 7;
    for (let i = 0; i < text.length; i += 1) hash = (hash * 31 + text.charCodeAt(i)) >>> 0;
    return hash;
  }
  function fill(it) {
    const dark = document.documentElement.dataset.theme === "dark";
    if (it.kind === "root") return dark ? "#333f50" : "#dfe4ec";
    if (before) {
      const way = (it.value - it.old) / Math.max(it.value, it.old, 1);
      const strength = Math.min(1, Math.abs(way) * 1.3);
      if (strength < 0.03) return dark ? "#364152" : "#dde2ea";
      const light = dark ? 30 + 12 * strength : 88 - 26 * strength;
      return `hsl(${way > 0 ? 30 : 207} ${30 + 55 * strength}% ${light}%)`;
    }
    const spread = hue(it.frame ? it.frame.module + it.name.split("::")[0] + it.frame.file : it.name);
    if (it.kind === "type") return `hsl(${162 + (spread % 14)} 42% ${colour("flame-own")})`;
    if (it.kind === "library") return `hsl(${212 + (spread % 12)} 16% ${colour("flame-library")})`;
    return `hsl(${26 + (spread % 22)} ${68 + (spread % 14)}% ${colour("flame-own")})`;
  }
  function fit(pen, text, room) {
    if (pen.measureText(text).width <= room) return text;
    let low = 0, high = text.length;
    while (low < high) { const mid = (low + high + 1) >> 1; if (pen.measureText(text.slice(0, mid) + "…").width <= room) low = mid; else high = mid - 1; }
    return low > 1 ? text.slice(0, low) + "…" : "";
  }
  const title = (it) => (it.kind === "own" || it.kind === "library" ? it.frame.short || it.name : it.name);
  function paint() {
    if (!drawn || !root) return;
    const pen = canvas.getContext("2d");
    pen.setTransform(drawn.dense, 0, 0, drawn.dense, 0, 0);
    pen.clearRect(0, 0, drawn.wide, drawn.high);
    pen.font = "12px ui-sans-serif, system-ui, 'DejaVu Sans', sans-serif";
    pen.textBaseline = "middle";
    const ink = colour("flame-ink"), plum = colour("plum"), edge = colour("ink");
    let matched = 0;
    const isMatch = (it) => search !== "" && it.kind !== "root" && it.name.toLowerCase().includes(search);
    // Bytes below a match count once.
    const add = (it) => { if (isMatch(it)) matched += it.size; else for (const child of it.children.values()) add(child); };
    if (search) add(root);
    for (const { it, x, wide, depth, dim } of boxes) {
      const y = depth * ROW;
      const hit = isMatch(it);
      pen.globalAlpha = dim ? .55 : search && !hit ? .32 : 1;
      pen.fillStyle = hit ? plum : fill(it);
      pen.fillRect(x, y, Math.max(wide - 1, .6), ROW - 1);
      pen.globalAlpha = dim || (search && !hit) ? .7 : 1;
      if (wide > 26) { pen.fillStyle = hit ? "#fff" : ink; pen.fillText(fit(pen, title(it), wide - 10), x + 5, y + ROW / 2); }
      if (it === focus || it === hover) { pen.globalAlpha = 1; pen.strokeStyle = edge; pen.lineWidth = it === focus ? 2 : 1; pen.strokeRect(x + 1, y + 1, Math.max(wide - 3, 1), ROW - 3); }
    }
    pen.globalAlpha = 1;
    found.textContent = search ? percent(matched, root.size) + " in it" : "";
  }
  function words(it) {
    const size = before ? `${bytes(it.old)} → ${bytes(it.value)}` : `${bytes(it.value)}, ${percent(it.value, root.value)} of all`;
    const where = it.frame && it.frame.file ? `${it.frame.file}${it.frame.line ? ":" + it.frame.line : ""}` : it.frame && it.frame.module !== null && profile.modules[it.frame.module] ? profile.modules[it.frame.module].path : "";
    const own = it.own > 0 && it.children.size ? `${bytes(it.own)} directly` : "";
    return [it.name, size, where, own];
  }
  function tell(it) {
    const [name, ...rest] = it ? words(it) : words(zoom || root);
    detail.replaceChildren(el("b", {}, name), "  " + rest.filter(Boolean).join(" · "));
  }
  const under = (event) => {
    const area = canvas.getBoundingClientRect();
    const x = event.clientX - area.left, depth = Math.floor((event.clientY - area.top) / ROW);
    return boxes.find((box) => box.depth === depth && x >= box.x && x < box.x + box.wide) || null;
  };
  const enter = (it) => { zoom = it === root ? null : it; lay(); tell(it); };
  canvas.addEventListener("pointermove", (event) => {
    const box = under(event), it = box && box.it;
    canvas.style.cursor = it ? "pointer" : "default";
    if (it) tip.show(event, ...words(it)); else tip.hide();
    if (it !== hover) { hover = it; paint(); tell(it || focus); }
  });
  canvas.addEventListener("pointerleave", () => { hover = null; tip.hide(); paint(); });
  canvas.addEventListener("click", (event) => { const box = under(event); if (box) { focus = null; enter(box.it); } });
  canvas.addEventListener("keydown", (event) => {
    const way = { ArrowUp: "up", ArrowDown: "down", ArrowLeft: "left", ArrowRight: "right", Enter: "in", Escape: "out" }[event.key];
    if (!way) return;
    event.preventDefault();
    const at = focus || zoom || root;
    const seen = boxes.map((box) => box.it);
    const peers = at.parent ? seen.filter((it) => it.parent === at.parent) : [at];
    const next = { up: at.parent, down: seen.find((it) => it.parent === at), left: peers[peers.indexOf(at) - 1], right: peers[peers.indexOf(at) + 1] }[way];
    if (way === "in") enter(at);
    else if (way === "out") { zoom = null; focus = null; lay(); }
    else if (next) focus = next;
    paint(); tell(focus);
  });
  watchWidth(body, () => root && lay());
  follow(rebuild);
  onTheme(paint);
  rebuild();
  tell(null);
}
