"use strict";
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const unpack = (text, kind) => {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  return new kind(bytes.buffer);
};
const edges = unpack(data.edges, Float64Array);
const blame = unpack(data.blame, Uint8Array);
const sensors = data.sensors.map((s) => ({
  ...s, low: unpack(s.low, Float32Array), high: unpack(s.high, Float32Array),
  lower: unpack(s.lower, Float32Array), upper: unpack(s.upper, Float32Array),
  alarmTimes: unpack(s.alarm_times, Float64Array), alarms: unpack(s.alarms, Float32Array), details: [],
}));
for (const d of data.details)
  sensors[d.sensor].details.push({ times: unpack(d.times, Float64Array), y: unpack(d.y, Float32Array),
    lower: unpack(d.lower, Float32Array), upper: unpack(d.upper, Float32Array) });
const whole = [edges[0], edges[edges.length - 1]];
let view = [...whole];
const LEFT = 64, RIGHT = 8, BOTTOM = 20, TALL = 130, CELL = 18;

// times ---------------------------------------------------------------------------------------------------------------
const zoned = (options) => {
  try { return new Intl.DateTimeFormat("en-GB", { timeZone: data.zone || "UTC", hourCycle: "h23", ...options }); }
  catch { return new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", hourCycle: "h23", ...options }); }
};
const DAY = { year: "numeric", month: "short", day: "numeric" }, CLOCK = { hour: "2-digit", minute: "2-digit" };
const format = { day: zoned(DAY), minute: zoned({ ...DAY, ...CLOCK }), second: zoned({ ...CLOCK, second: "2-digit", fractionalSecondDigits: 1 }) };
const label = (t, span) => {
  if (!data.stamped) return String(Math.round(t));
  const date = new Date(1000 * t);
  return (span > 4 * 86400 ? format.day : span > 600 ? format.minute : format.second).format(date);
};
const STEPS = [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 10800, 21600, 43200, 86400, 172800, 604800, 2592000, 7776000, 31536000];
const ticks = (span, count) => {
  if (data.stamped) { const fit = STEPS.find((s) => span / s <= count); if (fit) return fit; }
  const rough = span / count, power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((m) => m * power >= rough);
};
const short = (v) => (v === 0 ? "0" : Math.abs(v) >= 1e5 || Math.abs(v) < 1e-3 ? v.toExponential(2) : String(+v.toPrecision(5)));

// drawing -------------------------------------------------------------------------------------------------------------
let color = {};
const colors = () => {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["paper", "ink", "soft", "line", "band", "blue", "red", "shade", "none", "hot"])
    color[name] = style.getPropertyValue("--" + name).trim();
};
const first = (t) => { // the stretch that a time is in
  let a = 0, b = edges.length - 1;
  while (b - a > 1) { const m = (a + b) >> 1; if (edges[m] <= t) a = m; else b = m; }
  return a;
};
const prepare = (canvas, height) => {
  const width = canvas.clientWidth || 800, ratio = window.devicePixelRatio || 1;
  canvas.width = width * ratio; canvas.height = height * ratio; canvas.style.height = height + "px";
  const g = canvas.getContext("2d");
  g.scale(ratio, ratio); g.font = "11px system-ui, sans-serif"; g.fillStyle = color.paper; g.fillRect(0, 0, width, height);
  const inner = width - LEFT - RIGHT;
  return { g, width, x: (t) => LEFT + ((t - view[0]) / (view[1] - view[0])) * inner, at: (x) => view[0] + ((x - LEFT) / inner) * (view[1] - view[0]) };
};
const axis = ({ g, width, x }, y) => {
  const span = view[1] - view[0], step = ticks(span, Math.max(2, width / 130));
  g.fillStyle = color.soft; g.textAlign = "center"; g.textBaseline = "top";
  for (let t = Math.ceil(view[0] / step) * step; t <= view[1]; t += step)
    if (x(t) > LEFT + 40 && x(t) < width - 50) { g.fillRect(x(t), y, 1, 4); g.fillText(label(t, span), x(t), y + 6); }
};
const scale = (s, a, b) => { // readings in view decide; the range may add as much again
  let low = Infinity, high = -Infinity, lower = Infinity, upper = -Infinity;
  for (let k = a; k <= b; k++) {
    if (s.low[k] < low) low = s.low[k];
    if (s.high[k] > high) high = s.high[k];
    if (s.lower[k] < lower) lower = s.lower[k];
    if (s.upper[k] > upper) upper = s.upper[k];
  }
  if (low > high) { low = Math.min(lower, 0); high = Math.max(upper, 0); }
  if (!Number.isFinite(high - low)) { low = -1; high = 1; }
  const more = Math.max((high - low) / 2, 1e-9 * Math.max(Math.abs(s.offset), 1e-9));
  low = Math.max(Math.min(low, lower), low - more); high = Math.min(Math.max(high, upper), high + more);
  const pad = 0.06 * (high - low) || 1;
  return [low - pad, high + pad];
};
const area = (g, xs, lower, upper, y) => { // NaN end an area
  g.fillStyle = color.band;
  let k = 0;
  while (k < xs.length) {
    if (Number.isNaN(lower[k]) || Number.isNaN(upper[k])) { k++; continue; }
    const start = k;
    g.beginPath();
    for (; k < xs.length && !Number.isNaN(lower[k]) && !Number.isNaN(upper[k]); k++) g.lineTo(xs[k], y(upper[k]));
    for (let j = k - 1; j >= start; j--) g.lineTo(xs[j], y(lower[j]));
    g.fill();
  }
};
const line = (g, xs, low, high, y) => { // from least to largest reading of every stretch; NaN interrupt
  g.strokeStyle = color.ink; g.lineWidth = 1; g.lineJoin = "round"; g.beginPath();
  let open = false, lonely = null;
  for (let k = 0; k < xs.length; k++) {
    if (Number.isNaN(low[k])) { if (lonely) g.rect(lonely[0] - 0.5, lonely[1] - 0.5, 1, 1); open = false; lonely = null; continue; }
    if (open) { g.lineTo(xs[k], y(low[k])); lonely = null; } else { g.moveTo(xs[k], y(low[k])); lonely = [xs[k], y(low[k])]; }
    if (high[k] !== low[k]) { g.lineTo(xs[k], y(high[k])); lonely = null; }
    open = true;
  }
  g.stroke();
};
const drawSensor = (i) => {
  const s = sensors[i];
  if (s.figure.hidden) return;
  const place = prepare(s.canvas, TALL), { g, width, x } = place;
  const a = first(view[0]), b = Math.min(first(view[1]), s.low.length - 1);
  const [low, high] = scale(s, a, b), y = (v) => 4 + (TALL - BOTTOM - 8) * (1 - (v - low) / (high - low));
  s.y = y;
  g.save(); g.beginPath(); g.rect(LEFT, 0, width - LEFT - RIGHT, TALL - BOTTOM); g.clip();
  const middle = (k) => (data.single ? edges[k] : (edges[k] + edges[k + 1]) / 2);
  const from = Math.max(a - 1, 0), to = Math.min(b + 2, s.low.length), xs = [];
  for (let k = from; k < to; k++) xs.push(x(middle(k)));
  const coarse = !data.single && x(edges[a + 1]) - x(edges[a]) > 3;
  area(g, xs, s.lower.subarray(from, to), s.upper.subarray(from, to), y);
  if (coarse) { // no line goes through readings that are not here: boxes from least to largest
    g.fillStyle = color.ink; g.globalAlpha = 0.45;
    for (let k = from; k < to; k++)
      if (!Number.isNaN(s.low[k])) g.fillRect(x(edges[k]), y(s.high[k]), x(edges[k + 1]) - x(edges[k]), Math.max(y(s.low[k]) - y(s.high[k]), 1));
    g.globalAlpha = 1;
  } else line(g, xs, s.low.subarray(from, to), s.high.subarray(from, to), y);
  if (coarse)
    for (const d of s.details) { // close enough to see single readings, where they are
      const t0 = d.times[0], t1 = d.times[d.times.length - 1];
      if (t1 < view[0] || t0 > view[1]) continue;
      g.fillStyle = color.paper; g.fillRect(x(t0), 0, x(t1) - x(t0), TALL);
      const ds = Array.from(d.times, x);
      area(g, ds, d.lower, d.upper, y); line(g, ds, d.y, d.y, y);
    }
  const seen = data.incidents.filter((each) => each.sensors.includes(i) && each.end >= view[0] && each.start <= view[1]);
  const taken = []; // by labels, of which the longest incidents have theirs first
  for (const each of seen.sort((a, b) => b.end - b.start - (a.end - a.start))) {
    const x0 = Math.max(x(each.start), LEFT), x1 = Math.max(x(each.end), x0 + 2), silent = each.kind === "dropout";
    g.fillStyle = silent ? color.none : color.shade; g.fillRect(x0, 0, x1 - x0, TALL - BOTTOM);
    const text = each.kind.replaceAll("_", " "), wide = g.measureText(text).width;
    const back = x0 + wide + 4 > width - RIGHT, begin = back ? x0 - wide - 2 : x0 + 2;
    if (taken.some(([from, to]) => begin < to && begin + wide > from)) continue;
    taken.push([begin - 6, begin + wide + 6]);
    g.fillStyle = silent ? color.soft : color.red; g.textAlign = back ? "right" : "left"; g.textBaseline = "top";
    g.fillText(text, back ? x0 - 2 : x0 + 2, 2);
  }
  g.fillStyle = color.red;
  for (let k = 0; k < s.alarms.length; k++) {
    if (s.alarmTimes[k] < view[0] || s.alarmTimes[k] > view[1]) continue;
    g.beginPath(); g.arc(x(s.alarmTimes[k]), y(s.alarms[k]), 2.5, 0, 7); g.fill();
  }
  g.restore();
  g.strokeStyle = color.line; g.strokeRect(LEFT + 0.5, 0.5, width - LEFT - RIGHT - 1, TALL - BOTTOM);
  g.fillStyle = color.soft; g.textAlign = "right"; g.textBaseline = "middle";
  const step = ticks2(high - low);
  for (let v = Math.ceil((low + s.offset) / step) * step; v <= high + s.offset; v += step)
    if (y(v - s.offset) > 6 && y(v - s.offset) < TALL - BOTTOM - 4) g.fillText(short(Math.abs(v) < step / 1e6 ? 0 : v), LEFT - 6, y(v - s.offset));
  axis(place, TALL - BOTTOM);
};
const ticks2 = (span) => { const power = 10 ** Math.floor(Math.log10(span / 4)); return power * [1, 2, 5, 10].find((m) => m * power >= span / 4); };
const heat = document.createElement("canvas");
const drawBlame = () => {
  const rows = sensors.map((_, i) => i).filter((i) => !sensors[i].figure.hidden), tall = rows.length * CELL;
  const place = prepare(heat, tall + BOTTOM), { g, width, x } = place;
  const a = first(view[0]), b = Math.min(first(view[1]), edges.length - 2);
  g.save(); g.beginPath(); g.rect(LEFT, 0, width - LEFT - RIGHT, tall); g.clip();
  rows.forEach((i, row) => {
    for (let k = a; k <= b; k++) {
      const share = blame[i * (edges.length - 1) + k];
      if (share < 8) continue;
      g.fillStyle = `rgba(${color.hot}, ${share / 255})`;
      g.fillRect(x(edges[k]), row * CELL + 1, Math.max(x(edges[k + 1]) - x(edges[k]), 1), CELL - 2);
    }
  });
  g.restore();
  g.textBaseline = "middle"; g.textAlign = "right"; g.fillStyle = color.ink;
  rows.forEach((i, row) => g.fillText(clip(g, sensors[i].name, LEFT - 10), LEFT - 6, (row + 0.5) * CELL));
  g.strokeStyle = color.line; g.strokeRect(LEFT + 0.5, 0.5, width - LEFT - RIGHT - 1, tall);
  axis(place, tall);
};
const clip = (g, text, width) => { while (text.length > 2 && g.measureText(text).width > width) text = text.slice(0, -2) + "…"; return text; };

// what is seen --------------------------------------------------------------------------------------------------------
const output = document.getElementById("range"), plots = document.getElementById("plots");
let asked = false;
const redraw = () => { asked = false; colors(); sensors.forEach((_, i) => drawSensor(i)); drawBlame(); };
const show = (start, end) => {
  const least = Math.max(4 * data.step, 1e-9), span = Math.min(Math.max(end - start, least), whole[1] - whole[0]);
  let from = (start + end - span) / 2;
  from = Math.min(Math.max(from, whole[0]), whole[1] - span);
  view = [from, from + span];
  output.textContent = label(view[0], 3600) + " – " + label(view[1], 3600);
  plots.dataset.start = view[0]; plots.dataset.end = view[1];
  if (!asked) { asked = true; setTimeout(redraw, 0); }
};
const zoom = (factor, center = (view[0] + view[1]) / 2) => show(center - (center - view[0]) * factor, center + (view[1] - center) * factor);
const move = (share) => { const by = share * (view[1] - view[0]); show(view[0] + by, view[1] + by); };
const KEYS = { "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: () => show(...whole), Home: () => show(...whole),
  ArrowLeft: () => move(-0.25), ArrowRight: () => move(0.25) };
const timeAt = (canvas, event) => {
  const box = canvas.getBoundingClientRect(), inner = box.width - LEFT - RIGHT;
  return view[0] + (Math.min(Math.max(event.clientX - box.left - LEFT, 0), inner) / inner) * (view[1] - view[0]);
};
const listen = (canvas, readout) => {
  let held = null;
  canvas.tabIndex = 0;
  canvas.addEventListener("keydown", (event) => {
    if (KEYS[event.key] && !event.ctrlKey && !event.metaKey && !event.altKey) { event.preventDefault(); KEYS[event.key](); }
  });
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && !event.shiftKey) return; // the page scrolls
    event.preventDefault();
    zoom((event.deltaY || event.deltaX) < 0 ? 0.8 : 1.25, timeAt(canvas, event));
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => { held = timeAt(canvas, event); });
  canvas.addEventListener("pointermove", (event) => { if (readout) readout(timeAt(canvas, event)); });
  window.addEventListener("pointerup", (event) => {
    if (held === null) return;
    const start = held, end = timeAt(canvas, event);
    held = null;
    if (Math.abs(end - start) > 0.01 * (view[1] - view[0])) show(Math.min(start, end), Math.max(start, end));
  });
  canvas.addEventListener("dblclick", () => show(...whole));
};
const parent = document.getElementById("sensors");
sensors.forEach((s, i) => {
  const figure = document.createElement("figure"), caption = document.createElement("figcaption"), canvas = document.createElement("canvas");
  const name = document.createElement("b"), text = document.createElement("span");
  const own = data.incidents.filter((each) => each.sensors.includes(i));
  name.textContent = s.name;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Readings of ${s.name}, with ${own.length} incident${own.length === 1 ? "" : "s"}`);
  caption.append(name, text); figure.append(caption, canvas); parent.append(figure);
  Object.assign(s, { figure, canvas, own });
  listen(canvas, (t) => {
    const k = Math.min(first(t), s.low.length - 1), part = (v) => (Number.isNaN(v) ? "none" : short(v + s.offset));
    const reading = s.low[k] === s.high[k] || Number.isNaN(s.low[k]) ? part(s.low[k]) : part(s.low[k]) + " to " + part(s.high[k]);
    text.textContent = `${label(t, 3600)}: ${reading}, expected ${part(s.lower[k])} to ${part(s.upper[k])}`;
  });
});
heat.setAttribute("role", "img"); heat.setAttribute("aria-labelledby", "blame-title");
document.getElementById("blame").append(heat); listen(heat, null);
document.getElementById("closer").onclick = () => zoom(0.5);
document.getElementById("wider").onclick = () => zoom(2);
document.getElementById("all").onclick = () => show(...whole);
const only = document.getElementById("only");
const choose = () => { sensors.forEach((s) => { s.figure.hidden = only.checked && !s.own.length; }); show(...view); };
only.checked = sensors.length > 12 && data.incidents.length > 0;
only.onchange = choose;
if (sensors.length < 2 || !data.incidents.length) document.getElementById("filter").hidden = true;

// the table -----------------------------------------------------------------------------------------------------------
const body = document.querySelector("tbody"), heads = [...document.querySelectorAll("th")];
heads.forEach((head, column) => {
  head.firstChild.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((each) => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = (row) => row.cells[column].dataset.key, sign = down ? -1 : 1;
    const compare = (p, q) => (p === "" || q === "" ? (p === "") - (q === "") : // without a value last
      sign * (!Number.isNaN(+p) && !Number.isNaN(+q) ? p - q : p < q ? -1 : p > q ? 1 : 0));
    body.append(...[...body.rows].filter((row) => row.cells.length > 1).sort((p, q) => compare(key(p), key(q))));
  });
});
body.addEventListener("click", (event) => {
  const button = event.target.closest(".show");
  if (!button) return;
  const each = data.incidents[button.dataset.incident], pad = Math.max(0.5 * (each.end - each.start), 40 * data.step);
  show(each.start - pad, each.end + pad);
  sensors[each.sensors[0]].figure.scrollIntoView({ block: "center" });
  sensors[each.sensors[0]].canvas.focus({ preventScroll: true });
});
window.addEventListener("resize", () => show(...view));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
choose();
})();
