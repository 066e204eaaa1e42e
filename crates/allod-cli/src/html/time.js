// Memory over time, with a window to drag that the other charts follow.

function timeChart() {
  const peak = profile.ledger.peak_live_bytes;
  const body = card("time", "Memory over time",
    "Blue is in the program's hands; the line is the most that the system can have backed with memory, so the gap between is the price of keeping it, at most. Drag over a stretch of time, and the charts below show what was alive then.",
    el("button", { class: "plain", id: "window-clear", onclick: () => change({ window: null }), hidden: true }, "All of the time"));
  const moments = profile.moments;
  if (moments.length < 2) { body.append(empty("This profile has no figures over time: the program ended too soon, or another tool has written it.")); return; }
  const holder = el("div");
  body.append(holder, legend(["live", "live"], ["rounding, free blocks, caches, records", "overhead"], ["retained for the next allocation", "retained", "hatch"], ["resident at most", "resident", "rule"]));
  const from = moments[0].at_ns, to = moments[moments.length - 1].at_ns;
  const high = 230, left = 58, bottom = 22, top = 14;
  let wide = 800;
  const x = (at) => left + ((at - from) / (to - from || 1)) * (wide - left - 6);
  const back = (place) => clamp(from + ((place - left) / (wide - left - 6)) * (to - from), from, to);
  const most = Math.max(...moments.map((it) => Math.max(it.live_bytes, it.resident_bytes)), 1);
  const y = (value) => high - bottom - (value / (most * 1.05)) * (high - bottom - top);
  const path = (of, base) => "M" + moments.map((it) => `${x(it.at_ns).toFixed(1)},${y(of(it)).toFixed(1)}`).join("L") +
    (base ? "L" + [...moments].reverse().map((it) => `${x(it.at_ns).toFixed(1)},${y(base(it)).toFixed(1)}`).join("L") + "Z" : "");
  const nearest = (at) => moments.reduce((best, it) => (Math.abs(it.at_ns - at) < Math.abs(best.at_ns - at) ? it : best));

  let band, cursor, start = null;
  function mark() {
    by("window-clear").hidden = !state.window;
    if (!band) return;
    const window = state.window;
    band.setAttribute("visibility", window ? "visible" : "hidden");
    if (window) { band.setAttribute("x", x(window[0])); band.setAttribute("width", Math.max(1, x(window[1]) - x(window[0]))); }
  }
  function draw() {
    wide = Math.max(280, holder.clientWidth);
    const base = (it) => Math.max(it.live_bytes, it.resident_bytes - it.retained_bytes);
    band = svg("rect", { class: "band", y: top, height: high - bottom - top, fill: "var(--warm)", "fill-opacity": .2, stroke: "var(--warm)", visibility: "hidden" });
    cursor = svg("line", { class: "axis", y1: top, y2: high - bottom, visibility: "hidden", style: "stroke:var(--soft)" });
    const at = profile.ledger.peak_at_ns;
    const side = x(at) > wide - 170 ? "end" : "start";
    const chart = svg("svg", {
      height: high, viewBox: `0 0 ${wide} ${high}`, tabindex: 0, role: "img", "data-chart": "time",
      style: "touch-action: pan-y; cursor: crosshair",
      "aria-label": `Live and resident memory from ${time(from)} to ${time(to)}. Arrow keys move a window, with shift they widen it, Escape takes it away.`,
      onpointerdown: (event) => { if (event.button === 0 && canWindow) { start = at_(event); chart.setPointerCapture(event.pointerId); } },
      onpointermove: (event) => {
        const now = at_(event), it = nearest(now);
        cursor.setAttribute("x1", x(it.at_ns)); cursor.setAttribute("x2", x(it.at_ns)); cursor.setAttribute("visibility", "visible");
        tip.show(event, time(it.at_ns), `live ${bytes(it.live_bytes)}, resident ${bytes(it.resident_bytes)}`, `retained ${bytes(it.retained_bytes)}`);
        if (start !== null && Math.abs(x(now) - x(start)) > 3) change({ window: [Math.min(start, now), Math.max(start, now)] });
      },
      onpointerup: (event) => { if (start !== null && Math.abs(x(at_(event)) - x(start)) <= 3) change({ window: null }); start = null; },
      onpointerleave: () => { tip.hide(); cursor.setAttribute("visibility", "hidden"); },
      onkeydown: keys,
    },
    svg("defs", {}, svg("pattern", { id: "hatch", width: 5, height: 5, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
      svg("rect", { width: 5, height: 5, fill: "var(--retained)" }), svg("rect", { width: 1.6, height: 5, fill: "var(--card)" }))),
    ticks(most, 4, true).map((value) => [
      svg("line", { class: "axis", x1: left, x2: wide - 6, y1: y(value), y2: y(value) }),
      svg("text", { x: left - 8, y: y(value) + 4, "text-anchor": "end" }, value === 0 ? "0" : bytes(value))]),
    clockTicks(from, to, Math.max(2, wide / 150)).map((it) =>
      svg("text", { x: x(it), y: high - 5, "text-anchor": x(it) > wide - 40 ? "end" : x(it) < left + 20 ? "start" : "middle" }, it === 0 ? "0" : time(it))),
    svg("path", { d: path((it) => Math.max(base(it), it.resident_bytes), base), fill: "url(#hatch)" }),
    svg("path", { d: path(base, (it) => it.live_bytes), fill: "var(--overhead)" }),
    svg("path", { d: path((it) => it.live_bytes, () => 0), fill: "var(--live)" }),
    svg("path", { d: path((it) => it.resident_bytes), fill: "none", stroke: "var(--resident)", "stroke-width": 1.6, "stroke-linejoin": "round" }),
    peak > 0 && at >= from && at <= to && [
      svg("line", { x1: x(at), x2: x(at), y1: top - 4, y2: high - bottom, stroke: "var(--ink)", "stroke-dasharray": "2 3" }),
      svg("text", { x: x(at) + (side === "end" ? -5 : 5), y: top + 2, "text-anchor": side, style: "fill:var(--ink)" }, `peak ${bytes(peak)} live`)],
    band, cursor);
    const at_ = (event) => { const box = chart.getBoundingClientRect(); return back(((event.clientX - box.left) / box.width) * wide); };
    holder.replaceChildren(chart);
    mark();
  }
  function keys(event) {
    const span = to - from, step = span / 24;
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Escape") change({ window: null });
    else if (way && canWindow) {
      event.preventDefault();
      const [a, b] = state.window || [to - span / 4, to];
      change({ window: event.shiftKey ? [a, clamp(b + way * step, a + step / 2, to)]
        : [clamp(a + way * step, from, to - (b - a)), clamp(b + way * step, from + (b - a), to)] });
    }
  }
  watchWidth(holder, draw);
  follow(mark);
}
