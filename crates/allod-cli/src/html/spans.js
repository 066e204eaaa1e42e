// The map of spans: each square is a slice of 32 KiB, each tile 2 MiB of addresses.

function spanMap() {
  const SLICE = 32768, CHUNK = 2097152, SIDE = 8;
  const body = card("spans", "Map of the heap",
    "Each square is 32 KiB of addresses, each tile 2 MiB. Blue squares are full of live objects; sand-coloured ones are held open by a few, and many of those are fragmentation.");
  const spans = profile.spans;
  if (!spans.length) { body.append(empty("No map of spans is in this profile.")); return; }
  const small = spans.filter((it) => it.bytes <= CHUNK), huge = spans.filter((it) => it.bytes > CHUNK);
  const level = (it) => { const full = it.in_use_bytes / it.bytes; return full > .9 ? 5 : full > .75 ? 4 : full > .5 ? 3 : full > .25 ? 2 : full > .1 ? 1 : 0; };
  const canvas = el("canvas", { tabindex: 0, role: "img", "data-chart": "spans", "data-spans": spans.length, "aria-label": "Map of spans by how full they are. Arrow keys go from span to span.", "aria-describedby": "spans-detail" });
  const detail = el("p", { class: "detail", id: "spans-detail", "aria-live": "polite" });
  const sparse = small.filter((it) => it.in_use_bytes < it.bytes / 4);
  const summary = () => detail.replaceChildren(sparse.length
    ? `${count(sparse.length)} of ${count(small.length)} spans are less than a quarter full; ${bytes(sum(sparse, (it) => it.bytes - it.in_use_bytes))} in them is free.`
    : "No span is less than a quarter full.");
  const chunks = [...new Set(small.map((it) => Math.floor(it.address / CHUNK)))].sort((a, b) => a - b);
  const place = new Map(chunks.map((it, i) => [it, i]));
  const owner = new Map(); // From a slice's number to its span.
  for (const it of small) for (let at = it.address; at < it.address + it.bytes; at += SLICE) owner.set(Math.floor(at / SLICE), it);
  let chosenSpan = null, geometry = null;
  const spot = (slice) => {
    const tile = place.get(Math.floor(slice / 64));
    if (tile === undefined) return null;
    const { cell, across, tileSize } = geometry, inside = slice % 64;
    return [(tile % across) * tileSize + (inside % SIDE) * cell, Math.floor(tile / across) * tileSize + Math.floor(inside / SIDE) * cell];
  };
  function draw() {
    const wide = Math.max(200, canvas.parentNode.clientWidth);
    const cell = chunks.length <= 24 ? 9 : chunks.length <= 200 ? 6 : 4;
    const tileSize = cell * SIDE + 5;
    const across = Math.max(1, Math.floor(wide / tileSize));
    geometry = { cell, across, tileSize };
    const high = Math.max(1, Math.ceil(chunks.length / across) * tileSize), dense = window.devicePixelRatio || 1;
    canvas.width = Math.round(across * tileSize * dense); canvas.height = Math.round(high * dense);
    canvas.style.width = across * tileSize + "px"; canvas.style.height = high + "px";
    const pen = canvas.getContext("2d");
    pen.setTransform(dense, 0, 0, dense, 0, 0);
    const tones = [0, 1, 2, 3, 4, 5].map((it) => colour("heat-" + it)), wash = colour("wash");
    chunks.forEach((_, i) => { pen.fillStyle = wash; pen.fillRect((i % across) * tileSize, Math.floor(i / across) * tileSize, cell * SIDE, cell * SIDE); });
    for (const [slice, it] of owner) {
      const at = spot(slice);
      if (!at) continue;
      pen.fillStyle = it === chosenSpan ? colour("ink") : tones[level(it)];
      // Slices of one span hang together.
      const joined = owner.get(slice + 1) === it && slice % SIDE !== SIDE - 1;
      pen.fillRect(at[0], at[1], cell - (joined ? 0 : 1), cell - 1);
    }
  }
  function pick(it) {
    chosenSpan = it;
    if (it) {
      detail.replaceChildren(el("b", {}, `${percent(it.in_use_bytes, it.bytes)} full`), ` · ${bytes(it.in_use_bytes)} of ${bytes(it.bytes)} in use · ${it.block_size ? "blocks of " + bytes(it.block_size) : "one large object"} · at `, el("span", { class: "mono" }, "0x" + it.address.toString(16)));
    } else summary();
    canvas.dataset.picked = it ? it.address : "";
    draw();
  }
  const under = (event) => {
    const area = canvas.getBoundingClientRect(), { cell, across, tileSize } = geometry;
    const x = event.clientX - area.left, y = event.clientY - area.top;
    const tile = Math.floor(x / tileSize) + Math.floor(y / tileSize) * across;
    const column = Math.floor((x % tileSize) / cell), row = Math.floor((y % tileSize) / cell);
    if (column >= SIDE || row >= SIDE || chunks[tile] === undefined) return null;
    return owner.get(chunks[tile] * 64 + row * SIDE + column) || null;
  };
  canvas.addEventListener("click", (event) => pick(under(event)));
  canvas.addEventListener("pointermove", (event) => {
    const it = under(event);
    if (it) tip.show(event, `${percent(it.in_use_bytes, it.bytes)} full`, `${bytes(it.in_use_bytes)} of ${bytes(it.bytes)}`, it.block_size ? `blocks of ${bytes(it.block_size)}` : "one large object"); else tip.hide();
  });
  canvas.addEventListener("pointerleave", tip.hide);
  canvas.addEventListener("keydown", (event) => {
    const way = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape") pick(null);
    else if (way) { event.preventDefault(); const at = chosenSpan ? small.indexOf(chosenSpan) + way : 0; pick(small[clamp(at, 0, small.length - 1)]); }
  });
  body.append(el("div", { class: "tall" }, el("div", {}, canvas)), legend(["under 10 % full", "heat-0"], ["25", "heat-1"], ["50", "heat-2"], ["75", "heat-3"], ["90", "heat-4"], ["full", "heat-5"]), detail);
  if (huge.length) {
    const most = Math.max(...huge.map((it) => it.bytes));
    const list = [...huge].sort((a, b) => b.bytes - a.bytes).slice(0, 8);
    body.append(el("p", { class: "hint", style: "margin:10px 0 6px" }, `${huge.length === 1 ? "One object has" : huge.length + " objects have"} a mapping of their own, ${bytes(sum(huge, (it) => it.bytes))}:`),
      bars(list.flatMap((it) => [el("span", { class: "name mono" }, "0x" + it.address.toString(16)), segments([[it.bytes, "heat-5"]], most, bytes(it.bytes)), el("span", { class: "number" }, bytes(it.bytes))])));
  }
  watchWidth(body, draw);
  onTheme(draw);
  summary();
}
