// The profile, and what follows from it: which sites are meant, and what they weigh.

const all = JSON.parse(by("data").textContent);
const profile = all.profile, before = all.before;
const VALUES = {
  live: "Live", peak: "At the peak", allocated: "Allocated", short: "Short-lived",
};
const HELP = {
  live: "bytes alive when the profile was written",
  peak: "bytes alive when the process had most alive",
  allocated: "bytes ever allocated, freed or not",
  short: "bytes freed within a millisecond of being allocated",
};

// Index into `profile.places` by the words a place is known by, to find it in `before`.
const placeKey = (owner, place) => [place.function, place.file, place.type].join("\n");

for (const owner of [profile, before].filter(Boolean)) {
  for (const site of owner.sites) {
    const names = site.stack.map((frame) => owner.frames[frame]);
    site.words = (names.map((it) => it.function + " " + it.file).join("\n") + "\n" + site.type + "\n" + site.label).toLowerCase();
  }
}

// Words that must all be there; `type:`, `task:` and `thread:` name a column.
function parse(query) {
  const tests = [];
  for (const [, key, quoted, bare] of query.matchAll(/(?:(type|task|thread):)?(?:"([^"]*)"|(\S+))/g)) {
    const word = (quoted ?? bare).toLowerCase();
    if (key === "type") tests.push((site) => site.type.toLowerCase() === word);
    else if (key === "task") tests.push((site) => site.label.toLowerCase() === word);
    else if (key === "thread") tests.push((site) => String(site.thread) === word);
    else tests.push((site) => site.words.includes(word));
  }
  return (site) => tests.every((test) => test(site));
}
function chosen(owner = profile) {
  const test = parse(state.query);
  const place = state.place === null ? null : placeKey(profile, profile.places[state.place]);
  return owner.sites.filter((site) => test(site) &&
    (place === null || placeKey(owner, owner.places[site.place]) === place));
}
// The same without the place that is picked: the table shows the others, too.
const matching = (owner = profile) => owner.sites.filter(parse(state.query));

// Mean of a history over the window; where no point falls into it, what is between its neighbours.
function during(at, history, [from, to]) {
  const inside = history.filter((_, i) => at[i] >= from && at[i] <= to);
  if (inside.length) return sum(inside, (it) => it) / inside.length;
  const middle = (from + to) / 2;
  const next = at.findIndex((it) => it > middle);
  if (next < 0) return history[history.length - 1] || 0;
  if (next === 0) return (history[0] * middle) / (at[0] || 1);
  const part = (middle - at[next - 1]) / (at[next] - at[next - 1]);
  return history[next - 1] + part * (history[next] - history[next - 1]);
}
const canWindow = profile.history_at_ns.length > 1;
// What a site weighs under the chosen value, and the window if that is of the living.
function weight(owner, site) {
  if (state.window && state.value === "live" && owner === profile && canWindow) {
    return during(profile.history_at_ns, site.history, state.window);
  }
  return site[state.value].bytes;
}
const total = (sites, owner = profile) => sum(sites, (site) => weight(owner, site));

const amounts = ["live", "peak", "allocated", "short", "remote"];
function addUp(list, other) { other.forEach((it, i) => { list[i] = (list[i] || 0) + it; }); }
// Sites by place, with everything that the table shows.
function gather(owner, sites) {
  const rows = new Map();
  for (const site of sites) {
    let row = rows.get(site.place);
    if (!row) {
      row = { place: site.place, of: owner.places[site.place], weight: 0, lifetimes: [], history: [], sites: [] };
      for (const key of amounts) row[key] = { count: 0, bytes: 0, variance: 0 };
      rows.set(site.place, row);
    }
    for (const key of amounts) for (const part of ["count", "bytes", "variance"]) row[key][part] += site[key][part];
    addUp(row.lifetimes, site.lifetimes);
    addUp(row.history, site.history);
    row.weight += weight(owner, site);
    row.sites.push(site);
  }
  return [...rows.values()];
}
// Half of the objects live shorter than this, in nanoseconds; what is alive outlives all.
function median(lifetimes, alive) {
  const half = (sum(lifetimes, (it) => it) + alive) / 2;
  if (!(half > 0)) return NaN;
  let below = 0;
  for (let i = 0; i < lifetimes.length; i += 1) {
    if (lifetimes[i] > 0 && below + lifetimes[i] >= half) return 1000 * 4 ** (i - 1 + (half - below) / lifetimes[i]);
    below += lifetimes[i];
  }
  return Infinity;
}
const lifetimeWords = (nanos) => (nanos === Infinity ? "still alive" : Number.isNaN(nanos) ? "–" : time(nanos));
const quoted = (key, word) => `${key}:"${word}"`;
