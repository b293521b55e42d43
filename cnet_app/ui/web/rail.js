/** The rail: one vertical list of tabs, a condition each, with this photo's own map as its picture. */

import { h, iconButton, keyed } from "./dom.js";
import { newLayer } from "./draft.js";
import { addLayer } from "./layer_actions.js";

export function buildRail(app) {
  const tabs = h("div", { class: "rail-tabs", role: "tablist", "aria-label": "Conditions", "aria-orientation": "vertical", onkeydown: step });
  const build = ({ id, title }) =>
    h(
      "div",
      { class: "rail-item" },
      h(
        "button",
        { type: "button", role: "tab", class: "rail-tab", id: `tab-${id}`, title, onclick: () => openCondition(app, id) },
        h("span", { class: "rail-picture" }),
        h("span", { class: "rail-title" }, title),
      ),
      iconButton("add", `Add ${title} as another layer`, () => addLayer(app, id), { class: "icon-button rail-add", tabindex: "-1" }),
    );
  const update = (item, { id, title, help }) => {
    const { draft, thumbs, tables } = app.store.state;
    const tab = item.firstChild;
    const isOpen = id === draft.condition;
    tab.setAttribute("aria-selected", String(isOpen));
    tab.tabIndex = isOpen ? 0 : -1;
    tab.title = `${title}: ${help}`;
    item.classList.toggle("is-used", draft.layers.some((layer) => layer.condition === id && layer.enabled));
    const { image } = thumbs[id] ?? {};
    tab.firstChild.style.backgroundImage = image ? `url(${image})` : "";
    const annotator = tables.conditions.find((row) => row.id === id).annotators.find((one) => one.id === thumbs[id]?.annotator);
    tab.firstChild.classList.toggle("is-demo", Boolean(image && annotator?.is_demo));
  };
  app.store.on(
    ({ tables, draft, thumbs }) => [tables, draft.condition, draft.layers, thumbs],
    ([{ conditions }]) => keyed(tabs, conditions, ({ id }) => id, build, update),
  );
  return h("nav", { class: "rail", "aria-label": "Conditions" }, tabs);
}

/** Arrow keys move between the tabs, Home and End to the ends. */
function step(event) {
  const tabs = [...event.currentTarget.querySelectorAll("[role=tab]")];
  const now = tabs.indexOf(document.activeElement);
  const last = tabs.length - 1;
  const next = { ArrowDown: now + 1, ArrowRight: now + 1, ArrowUp: now - 1, ArrowLeft: now - 1, Home: 0, End: last }[event.key];
  if (next === undefined || now < 0) return;
  event.preventDefault();
  tabs[(next + tabs.length) % tabs.length].focus();
  tabs[(next + tabs.length) % tabs.length].click();
}

/** Make a condition the one that is worked on: its layer is opened, or takes the place of the open one, or is the first. */
export function openCondition(app, id) {
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
  return newLayer(id, { conditioning_scale: app.store.state.choices.base.conditioning_scale });
}
