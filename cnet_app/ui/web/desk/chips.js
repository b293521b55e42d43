/** Chips beside Generate: everything that acts on the picture and is not seen on the desk, each with a button that removes it. */

import { changeSettings, chooseBase, choosePreset, isOfPreset, presetOf, removeLora, resetSetting, settingOf, titleIn } from "./chosen.js";
import { h, icon, keyed } from "../core/dom.js";
import { etaReason } from "./settings.js";
import { startText } from "./start_from.js";

const NUMBERS = {
  num_inference_steps: "Steps",
  guidance_scale: "Guidance",
  eta: "Eta",
  residual_interval: "Reuse control for steps:",
  reuse_threshold: "Reuse steps below",
};
const SWITCHES = ["norm_preserving", "guess_mode"];

/** The list of chips; hidden while all is at its default. */
export function buildChips(app) {
  const list = h("ul", { class: "chips", "aria-label": "Settings in use" });
  const update = (element, { text, title, remove }) => {
    const [words, button] = element.children;
    words.textContent = text;
    element.title = title ?? text;
    button.setAttribute("aria-label", `Remove: ${text}`);
    button.onclick = () => {
      remove();
      // The chip goes with its button; the focus stays near.
      setTimeout(
        () => document.activeElement === document.body && (list.querySelector("button") ?? document.getElementById("generate"))?.focus(),
      );
    };
  };
  const build = () =>
    h("li", { class: "chip" }, h("span", { class: "chip-text" }), h("button", { type: "button", class: "chip-remove" }, icon("cancel")));
  app.store.on(
    ({ draft, choices }) => [draft.settings, draft.start, choices],
    () => {
      const chips = chipsOf(app);
      list.hidden = !chips.length;
      keyed(list, chips, ({ key }) => key, build, update);
    },
  );
  return list;
}

/** Everything off its default: {key, text, title, remove}. */
function chipsOf(app) {
  const { state } = app.store;
  return [...startChips(app, state), ...modelChips(app, state), ...numberChips(app, state), ...switchChips(app, state)];
}

function startChips(app, { draft }) {
  const text = startText(draft);
  return text ? [{ key: "start", text, remove: () => app.drafts.edit({ start: null }) }] : [];
}

function modelChips(app, state) {
  const { lists } = state.choices;
  const { base, vae, ip_adapter: reference, scheduler } = state.draft.settings;
  const preset = presetOf(state);
  const samplers = state.tables.samplers;
  return [
    base && { key: "base", text: titleIn(lists.base, base), remove: () => chooseBase(app, "") },
    vae && { key: "vae", text: `VAE: ${titleIn(lists.vae, vae)}`, remove: () => resetSetting(app, "vae") },
    preset && {
      key: "preset",
      text: `${preset.title}: few steps`,
      title: presetTitle(preset, samplers),
      remove: () => choosePreset(app, ""),
    },
    ...loraChips(app, state, preset),
    reference && { key: "reference", text: referenceText(lists, reference), remove: () => changeSettings(app, { ip_adapter: null }) },
    scheduler &&
      !isOfPreset(state, "scheduler") && {
        key: "scheduler",
        text: titleIn(samplers, scheduler),
        remove: () => resetSetting(app, "scheduler"),
      },
  ].filter(Boolean);
}

function presetTitle({ title, lora, scheduler, num_inference_steps, guidance_scale }, samplers) {
  return `${title}: LoRA ${lora}, sampler ${titleIn(samplers, scheduler)}, ${num_inference_steps} steps, guidance ${guidance_scale}`;
}

function referenceText(lists, { name, picture, scale }) {
  return `${titleIn(lists.ip_adapter, name)} ${scale}${picture ? "" : ": no picture yet"}`;
}

/** The preset's own LoRA is in the preset's chip while it is as the preset set it. */
function loraChips(app, state, preset) {
  const shown = settingOf(state, "loras").filter(({ name, scale }) => name !== preset?.lora || scale !== 1);
  return shown.map(({ name, scale }) => ({
    key: `lora ${name}`,
    text: `${titleIn(state.choices.lists.lora, name)} ${scale}`,
    remove: () => removeLora(app, name),
  }));
}

function numberChips(app, state) {
  return Object.entries(NUMBERS)
    .filter(([name]) => isSet(state, name))
    .map(([name, label]) => {
      const idle = name === "eta" && etaReason(state) ? " (no effect with this sampler)" : "";
      return { key: name, text: `${label} ${settingOf(state, name)}${idle}`, remove: () => resetSetting(app, name) };
    });
}

function switchChips(app, state) {
  const on = SWITCHES.filter((name) => state.draft.settings[name]);
  return on.map((name) => ({ key: name, text: state.tables.labels[name], remove: () => resetSetting(app, name) }));
}

/** Whether a number acts by the user's own choice: off its default, and not as a preset has set it. */
function isSet(state, name) {
  if (presetOf(state))
    return !isOfPreset(state, name) && (name in state.draft.settings || name in { num_inference_steps: 1, guidance_scale: 1 });
  return name in state.draft.settings;
}
