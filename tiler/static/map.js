// A small slippy map without any library: tiles in web mercator over a graticule.
// `centre` is in world units (0 … 1 from west to east and north to south), `zoom` may be fractional.
"use strict";

const map = document.getElementById("map");
const config = JSON.parse(map.dataset.config);
const canvas = map.querySelector("canvas");
const place = document.getElementById("place");
const answer = document.getElementById("answer");
const TILE = 256;
const DEEPEST = 24;
let centre = [0.5, 0.5];
let zoom = 2;
let pin = null;

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const world = () => TILE * 2 ** zoom;

function fromLonLat(lon, lat) {
  const angle = (clamp(lat, -85.0511, 85.0511) * Math.PI) / 180;
  return [(lon + 180) / 360, (1 - Math.log(Math.tan(Math.PI / 4 + angle / 2)) / Math.PI) / 2];
}

function toLonLat([x, y]) {
  return [x * 360 - 180, (Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) * 180) / Math.PI];
}

const toScreen = ([x, y]) => [
  (x - centre[0]) * world() + map.clientWidth / 2,
  (y - centre[1]) * world() + map.clientHeight / 2,
];
const fromScreen = ([x, y]) => [
  centre[0] + (x - map.clientWidth / 2) / world(),
  centre[1] + (y - map.clientHeight / 2) / world(),
];

// ---- layers -------------------------------------------------------------------------------------------------------

const [west, south, east, north] = config.bounds;
const corner = { low: fromLonLat(west, north), high: fromLonLat(east, south) };

const layers = config.layers.map((layer) => {
  const element = document.createElement("div");
  element.className = "layer";
  map.append(element);
  return { ...layer, element, images: new Map(), shown: true };
});

function addTile(layer, key, level, column, row) {
  const image = new Image();
  image.alt = "";
  image.decoding = "async";
  image.draggable = false;
  image.hidden = true;
  const entry = { image, level, column, row, done: false };
  image.onload = () => { entry.done = true; image.hidden = false; dropOld(layer); };
  image.onerror = () => { entry.done = true; dropOld(layer); };  // beside the raster there is no tile
  image.src = layer.tiles.replace("{z}", level).replace("{x}", column).replace("{y}", row);
  layer.element.append(image);
  layer.images.set(key, entry);
}

// Tiles of another zoom stay below until all that are needed have come.
function dropOld(layer) {
  const needed = layer.needed ?? new Set();
  if ([...needed].some((key) => !layer.images.get(key)?.done)) return;
  for (const [key, entry] of layer.images) {
    if (!needed.has(key)) { entry.image.remove(); layer.images.delete(key); }
  }
}

function drawLayer(layer) {
  layer.needed = new Set();
  if (layer.shown) {
    const level = clamp(Math.round(zoom), 0, Math.min(config.maxzoom, DEEPEST));
    const count = 2 ** level;
    const first = fromScreen([0, 0]).map((part, axis) => Math.max(part, corner.low[axis]));
    const last = fromScreen([map.clientWidth, map.clientHeight]).map((part, axis) => Math.min(part, corner.high[axis]));
    for (let row = Math.floor(first[1] * count); row < last[1] * count; row++) {
      for (let column = Math.floor(first[0] * count); column < last[0] * count; column++) {
        const key = `${level}/${column}/${row}`;
        layer.needed.add(key);
        if (!layer.images.has(key)) addTile(layer, key, level, column, row);
      }
    }
  }
  layer.element.classList.toggle("magnified", zoom > config.maxzoom + 0.5);
  dropOld(layer);
  for (const { image, level, column, row } of layer.images.values()) {
    const [left, top] = toScreen([column / 2 ** level, row / 2 ** level]).map(Math.round);
    const [right, bottom] = toScreen([(column + 1) / 2 ** level, (row + 1) / 2 ** level]).map(Math.round);
    image.width = right - left;  // whole pixels on both sides: no hairlines between tiles
    image.height = bottom - top;
    image.style.transform = `translate(${left}px, ${top}px)`;
  }
}

function layerRow(layer) {
  const row = document.createElement("div");
  row.className = "layer-row";
  const shown = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
  const label = document.createElement("label");
  shown.id = `layer-${layers.indexOf(layer)}`;
  label.htmlFor = shown.id;
  label.textContent = layer.title;
  const opacity = Object.assign(document.createElement("input"), { type: "range", min: 0, max: 100, value: 100 });
  opacity.setAttribute("aria-label", `Opacity of ${layer.title}`);
  shown.addEventListener("change", () => { layer.shown = shown.checked; draw(); });
  opacity.addEventListener("input", () => { layer.element.style.opacity = opacity.value / 100; });
  row.append(shown, label, opacity);
  return row;
}
document.getElementById("layers").append(...[...layers].reverse().map(layerRow));

// ---- ground -------------------------------------------------------------------------------------------------------

const STEPS = [45, 30, 15, 10, 5, 2, 1, 0.5, 0.25, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0001];

function drawGround() {
  const [width, height, ratio] = [map.clientWidth, map.clientHeight, devicePixelRatio || 1];
  canvas.width = width * ratio;
  canvas.height = height * ratio;
  const pen = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  pen.scale(ratio, ratio);
  pen.strokeStyle = style.getPropertyValue("--line");
  pen.fillStyle = style.getPropertyValue("--quiet");
  pen.font = "11px system-ui, sans-serif";
  const [left, top] = toLonLat(fromScreen([0, 0]));
  const [right, bottom] = toLonLat(fromScreen([width, height]));
  const step = STEPS.find((size) => ((right - left) / width) * 130 >= size) ?? STEPS.at(-1);
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  for (let lon = Math.ceil(Math.max(left, -180) / step) * step; lon <= Math.min(right, 180); lon += step) {
    const x = Math.round(toScreen(fromLonLat(lon, 0))[0]) + 0.5;
    pen.beginPath(); pen.moveTo(x, 0); pen.lineTo(x, height); pen.stroke();
    pen.fillText(`${lon.toFixed(digits)}°`, x + 4, height - 44);
  }
  for (let lat = Math.ceil(Math.max(bottom, -85) / step) * step; lat <= Math.min(top, 85); lat += step) {
    const y = Math.round(toScreen(fromLonLat(0, lat))[1]) + 0.5;
    pen.beginPath(); pen.moveTo(0, y); pen.lineTo(width, y); pen.stroke();
    pen.fillText(`${lat.toFixed(digits)}°`, 60, y - 4);
  }
}

function drawScale() {
  const metres = (40075016.7 * Math.cos((toLonLat(centre)[1] * Math.PI) / 180)) / world();
  const size = 10 ** Math.floor(Math.log10(metres * 110));
  const nice = [5, 2, 1].map((times) => times * size).find((length) => length <= metres * 110) ?? size;
  document.querySelector("#scale i").style.width = `${nice / metres}px`;
  document.querySelector("#scale b").textContent = nice >= 1000 ? `${nice / 1000} km` : `${nice} m`;
}

function showPlace(point) {
  const [lon, lat] = toLonLat(point);
  const text = (value, plus, minus) => `${Math.abs(value).toFixed(5)}° ${value < 0 ? minus : plus}`;
  place.textContent = `${text(lat, "N", "S")}, ${text(lon, "E", "W")} · zoom ${zoom.toFixed(1)}`;
}

let planned = false;
function draw() {
  showPlace(centre);
  if (planned) return;
  planned = true;
  requestAnimationFrame(() => {
    planned = false;
    drawGround();
    layers.forEach(drawLayer);
    drawScale();
    if (pin) [pin.element.style.left, pin.element.style.top] = toScreen(pin.at).map((part) => `${part}px`);
  });
}

// ---- moving -------------------------------------------------------------------------------------------------------

function moveBy(dx, dy) {
  centre = [clamp(centre[0] - dx / world(), 0, 1), clamp(centre[1] - dy / world(), 0, 1)];
  draw();
}

function zoomTo(level, anchor = [map.clientWidth / 2, map.clientHeight / 2]) {
  const kept = fromScreen(anchor);
  zoom = clamp(level, 0, DEEPEST);
  const now = fromScreen(anchor);
  centre = [clamp(centre[0] + kept[0] - now[0], 0, 1), clamp(centre[1] + kept[1] - now[1], 0, 1)];
  draw();
}

function showAll() {
  const size = [0, 1].map((axis) => Math.max(corner.high[axis] - corner.low[axis], 1e-9));
  centre = [0, 1].map((axis) => (corner.high[axis] + corner.low[axis]) / 2);
  const fit = Math.min((map.clientWidth * 0.9) / size[0], (map.clientHeight * 0.9) / size[1]) / TILE;
  zoom = clamp(Math.log2(fit), 0, DEEPEST);
  draw();
}

// ---- reading a pixel ----------------------------------------------------------------------------------------------

function text(tag, content) {
  return Object.assign(document.createElement(tag), { textContent: content });
}

const shortNumber = (value) => (value === null ? "no data" : String(Number(value.toPrecision(7))));

function showAnswer(found, lon, lat) {
  const head = text("strong", found.class ? found.class.title : "");
  const list = document.createElement("dl");
  if (!found.class) {
    found.band_names.forEach((name, index) => list.append(text("dt", name), text("dd", shortNumber(found.values[index]))));
  }
  answer.replaceChildren(head, list, text("small", `${lat.toFixed(5)}, ${lon.toFixed(5)}`));
}

async function read(point) {
  const [lon, lat] = toLonLat(point);
  pin ??= { element: map.appendChild(Object.assign(document.createElement("div"), { className: "pin" })) };
  pin.at = point;
  draw();
  try {
    const response = await fetch(config.point.replace("{lon}", lon).replace("{lat}", lat));
    if (response.ok) showAnswer(await response.json(), lon, lat);
    else answer.replaceChildren(text("p", response.status === 404 ? "Outside the raster." : (await response.json()).detail));
  } catch {
    answer.replaceChildren(text("p", "The server does not answer."));
  }
}

// ---- input --------------------------------------------------------------------------------------------------------

const fingers = new Map();
let travelled = 0;
const at = (event) => {
  const box = map.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
};

map.addEventListener("pointerdown", (event) => {
  map.setPointerCapture(event.pointerId);
  if (!fingers.size) travelled = 0;
  fingers.set(event.pointerId, at(event));
});
map.addEventListener("pointermove", (event) => {
  const now = at(event);
  const before = fingers.get(event.pointerId);
  if (!before) return showPlace(fromScreen(now));
  travelled += Math.hypot(now[0] - before[0], now[1] - before[1]);
  const other = [...fingers].find(([id]) => id !== event.pointerId)?.[1];
  if (other) {
    const [was, is] = [before, now].map((point) => Math.hypot(point[0] - other[0], point[1] - other[1]));
    if (was > 0 && is > 0) zoomTo(zoom + Math.log2(is / was), [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2]);
  } else if (travelled > 4) {
    map.classList.add("moving");
    moveBy(now[0] - before[0], now[1] - before[1]);
  }
  fingers.set(event.pointerId, now);
});
const lift = (event) => {
  if (event.type === "pointerup" && fingers.size === 1 && travelled <= 4) read(fromScreen(at(event)));
  fingers.delete(event.pointerId);
  map.classList.remove("moving");
};
map.addEventListener("pointerup", lift);
map.addEventListener("pointercancel", lift);
map.addEventListener("wheel", (event) => {
  event.preventDefault();
  const lines = event.deltaMode === 1 ? 20 : 1;
  zoomTo(zoom - clamp((event.deltaY * lines) / 300, -1, 1), at(event));
}, { passive: false });
map.addEventListener("keydown", (event) => {
  const action = {
    ArrowLeft: () => moveBy(80, 0), ArrowRight: () => moveBy(-80, 0),
    ArrowUp: () => moveBy(0, 80), ArrowDown: () => moveBy(0, -80),
    "+": () => zoomTo(zoom + 1), "=": () => zoomTo(zoom + 1), "-": () => zoomTo(zoom - 1),
    0: showAll, Enter: () => read(centre),
  }[event.key];
  if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  action();
});
document.getElementById("zoom").addEventListener("click", (event) => {
  const step = Number(event.target.dataset.zoom ?? NaN);
  if (step) zoomTo(Math.round(zoom) + step);
  else if (step === 0) showAll();
});
new ResizeObserver(draw).observe(map);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
showAll();
