/** The settings of a draft: only what is off its default is kept, so that all that acts can be shown. */

import { withControlnet } from "../layers/layer_actions.js";

const OF_PRESETS = ["scheduler", "num_inference_steps", "guidance_scale"];

/** The value of every setting where the draft has none. */
function defaultsOf({ tables, choices }) {
  const { request } = tables.limits;
  const { guidance_scale, num_inference_steps } = choices.base.defaults;
  return {
    base: "",
    vae: "",
    preset: "",
    before: null,
    loras: [],
    ip_adapter: null,
    negative_prompt: "",
    scheduler: "default",
    num_inference_steps,
    guidance_scale,
    eta: request.eta.default,
    residual_interval: request.residual_interval.default,
    reuse_threshold: request.reuse_threshold.default,
    norm_preserving: false,
    guess_mode: false,
  };
}

/** A setting as it acts: the draft's, else its default. */
export function settingOf(state, name) {
  return state.draft.settings[name] ?? defaultsOf(state)[name];
}

/** Change settings of the draft; those that come to their defaults leave it. */
export function changeSettings(app, changes, key = null) {
  const defaults = defaultsOf(app.store.state);
  app.drafts.edit(({ settings }) => ({ settings: onlyOff({ ...settings, ...changes }, defaults) }), key);
}

/** Bring a setting back to what it is without the user: the preset's value where one is on, else the default. */
export function resetSetting(app, name) {
  const row = presetOf(app.store.state);
  const value = row && OF_PRESETS.includes(name) ? row[name] : defaultsOf(app.store.state)[name];
  changeSettings(app, { [name]: value });
}

/** The few-step preset that is on; undefined where there is none. */
export function presetOf({ draft, choices }) {
  return choices.presets.find(({ id }) => id === draft.settings.preset);
}

/** Whether a setting is as the preset that is on has set it. */
export function isOfPreset(state, name) {
  const row = presetOf(state);
  return Boolean(row) && OF_PRESETS.includes(name) && settingOf(state, name) === row[name];
}

/** Turn a few-step preset on; an empty id turns it off and brings back what was set before. */
export function choosePreset(app, id) {
  const { choices } = app.store.state;
  const defaults = defaultsOf(app.store.state);
  const row = choices.presets.find((one) => one.id === id);
  app.drafts.edit(({ settings }) => {
    const plain = withoutPreset(settings, choices.presets, defaults);
    return { settings: onlyOff(row ? withPreset(plain, row) : plain, defaults) };
  });
}

function withPreset(settings, row) {
  const before = Object.fromEntries(["loras", ...OF_PRESETS].map((name) => [name, settings[name] ?? null]));
  const others = (settings.loras ?? []).filter(({ name }) => name !== row.lora);
  const values = Object.fromEntries(OF_PRESETS.map((name) => [name, row[name]]));
  return { ...settings, ...values, loras: [...others, { name: row.lora, scale: 1 }], preset: row.id, before };
}

/** What the preset still holds becomes what it was before; what was changed since stays. */
function withoutPreset({ preset, before, ...settings }, presets, defaults) {
  if (!preset) return settings;
  const row = presets.find(({ id }) => id === preset);
  const wasBefore = before ?? {};
  if (!row) return { ...settings, ...wasBefore };
  const held = OF_PRESETS.filter((name) => (settings[name] ?? defaults[name]) === row[name]);
  const restored = Object.fromEntries(held.map((name) => [name, wasBefore[name] ?? null]));
  const others = (settings.loras ?? []).filter(({ name }) => name !== row.lora);
  const own = (wasBefore.loras ?? []).filter(({ name }) => name === row.lora);
  return { ...settings, ...restored, loras: [...others, ...own] };
}

/** Take a LoRA out; that of a preset ends the preset. */
export function removeLora(app, name) {
  if (presetOf(app.store.state)?.lora === name) return choosePreset(app, "");
  return changeSettings(app, { loras: settingOf(app.store.state, "loras").filter((lora) => lora.name !== name) });
}

/** Choose the base model; models that fit another family are taken out, with a note. An empty id is the best for the machine. */
export async function chooseBase(app, id) {
  await app.attempt(async () => {
    const { choices } = app.store.state;
    app.chosenBase = id; // of two choices in a row the later one counts, whichever answer is first
    const next = await app.server.call("choices", { base: id });
    if (app.chosenBase !== id) return;
    app.store.patch({ choices: { ...next, chosen: id } });
    const removed = [];
    app.drafts.edit((draft) => fitted(draft, id, choices, app.store.state, removed));
    if (removed.length) app.say(`Taken out, because they do not fit ${next.base.title}: ${removed.join(", ")}.`);
  });
}

/** Keep the store's choices those of the draft's base, also after undo and a reload. */
export function followBase(app) {
  app.store.on(
    ({ draft }) => draft.settings.base ?? "",
    async (base) => {
      if (base === (app.store.state.choices.chosen ?? "")) return;
      const choices = await app.attempt(() => app.server.call("choices", { base }));
      if (choices && base === (app.store.state.draft.settings.base ?? "")) app.store.patch({ choices: { ...choices, chosen: base } });
    },
  );
}

/** Settings and layers of a draft with nothing that is made for another family; the titles of what goes are added to `removed`. */
function fitted({ settings, layers }, base, old, state, removed) {
  const { choices } = state;
  const defaults = defaultsOf(state);
  const isKept = (list, id) => {
    const fits = choices.lists[list].some((row) => row.id === id);
    if (!fits) removed.push(titleIn(old.lists[list], id));
    return fits;
  };
  const isPresetKept = choices.presets.some(({ id }) => id === settings.preset);
  const plain = settings.preset && !isPresetKept ? withoutPreset(settings, old.presets, defaultsOf({ ...state, choices: old })) : settings;
  if (plain !== settings) removed.push(old.presets.find(({ id }) => id === settings.preset)?.title ?? settings.preset);
  const kept = {
    ...plain,
    base,
    vae: plain.vae && isKept("vae", plain.vae) ? plain.vae : "",
    loras: (plain.loras ?? []).filter(({ name }) => isKept("lora", name)),
    ip_adapter: plain.ip_adapter && isKept("ip_adapter", plain.ip_adapter.name) ? plain.ip_adapter : null,
  };
  return { settings: onlyOff(kept, defaults), layers: layers.map((layer) => fittedLayer(layer, old, choices, removed)) };
}

function fittedLayer(layer, old, choices, removed) {
  const fits = (choices.controlnets[layer.condition] ?? []).some(({ id }) => id === layer.controlnet);
  if (!layer.controlnet || fits) return withControlnet(layer, layer.controlnet, old, choices);
  removed.push(titleIn(old.controlnets[layer.condition] ?? [], layer.controlnet));
  return withControlnet(layer, "", old, choices);
}

/** The title of an id in a list, without what would be downloaded. */
export function titleIn(list, id) {
  const title = list.find((row) => row.id === id)?.title ?? id;
  return title.replace(/ \([^()]* to download\)$/, "");
}

function onlyOff(settings, defaults) {
  const isOff = ([name, value]) => value !== null && value !== undefined && JSON.stringify(value) !== JSON.stringify(defaults[name]);
  return Object.fromEntries(Object.entries(settings).filter(isOff));
}
