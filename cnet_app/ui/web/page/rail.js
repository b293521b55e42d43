/** The rail: one vertical list of tabs, a condition each, with this photo's own map as its picture, or the one that was drawn. */

import { h, iconButton, keyed } from "../core/dom.js";
import { newLayer } from "../core/draft.js";
import { addLayer, misfit, startScale } from "../layers/layer_actions.js";

export function buildRail(app) {
  const tabs = h("div", { class: "rail-tabs", role: "tablist", "aria-label": "Conditions", "aria-orientation": "vertical", onkeydown: step });
  const build = ({ id, title }) =>
    h(
      "button",
      { type: "button", role: "tab", class: "rail-tab", id: `tab-${id}`, onclick: () => openCondition(app, id) },
      h("span", { class: "rail-picture" }),
      h("span", { class: "rail-title" }, title),
    );
  const update = (tab, { id, title, help }) => {
    const { draft, thumbs, tables, maps } = app.store.state;
    const isOpen = id === draft.condition;
    tab.setAttribute("aria-selected", String(isOpen));
    tab.tabIndex = isOpen ? 0 : -1;
    const fault = misfit(app.store.state, { id, title });
    tab.title = fault || `${title}: ${help}`;
    tab.classList.toggle("is-misfit", Boolean(fault));
    tab.setAttribute("aria-description", fault);
    tab.classList.toggle("is-used", draft.layers.some((layer) => layer.condition === id && layer.enabled));
    const own = draft.layers.find((layer) => layer.condition === id && layer.source !== "photo");
    const { image, annotator } = (own && maps[own.id]) || thumbs[id] || {};
    tab.firstChild.style.backgroundImage = image ? `url(${image})` : "";
    const row = tables.conditions.find((one) => one.id === id).annotators.find((one) => one.id === annotator);
    tab.firstChild.classList.toggle("is-demo", Boolean(image && row?.is_demo));
  };
  app.store.on(
    ({ tables, draft, thumbs, maps, choices }) => [tables, draft.condition, draft.layers, thumbs, maps, choices],
    ([{ conditions }]) => keyed(tabs, conditions, ({ id }) => id, build, update),
  );
  return h("nav", { class: "rail", "aria-label": "Conditions" }, tabs, buildAdd(app, tabs));
}

/** The one button that adds a layer; it lies on the tab under the pointer, since a list of tabs holds nothing but tabs. */
function buildAdd(app, tabs) {
  let id = null;
  const add = iconButton("add", "Add as another layer", () => addLayer(app, id), { class: "icon-button rail-add", tabindex: "-1", hidden: true });
  const follow = ({ target }) => {
    const tab = target.closest(".rail-tab");
    if (!tab) return;
    id = tab.dataset.key;
    add.style.top = `${tab.offsetTop + 6}px`;
    add.title = `Add ${tab.textContent} as another layer`;
    add.setAttribute("aria-label", add.title);
    add.hidden = false;
  };
  tabs.addEventListener("pointerover", follow);
  tabs.addEventListener("focusin", follow);
  return add;
}

/** Arrow keys move between the tabs, Home and End to the ends; + adds the tab's condition as another layer. */
function step(event) {
  const tabs = [...event.currentTarget.querySelectorAll("[role=tab]")];
  const now = tabs.indexOf(document.activeElement);
  const last = tabs.length - 1;
  const next = { ArrowDown: now + 1, ArrowRight: now + 1, ArrowUp: now - 1, ArrowLeft: now - 1, Home: 0, End: last }[event.key];
  if (event.key === "+") document.querySelector(".rail-add").click();
  if (next === undefined || now < 0) return;
  event.preventDefault();
  tabs[(next + tabs.length) % tabs.length].focus();
  tabs[(next + tabs.length) % tabs.length].click();
}

/** Make a condition the one that is worked on: its layer is opened, or takes the place of the open one, or is the first. */
export function openCondition(app, id) {
  app.store.patch({ error: "" }); // of what was worked on before
  app.drafts.edit((draft) => {
    const known = draft.layers.find((layer) => layer.condition === id);
    if (known) return { condition: id, open: known.id };
    const replaced = draft.layers.find((layer) => layer.id === draft.open) ?? draft.layers.at(-1);
    const layer = draft.stash[id] ?? startLayer(app, id);
    const layers = replaced ? draft.layers.map((one) => (one === replaced ? layer : one)) : [layer];
    const stash = replaced ? { ...draft.stash, [replaced.condition]: replaced } : draft.stash;
    return { condition: id, layers, open: layer.id, stash };
  });
  app.show(app.store.state.draft.photo ? "map" : app.store.state.view);
}

function startLayer(app, id) {
  return newLayer(id, { conditioning_scale: startScale(app.store.state.choices, id) });
}
