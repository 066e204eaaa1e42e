// Two histograms: how long objects live, and how large they are.

function histogram(holder, name, bars, left = 52) {
  const wide = Math.max(250, holder.clientWidth), high = 218, bottom = 34, top = 12;
  const most = Math.max(...bars.map((it) => it.top), 1e-9);
  const step = (wide - left) / bars.length;
  const y = (value) => high - bottom - (value / (most * 1.02)) * (high - bottom - top);
  const unit = bars[0].unit;
  const every = Math.ceil(48 / step);
  holder.replaceChildren(svg("svg", { height: high, viewBox: `0 0 ${wide} ${high}`, "data-chart": name, "data-bars": bars.filter((it) => it.top > 0).length },
    ticks(most, 4, unit === bytes).filter((it) => it <= most * 1.02).map((value) => [
      svg("line", { class: "axis", x1: left, x2: wide, y1: y(value), y2: y(value) }),
      svg("text", { x: left - 7, y: y(value) + 4, "text-anchor": "end" }, value === 0 ? "0" : unit(value))]),
    bars.map((bar, i) => {
      const x = left + i * step, gap = Math.min(3, step / 6);
      return svg("g", { class: "bar", tabindex: 0, ...told(...bar.words) },
        svg("rect", { x, y: top, width: step, height: high - bottom - top, fill: "transparent" }),
        bar.parts.map(([value, from, fill]) => svg("rect", { x: x + gap, width: Math.max(1, step - 2 * gap), y: y(from + value), height: Math.max(0, y(from) - y(from + value)), rx: 2, fill })),
        (bar.last || (i % every === 0 && !(every > 1 && bars[i + 1] && bars[i + 1].last))) && svg("text", { x: x + step / 2, y: high - bottom + 16, "text-anchor": "middle" }, bar.label),
        bar.under && svg("text", { x: x + step / 2, y: high - bottom + 30, "text-anchor": "middle" }, bar.under));
    })));
}
const hatching = (id, tone) => svg("svg", { width: 0, height: 0, style: "position:absolute;width:0", "aria-hidden": "true" }, svg("defs", {}, svg("pattern", { id, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
  svg("rect", { width: 6, height: 6, fill: `var(--${tone})`, "fill-opacity": .28 }), svg("rect", { width: 2.4, height: 6, fill: `var(--${tone})` }))));

function lifetimeChart() {
  const body = card("lifetimes", "How long objects live",
    "Each bar is the number of objects that were freed at that age; the hatched bar is those still alive, whose end nobody knows yet. Tall bars on the left are memory thrown away at once.");
  const holder = el("div"), note = el("p", { class: "detail" });
  body.append(hatching("alive", "teal"), holder, note);
  function draw() {
    const sites = chosen(), buckets = [];
    sites.forEach((site) => addUp(buckets, site.lifetimes));
    const alive = sum(sites, (site) => site.live.count);
    const freed = sum(buckets, (it) => it), whole = freed + alive;
    if (!(whole > 0)) { holder.replaceChildren(empty("No objects of this kind.")); note.textContent = ""; return; }
    const labels = ["1µs", "4µs", "16µs", "64µs", "¼ms", "1ms", "4ms", "16ms", "65ms", "¼s", "1s", "4s", "17s", "1min", "4½m", "more"];
    const bars = buckets.map((value, i) => ({
      label: (i === buckets.length - 1 ? "" : "<") + (labels[i] || ""), top: value, unit: count, parts: [[value, 0, "var(--teal)"]],
      words: [`${count(value)} objects`, i === buckets.length - 1 ? "lived longer than " + time(1000 * 4 ** (i - 1)) : `lived ${i ? time(1000 * 4 ** (i - 1)) + " to " : "less than "}${time(1000 * 4 ** i)}`, percent(value, whole) + " of all"],
    }));
    bars.push({ label: "alive", last: true, top: alive, unit: count, parts: [[alive, 0, "url(#alive)"]], words: [`${count(alive)} objects`, "still alive at the end", percent(alive, whole) + " of all"] });
    histogram(holder, "lifetimes", bars);
    const middle = median(buckets, alive);
    note.replaceChildren(state.place === null ? "All places: half of the objects " : el("b", {}, profile.places[state.place].name + ": "), state.place === null ? "" : "half of the objects ",
      middle === Infinity ? "are still alive." : `live less than ${time(middle)}.`);
  }
  watchWidth(holder, draw);
  follow(draw);
}

function sizeChart() {
  const body = card("sizes", "How large objects are",
    "Bytes by the size of their block. The hatched part was never asked for: it is what rounding up to a block costs.");
  const holder = el("div"), note = el("p", { class: "detail" });
  body.append(hatching("rounding", "warm"), holder, legend(["asked for", "live"], ["rounding", "warm", "hatch"]), note);
  function draw() {
    const groups = new Map();
    for (const site of chosen()) {
      const power = Math.max(3, Math.ceil(Math.log2(Math.max(site.block_size, 1))));
      const group = groups.get(power) || { asked: 0, whole: 0, sizes: new Set() };
      const bytes_ = weight(profile, site), isKnown = state.value === "live" && !state.window;
      group.asked += isKnown ? Math.min(site.requested_bytes, bytes_) : bytes_; group.whole += bytes_; group.sizes.add(site.block_size);
      groups.set(power, group);
    }
    const whole = sum([...groups.values()], (it) => it.whole), asked = sum([...groups.values()], (it) => it.asked);
    if (!(whole > 0)) { holder.replaceChildren(empty("Nothing of this kind.")); note.textContent = ""; return; }
    const low = Math.min(...groups.keys()), high = Math.max(...groups.keys());
    const bars = [];
    for (let power = low; power <= high; power += 1) {
      const it = groups.get(power) || { asked: 0, whole: 0, sizes: new Set() };
      const sizes = [...it.sizes].sort((a, b) => a - b);
      bars.push({ label: "≤" + bytes(2 ** power).replace(/\.0+ /, " ").replace(" ", "").replace("iB", ""), top: it.whole, unit: bytes, parts: [[it.asked, 0, "var(--live)"], [it.whole - it.asked, it.asked, "url(#rounding)"]],
        words: [`blocks of ${sizes.length > 3 ? bytes(sizes[0]) + " to " + bytes(sizes[sizes.length - 1]) : sizes.map(bytes).join(", ") || bytes(2 ** power)}`, bytes(it.whole), `${bytes(it.whole - it.asked)} of it rounding, ${percent(it.whole - it.asked, it.whole)}`] });
    }
    histogram(holder, "sizes", bars, 66);
    if (asked === whole) note.textContent = "What rounding costs is known of what is alive at the end.";
    else note.textContent = `Rounding costs ${bytes(whole - asked)}, ${percent(whole - asked, whole)} of what is alive.`;
  }
  watchWidth(holder, draw);
  follow(draw);
}
