/** The desk: all that is touched at every picture, and Generate below it, which is always in sight. */

import { buildChips } from "./chips.js";
import { followBase } from "./chosen.js";
import { h } from "../core/dom.js";
import { buildAnnouncer, buildError, buildGenerate, buildNotes, buildProgress } from "./generate.js";
import { buildLayers } from "../layers/layers.js";
import { buildNegative, buildPrompt } from "./prompt.js";
import { buildRestored } from "./restored.js";
import { buildSeed } from "./seed.js";
import { buildSettings } from "./settings.js";
import { buildCount, buildSize, buildSizeWarning } from "./size.js";
import { buildStart } from "./start_from.js";
import { buildSweeps } from "../sweeps/sweeps.js";
import { buildWildcards } from "./wildcards.js";
import { buildWords } from "./words.js";

const SHEETS = { prompt: "Prompt", controls: "Controls", pictures: "Pictures" };

/**
 * The prompt, three sections, which are sheets with tabs on a phone, and the foot with Generate. The foot is seen last, but
 * follows the prompt for the keyboard.
 */
export function buildDesk(app) {
  followBase(app);
  return h(
    "aside",
    { class: "desk", "aria-label": "Desk" },
    buildTabs(app),
    h("div", { class: "desk-prompt", dataset: { sheet: "prompt" } }, buildPrompt(app)),
    h(
      "div",
      { class: "desk-foot" },
      buildNotes(app),
      buildError(app),
      buildChips(app),
      buildGenerate(app),
      buildSweeps(app),
      buildProgress(app),
      buildAnnouncer(app),
    ),
    h(
      "div",
      { class: "desk-scroll" },
      section("prompt", buildRestored(app), buildWildcards(app), buildWords(app), buildNegative(app), buildMeasures(app)),
      section("controls", buildLayers(app), buildStart(app), buildSettings(app)),
      section("pictures"),
    ),
  );
}

function section(name, ...content) {
  return h("section", { class: "sheet", "aria-label": SHEETS[name], dataset: { sheet: name } }, content);
}

function buildMeasures(app) {
  return [h("div", { class: "measures" }, buildSize(app), buildCount(app)), buildSizeWarning(app), buildSeed(app)];
}

/** On a phone the sections are sheets; the page's data-sheet names the open one. */
function buildTabs(app) {
  const open = (name) => {
    app.root.dataset.sheet = name;
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.opens === name));
  };
  const buttons = Object.entries(SHEETS).map(([name, title]) =>
    h("button", { type: "button", dataset: { opens: name }, onclick: () => open(name) }, title),
  );
  open("prompt");
  return h("div", { class: "sheet-tabs", role: "group", "aria-label": "Sheet" }, buttons);
}
