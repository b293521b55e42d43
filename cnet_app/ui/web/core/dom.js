/** Build elements: h("button", { class: "quiet", onclick, "aria-label": "Undo" }, "Undo"). */

export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) setProperty(element, name, value);
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Listeners by "onclick" and the like, properties by name where an element has them, all else as attributes. */
export function setProperty(element, name, value) {
  if (value === undefined || value === null) return;
  if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
  else if (name === "class") element.className = value;
  else if (name === "style") Object.assign(element.style, value);
  else if (name === "dataset") Object.assign(element.dataset, value);
  else if (typeof value === "boolean" && !name.startsWith("aria-")) element.toggleAttribute(name, value);
  else element.setAttribute(name, value);
}

/** Replace the children of an element. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Set the text of an element where it changes: a live region speaks whatever is set. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Keep one child an item of a list: `build(item)` makes an element once, `update(element, item)` brings it up to date. */
export function keyed(parent, items, keyOf, build, update) {
  const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  const wanted = items.map((item) => {
    const key = String(keyOf(item));
    const child = old.get(key) ?? build(item);
    child.dataset.key = key;
    old.delete(key);
    update?.(child, item);
    return child;
  });
  for (const child of old.values()) child.remove();
  wanted.forEach((child, index) => {
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  });
}

/** Drawn on a 24 × 24 grid with strokes of the text's colour. */
const PATHS = {
  add: "M12 5v14M5 12h14",
  brush: "M4 20c3 0 5-1 5-4l9-11 1 1-11 9M9 16l-1-1",
  cancel: "M6 6l12 12M18 6L6 18",
  check: "M5 13l4 4L19 7",
  classes: "M4 4h7v7H4zM13 4h7v4h-7zM13 10h7v10h-7zM4 13h7v7H4z",
  compare: "M12 3v18M8 8l-4 4 4 4M16 8l4 4-4 4",
  copy: "M8 8h11v11H8zM5 16V5h11",
  curve: "M4 4v16h16M7 16c4 0 5-1 6-6 .6-3 2-4 6-4",
  delete: "M5 7h14M9 7V4h6v3M7 7l1 13h8l1-13",
  dice: "M5 5h14v14H5zM9 9h.01M15 9h.01M12 12h.01M9 15h.01M15 15h.01",
  down: "M6 9l6 6 6-6",
  download: "M12 4v11M7 11l5 5 5-5M5 20h14",
  drag: "M9 6h.01M15 6h.01M9 12h.01M15 12h.01M9 18h.01M15 18h.01",
  erase: "M8 20h11M5 15l9-10 5 5-9 10H8l-3-3z",
  eye: "M2 12s4-7 10-7 10 7 10 7-4 7-10 7-10-7-10-7zM12 9a3 3 0 100 6 3 3 0 000-6",
  eyeoff: "M3 3l18 18M10 5.3A9 9 0 0112 5c6 0 10 7 10 7a17 17 0 01-3 3.6M6 7a17 17 0 00-4 5s4 7 10 7a9 9 0 004-1",
  feather: "M4 12h3M9 12h.01M12 12h.01M16 12h.01M4 7h6M13 7h.01M17 7h.01M4 17h6M13 17h.01M17 17h.01",
  fill: "M4 13l8-9 7 7-8 8H8zM20 15s2 2.5 2 4a2 2 0 01-4 0c0-1.5 2-4 2-4",
  fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  grid: "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z",
  help: "M9 9a3 3 0 115 2c-1 1-2 1.5-2 3M12 18h.01",
  image: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15 9h.01",
  invert: "M12 3a9 9 0 100 18 9 9 0 000-18M12 3v18M12 8h5M12 12h7M12 16h5",
  line: "M5 19L19 5",
  lock: "M6 11h12v9H6zM8 11V8a4 4 0 018 0v3",
  mask: "M12 3a9 9 0 100 18V3z",
  menu: "M12 5h.01M12 12h.01M12 19h.01",
  minus: "M5 12h14",
  moon: "M20 14A8 8 0 0110 4a8 8 0 1010 10z",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  move: "M12 3v18M3 12h18M12 3l-3 3M12 3l3 3M12 21l-3-3M12 21l3-3M3 12l3-3M3 12l3 3M21 12l-3-3M21 12l-3 3",
  pick: "M4 20l1-4 8-8 3 3-8 8zM12 7l2-2a2 2 0 013 0l2 2a2 2 0 010 3l-2 2",
  polygon: "M5 9l8-5 7 6-3 9H7z",
  pose: "M12 4a2 2 0 100 4 2 2 0 000-4M12 8v6M6 11h12M12 14l-4 6M12 14l4 6",
  rectangle: "M4 6h16v12H4z",
  queue: "M4 6h16M4 12h16M4 18h9",
  redo: "M19 8H9a5 5 0 000 10h3M15 4l4 4-4 4",
  settings: "M4 7h10M18 7h2M4 17h2M10 17h10M16 5v4M8 15v4",
  star: "M12 4l2.5 5 5.5.8-4 4 1 5.5-5-2.6-5 2.6 1-5.5-4-4 5.5-.8z",
  sun: "M12 8a4 4 0 100 8 4 4 0 000-8M12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M5 19l2-2M17 7l2-2",
  undo: "M5 8h10a5 5 0 010 10h-3M9 4L5 8l4 4",
  unlock: "M6 11h12v9H6zM8 11V8a4 4 0 017-2.6",
  up: "M6 15l6-6 6 6",
  upload: "M12 16V5M7 10l5-5 5 5M5 20h14",
  vary: "M4 7h4l8 10h4M4 17h4l2-3M14 10l2-3h4M18 4l3 3-3 3M18 14l3 3-3 3",
  zoom: "M10 4a6 6 0 100 12 6 6 0 000-12M15 15l5 5",
};

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(svg.namespaceURI, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** A button that shows an icon alone; its label is its name and its tooltip. */
export function iconButton(name, label, onclick, props = {}) {
  return h("button", { type: "button", class: "icon-button", title: label, "aria-label": label, onclick, ...props }, icon(name));
}

/** The words for a length of time in seconds. */
export function duration(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
