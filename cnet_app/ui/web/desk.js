/** The desk: prompt, size, number of pictures, seed, layers, Generate. */

import { h } from "./dom.js";
import { buildLayers } from "./layers.js";

export function buildDesk(app) {
  const prompt = h("textarea", { id: "prompt", rows: "3", oninput: () => app.drafts.edit({ prompt: prompt.value }, "prompt") });
  app.store.on(({ draft }) => draft.prompt, (text) => text !== prompt.value && (prompt.value = text));
  return h(
    "aside",
    { class: "desk", "aria-label": "Desk" },
    h("label", { for: "prompt" }, "Prompt"),
    prompt,
    buildLayers(app),
    h("button", { type: "button", class: "primary", id: "generate", onclick: () => app.jobs.generate() }, "Generate"),
  );
}
