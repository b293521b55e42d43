/** Control layers: a card each, of which one is open. */

import { buildCoverage, followShares } from "./coverage.js";
import { fill, h, icon, iconButton, keyed } from "../core/dom.js";
import { field } from "./fields.js";
import {
  addLayer, conditionOf, duplicateLayer, isFull, misfit, moveLayer, openLayer, ownMap, ownPhoto, removeLayer, resetLayer, titleOfLayer,
} from "./layer_actions.js";
import { dragBy } from "./layer_drag.js";
import { buildLayerForm } from "./layer_form.js";
import { menuButton } from "./menu.js";
import { chooseFile } from "../core/photo.js";

/** Build the section of all layers: its header, the cards, and notes about how they work together. */
export function buildLayers(app) {
  const list = new LayerList(app);
  const coverage = buildCoverage(app);
  const fighting = h("p", { class: "warning", role: "status", hidden: true });
  const full = h("p", { class: "note", hidden: true });
  const empty = h("p", { class: "note", hidden: true }, "No control layer yet: the picture follows the text alone.");
  followShares(app);
  app.store.on(({ fighting: text }) => text, (text) => {
    fighting.textContent = text ?? "";
    fighting.hidden = !text;
  });
  app.store.on(({ draft, tables }) => [draft.layers.length, tables], ([count, { limits }]) => {
    empty.hidden = count > 0;
    full.hidden = count < limits.max_units;
    full.textContent = `There are ${limits.max_units} layers, as many as can be; remove one to add another.`;
  });
  return h(
    "section",
    { class: "layers", "aria-label": "Control layers" },
    h("div", { class: "layers-head" }, h("h2", {}, "Control layers"), coverage.button, addButton(app)),
    coverage.note,
    fighting,
    empty,
    list.element,
    full,
    list.live,
  );
}

function addButton(app) {
  const button = h("button", { type: "button", class: "layers-add" }, icon("add"), "Add control");
  app.store.on(({ draft, tables }) => [draft.layers, tables], () => (button.disabled = isFull(app)));
  const items = () =>
    app.store.state.tables.conditions.map((row) => {
      const reason = misfit(app.store.state, row);
      return { title: row.title, note: reason || row.help, isDisabled: Boolean(reason), act: () => addLayer(app, row.id) };
    });
  return menuButton(button, "Add control", items);
}

/** The cards. What is unfolded in a form stays so when another card is opened. */
class LayerList {
  #app;
  #forms = new Map(); // by element: what ends its form
  #opened = new Set();

  constructor(app) {
    this.#app = app;
    this.element = h("ul", { class: "layer-list", "aria-label": "Layers" });
    this.live = h("p", { class: "for-ears", "aria-live": "polite" });
    app.store.on(
      ({ draft, maps, tables, choices, shares }) => [draft.layers, draft.open, maps, tables, choices, shares],
      () => this.#show(),
    );
  }

  /** An element that is moved loses the focus; it gets it back. */
  #show() {
    const { layers } = this.#app.store.state.draft;
    const focused = document.activeElement;
    keyed(this.element, layers, ({ id }) => id, (layer) => this.#build(layer), (card, layer) => this.#update(card, layer));
    if (focused !== document.activeElement && this.element.contains(focused)) focused.focus({ preventScroll: true });
    for (const [card, form] of this.#forms) {
      if (card.isConnected) continue;
      form.end();
      this.#forms.delete(card);
    }
  }

  #build({ id }) {
    const app = this.#app;
    const head = h(
      "div",
      { class: "layer-head" },
      h("span", { class: "layer-grip", title: "Drag to reorder; Alt+Up and Alt+Down move the layer too" }, icon("drag")),
      h(
        "button",
        { type: "button", class: "layer-open", onclick: () => this.#toggle(id) },
        h("span", { class: "layer-picture" }),
        h("span", { class: "layer-title" }),
        h("span", { class: "layer-share", hidden: true }, h("span", { class: "layer-share-bar" }), h("span", {})),
      ),
      strengthField(app, id),
      iconButton("eye", "Switch the layer off", () => this.#switch(id), { class: "icon-button layer-eye" }),
      menuButton(iconButton("more", "Layer menu", () => {}, { class: "icon-button layer-menu" }), "Layer menu", () => this.#menu(id)),
    );
    const card = h("li", { class: "layer", onkeydown: (event) => this.#key(event, id) }, head);
    dragBy(head.querySelector(".layer-grip"), card, () => openLayer(app, null), (place) => this.#move(id, place));
    return card;
  }

  #update(card, layer) {
    const { state } = this.#app.store;
    const title = titleOfLayer(state, layer);
    const map = state.maps[layer.id];
    const isOpen = state.draft.open === layer.id;
    const at = (name) => card.querySelector(`.layer-${name}`);
    card.classList.toggle("is-off", !layer.enabled);
    card.classList.toggle("is-open", isOpen);
    card.classList.toggle("is-busy", Boolean(map?.isBusy));
    at("picture").style.backgroundImage = map?.image ? `url(${map.image})` : "";
    at("title").textContent = title;
    at("open").setAttribute("aria-expanded", String(isOpen));
    const fault = misfit(state, conditionOf(state.tables, layer)) || map?.error || (map?.missing && "Files are missing.") || "";
    card.classList.toggle("has-fault", Boolean(fault));
    at("open").title = fault || title;
    for (const input of card.querySelectorAll(".layer-strength input")) input.setAttribute("aria-label", `${title}: control strength`);
    at("strength").show(layer.conditioning_scale);
    showEye(at("eye"), title, layer.enabled);
    at("menu").setAttribute("aria-label", `${title}: menu`);
    showShare(at("share"), state.shares?.[layer.id]);
    this.#showForm(card, layer.id, isOpen);
  }

  #showForm(card, id, isOpen) {
    const form = this.#forms.get(card);
    if (Boolean(form) === isOpen) return;
    if (form) {
      form.element.remove();
      form.end();
      this.#forms.delete(card);
    } else {
      const built = buildLayerForm(this.#app, id, this.#opened);
      this.#forms.set(card, built);
      card.append(built.element);
    }
  }

  #toggle(id) {
    openLayer(this.#app, this.#app.drafts.now.open === id ? null : id);
  }

  #switch(id) {
    this.#app.drafts.editLayer(id, ({ enabled }) => ({ enabled: !enabled }));
  }

  #key(event, id) {
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!event.altKey || !by) return;
    event.preventDefault();
    event.stopPropagation();
    this.#move(id, this.#placeOf(id) + by);
  }

  #placeOf(id) {
    return this.#app.drafts.now.layers.findIndex((layer) => layer.id === id);
  }

  #move(id, place) {
    if (!moveLayer(this.#app, id, place)) return;
    const { state } = this.#app.store;
    const layer = state.draft.layers.find((one) => one.id === id);
    this.live.textContent = `${titleOfLayer(state, layer)} is layer ${this.#placeOf(id) + 1} of ${state.draft.layers.length}.`;
  }

  #menu(id) {
    const app = this.#app;
    const { maps, draft } = app.store.state;
    const map = maps[id];
    const place = this.#placeOf(id);
    const bring = (take) => async () => {
      const file = await chooseFile();
      if (file) await take(app, id, file);
    };
    return [
      { title: "Duplicate", isDisabled: isFull(app), act: () => duplicateLayer(app, id) },
      { title: "Own photo…", act: bring(ownPhoto) },
      { title: "Use as map…", note: "A picture that is a map already", act: bring(ownMap) },
      { title: "Save map", isDisabled: !map?.image, act: () => saveAs(map.image, this.#fileName(id, "map.png")) },
      map?.data && { title: this.#dataTitle(id), act: () => saveData(map.data, this.#fileName(id, "data.json")) },
      { title: "Move up", isDisabled: place === 0, act: () => this.#move(id, place - 1) },
      { title: "Move down", isDisabled: place === draft.layers.length - 1, act: () => this.#move(id, place + 1) },
      { title: "Reset settings", act: () => resetLayer(app, id) },
      { title: "Delete", act: () => this.#remove(id) },
    ].filter(Boolean);
  }

  #dataTitle(id) {
    const { tables, draft } = this.#app.store.state;
    const { data } = conditionOf(tables, draft.layers.find((layer) => layer.id === id));
    return data === "pose" ? "Save pose (JSON)" : "Save classes (JSON)";
  }

  #fileName(id, ending) {
    const { condition } = this.#app.drafts.now.layers.find((layer) => layer.id === id);
    return `${condition}-${ending}`;
  }

  /** The focus goes on to the card in its place. */
  #remove(id) {
    const place = this.#placeOf(id);
    removeLayer(this.#app, id);
    requestAnimationFrame(() => {
      const next = this.element.children[Math.min(place, this.element.children.length - 1)];
      (next?.querySelector(".layer-open") ?? document.querySelector(".layers-add"))?.focus();
    });
  }
}

/** The strength on a card: its name is the layer's. */
function strengthField(app, id) {
  const { tables } = app.store.state;
  const declared = { ...tables.limits.unit.conditioning_scale, help: "" };
  const set = (value) => app.drafts.editLayer(id, { conditioning_scale: value }, "conditioning_scale");
  const element = field("conditioning_scale", declared, declared.default, set, { label: "Control strength", tabStops: false });
  element.classList.add("layer-strength");
  element.querySelector(".field-name").remove();
  return element;
}

function showEye(button, title, isOn) {
  const label = isOn ? `${title}: switch off` : `${title}: switch on`;
  if (button.title === label) return;
  fill(button, icon(isOn ? "eye" : "eyeoff"));
  button.title = label;
  button.setAttribute("aria-label", label);
}

function showShare(element, share) {
  element.hidden = share === undefined;
  if (element.hidden) return;
  const percent = Math.round(share * 100);
  element.title = `${percent} % of the control in the last picture came from this layer`;
  element.firstChild.style.setProperty("--share", `${percent}%`);
  element.lastChild.textContent = `${percent} %`;
}

function saveAs(url, name) {
  const link = h("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}

function saveData(data, name) {
  const url = URL.createObjectURL(new Blob([JSON.stringify(data)], { type: "application/json" }));
  saveAs(url, name);
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
