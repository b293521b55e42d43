/** The bar above the page: name, base model, library, queue, theme, help. */

import { h, icon, iconButton } from "../core/dom.js";
import { buildQueue } from "./queue.js";
import { currentTheme, setTheme } from "../core/theme.js";

/** What public mode means for the one who reads it. */
export const PUBLIC = "Public mode: others use this server too. Your pictures and jobs are shown to this browser alone.";

export function buildBar(app) {
  const theme = h("button", { type: "button", class: "icon-button", id: "theme", onclick: () => setTheme(currentTheme() === "dark" ? "light" : "dark") });
  const showTheme = () => {
    const isDark = currentTheme() === "dark";
    theme.replaceChildren(icon(isDark ? "sun" : "moon"));
    theme.title = isDark ? "Light theme" : "Dark theme";
    theme.setAttribute("aria-label", theme.title);
  };
  document.addEventListener("themechange", showTheme);
  showTheme();
  return h(
    "header",
    { class: "bar" },
    h("h1", {}, "ControlNet Studio"),
    buildBase(app),
    app.store.state.tables.local ? null : h("span", { class: "bar-mode", id: "mode", title: PUBLIC }, "Public"),
    h("span", { class: "bar-space" }),
    buildQueue(app),
    app.store.state.tables.local && h("button", { type: "button", class: "quiet", id: "open-studies", "aria-label": "Rank", onclick: () => app.openStudies() }, icon("star"), h("span", { class: "bar-label" }, "Rank")),
    app.store.state.tables.can_train && h("button", { type: "button", class: "quiet", id: "open-train", "aria-label": "Train", onclick: () => app.openTrain() }, icon("curve"), h("span", { class: "bar-label" }, "Train")),
    h("button", { type: "button", class: "quiet", id: "open-library", "aria-label": "Library", onclick: () => app.openLibrary() }, icon("grid"), h("span", { class: "bar-label" }, "Library")),
    theme,
    iconButton("help", "Help and keys (?)", () => app.openDialog("help"), { id: "help" }),
  );
}

/** The base model, why it is this one, and the offer of a better one. */
function buildBase(app) {
  const title = h("button", { type: "button", class: "quiet bar-base", id: "base", onclick: () => app.openDialog("models") });
  const offer = h("button", { type: "button", id: "offer", onclick: () => app.openDialog("offer") }, "Get Stable Diffusion…");
  app.store.on(
    ({ choices, engine }) => [choices, engine.state],
    ([choices, state]) => {
      const { base } = choices;
      title.dataset.engine = state;
      title.replaceChildren(h("span", { class: "dot" }), h("span", { class: "bar-title" }, base.is_demo ? `Demo model (${base.defaults.size} px)` : base.title));
      title.title = `Base model: ${base.title}, ${base.defaults.size} px: ${base.reason}.`;
      offer.hidden = !choices.offer || Boolean(app.store.state.tables.no_downloads);
    },
  );
  return [title, offer];
}

/** Why the engine does not work, while it does not, with a button that starts it again. */
export function buildEngineLine(app) {
  const words = h("span");
  const again = h("button", { type: "button", id: "start-engine", onclick: () => app.attempt(() => app.server.call("start_engine")) }, "Start the engine again");
  const line = h("div", { class: "engine-line", role: "alert" }, words, again);
  app.store.on(
    ({ engine }) => [engine.state, engine.message],
    ([state, message]) => {
      line.hidden = !message;
      words.textContent = message ?? "";
      again.hidden = state !== "down";
    },
  );
  return line;
}
