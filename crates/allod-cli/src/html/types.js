// The treemap of types: squares as large as the bytes of a type.

// Squarified rows: each rectangle as near to a square as its neighbours allow.
function squarify(items, x, y, wide, high) {
  const out = [];
  const whole = sum(items, (it) => it.size);
  if (!(whole > 0)) return out;
  const scale = (wide * high) / whole;
  let row = [], rest = items.map((it) => ({ ...it, area: it.size * scale }));
  const worst = (list, side) => {
    const areas = list.map((it) => it.area), total = sum(areas, (it) => it);
    return Math.max((side * side * Math.max(...areas)) / (total * total), (total * total) / (side * side * Math.min(...areas)));
  };
  const flush = () => {
    const total = sum(row, (it) => it.area);
    const across = wide >= high;
    const thick = across ? total / high : total / wide;
    let at = across ? y : x;
    for (const it of row) {
      const long = it.area / thick;
      out.push(across ? { ...it, x, y: at, wide: thick, high: long } : { ...it, x: at, y, wide: long, high: thick });
      at += long;
    }
    if (across) { x += thick; wide -= thick; } else { y += thick; high -= thick; }
    row = [];
  };
  while (rest.length) {
    const side = Math.min(wide, high), next = rest[0];
    if (!row.length || worst([...row, next], side) <= worst(row, side)) { row.push(next); rest = rest.slice(1); } else flush();
  }
  if (row.length) flush();
  return out;
}

function typeMap() {
  const known = profile.sites.some((site) => site.type);
  const body = card("types", "Types",
    known ? "What the memory is made of: the area of a box is the bytes in objects of that Rust type. Click one to see only that."
      : "No type is known (they come from Rust's debug information), so these are the places instead: the area of a box is the bytes asked for there.");
  const holder = el("div");
  body.append(holder);
  const fills = ["#0a72b5", "#12876f", "#a6478a", "#b3600a", "#5b63b7", "#3c7d9b", "#8a6d1f", "#7a4f86"];
  function draw() {
    const wide = Math.max(260, holder.clientWidth), high = wide < 500 ? 300 : 260;
    const groups = new Map();
    for (const site of chosen()) {
      const name = known ? site.type || "unknown" : profile.places[site.place].name || "unknown";
      const group = groups.get(name) || { name, size: 0, count: 0 };
      group.size += weight(profile, site);
      group.count += site[state.value].count;
      groups.set(name, group);
    }
    const list = [...groups.values()].filter((it) => it.size > 0).sort((a, b) => b.size - a.size);
    const whole = sum(list, (it) => it.size);
    if (!list.length) { holder.replaceChildren(empty("Nothing of this kind.")); return; }
    const big = list.slice(0, 40), rest = list.slice(40);
    if (rest.length) big.push({ name: `${rest.length} others`, size: sum(rest, (it) => it.size), count: sum(rest, (it) => it.count), others: true });
    const cells = squarify(big, 0, 0, wide, high).map((it, i) => {
      const room = Math.floor((it.wide - 16) / 7.7);
      const figures = bytes(it.size) + "  " + percent(it.size, whole);
      const label = it.name.length > room ? it.name.slice(0, Math.max(0, room - 1)) + "…" : it.name;
      const pick = () => { if (!it.others && it.name !== "unknown") change({ query: known ? quoted("type", it.name) : it.name }); };
      return svg("g", { class: "cell", ...pressed(pick), ...told(it.name, `${bytes(it.size)}, ${percent(it.size, whole)}`, `${count(it.count)} objects`) },
        svg("rect", { x: it.x + 1, y: it.y + 1, width: Math.max(0, it.wide - 2), height: Math.max(0, it.high - 2), rx: 4, fill: it.name === "unknown" || it.others ? "#6b7686" : fills[i % fills.length] }),
        room > 3 && it.high > 22 && svg("text", { x: it.x + 8, y: it.y + 18, style: "font-weight:600;font-size:12.5px" }, label),
        figures.length * 6.6 < it.wide - 14 && it.high > 40 && svg("text", { x: it.x + 8, y: it.y + 34, opacity: .86 }, figures));
    });
    holder.replaceChildren(svg("svg", { height: high, viewBox: `0 0 ${wide} ${high}`, "data-chart": "types" }, cells));
  }
  watchWidth(holder, draw);
  follow(draw);
}
