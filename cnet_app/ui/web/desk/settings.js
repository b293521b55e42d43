/** "More": models and sampling, which are touched seldom. What is off its default is a chip beside Generate. */

import { changeSettings, chooseBase, choosePreset, presetOf, removeLora, settingOf, titleIn } from "./chosen.js";
import { fill, h, iconButton } from "../core/dom.js";
import { liveField, thumbnail } from "../core/live.js";
import { chooseFile, keepPicture } from "../core/photo.js";
import { optionsWith, refusalOf, whyOff } from "../core/refusal.js";

/** The disclosure with all settings. */
export function buildSettings(app) {
  const { labels } = app.store.state.tables;
  return h(
    "details",
    { class: "more" },
    h("summary", {}, "More"),
    h(
      "div",
      { class: "more-body" },
      h("h3", {}, "Models"),
      choice(
        app,
        "base",
        labels.base,
        (state) => state.choices.lists.base,
        (id) => chooseBase(app, id),
      ),
      memoryNote(app),
      choice(app, "vae", labels.vae, (state) => state.choices.lists.vae),
      presetChoice(app),
      loras(app),
      reference(app),
      modelButtons(app),
      h("h3", {}, "Sampling"),
      samplerChoice(app, labels.scheduler),
      number(app, "num_inference_steps"),
      number(app, "guidance_scale"),
      number(app, "eta", etaReason),
      number(app, "reuse_threshold"),
      h("h3", {}, "Control"),
      number(app, "residual_interval", undefined, { unit: "steps" }),
      toggle(app, "norm_preserving", labels.norm_preserving, "All layers together push no harder than the strongest of them."),
      toggle(app, "guess_mode", labels.guess_mode, "Every layer steers the prompt's side only; an empty prompt is fine."),
    ),
  );
}

/** Why eta does nothing with the chosen sampler; empty where it acts. */
export function etaReason(state) {
  const scheduler = settingOf(state, "scheduler");
  if (state.tables.samplers.find(({ id }) => id === scheduler)?.has_eta) return "";
  const able = state.tables.samplers.filter(({ has_eta }) => has_eta).map(({ title }) => title.split(",")[0]);
  return `Only for the samplers ${able.slice(0, -1).join(", ")} and ${able.at(-1)}.`;
}

function row(label, id, control, title) {
  return h("div", { class: "setting", title }, h("label", { for: id }, label), control);
}

function choice(app, name, label, list, choose = (value) => changeSettings(app, { [name]: value })) {
  const select = h("select", { id: `setting-${name}`, onchange: () => choose(select.value) });
  app.store.on(
    (state) => [list(state), settingOf(state, name)],
    ([rows, value]) => showOptions(select, rows, value),
  );
  return row(label, select.id, select);
}

/** What is loaded besides the base: ControlNets of the layers that are on, LoRAs, IP-Adapter; as text, which is compared with one look. */
function networksOf(state) {
  const active = state.draft.layers.filter(({ enabled }) => enabled !== false);
  const layers = active.map(({ condition, controlnet }) => ({ condition, controlnet: controlnet ?? "" }));
  const loras = (settingOf(state, "loras") ?? []).map(({ name }) => name);
  return JSON.stringify({ layers, loras, ip_adapter: settingOf(state, "ip_adapter")?.name ?? null });
}

/** The samplers; those that the base refuses stay in the list, disabled. */
function samplerChoice(app, label) {
  const why = whyOff(label);
  const select = h("select", { id: "setting-scheduler", onchange: () => changeSettings(app, { scheduler: select.value }) });
  app.store.on(
    (state) => [state.tables.samplers, settingOf(state, "scheduler"), state.choices.base],
    ([rows, value, { refused, title }]) => {
      const reasons = refused.scheduler;
      fill(select, optionsWith(rows, reasons, title));
      select.value = value;
      select.title = reasons[value] ?? select.selectedOptions[0]?.textContent ?? "";
      why.show(reasons[value] ?? Object.values(reasons), [select], value in reasons, false);
    },
  );
  return h("div", {}, row(label, select.id, h("span", { class: "choice-row" }, select, why.button)), why.text);
}

/** What the base's files leave open, and what it and the layers will take of the device's memory. */
function memoryNote(app) {
  const note = h("p", { class: "note", id: "base-memory" });
  let newest = null;
  app.store.on(
    (state) => [state.choices.base.id, state.choices.base.note, state.frame?.width, state.frame?.height, networksOf(state)],
    async ([base, remark, width, height, networks]) => {
      const size = width ? { frame: { width, height } } : {};
      const asked = app.attempt(() => app.server.call("memory", { base, ...JSON.parse(networks), ...size }));
      newest = asked; // of two answers the later question's counts
      const answer = await asked;
      if (newest !== asked || !answer) return;
      note.textContent = [remark, answer.words].filter(Boolean).join(" ");
      note.hidden = !note.textContent;
    },
  );
  return note;
}

/** A value that is no longer in the list is kept and shown as what it is. */
function showOptions(select, rows, value) {
  const known = rows.some(({ id }) => id === value);
  const all = known ? rows : [...rows, { id: value, title: `${value} (not here)` }];
  fill(
    select,
    all.map(({ id, title }) => h("option", { value: id }, title)),
  );
  select.value = value;
  select.title = select.selectedOptions[0]?.textContent ?? "";
}

function presetChoice(app) {
  const select = h("select", { id: "setting-preset", onchange: () => choosePreset(app, select.value) });
  app.store.on(
    ({ choices, draft }) => [choices.presets, draft.settings.preset],
    ([presets, chosen]) => {
      showOptions(select, [{ id: "", title: "Off" }, ...presets.map(presetRow)], chosen ?? "");
      select.disabled = !presets.length && !chosen;
      select.title = select.disabled ? "There is no few-step preset for this base model." : (presetOf(app.store.state)?.help ?? "");
    },
  );
  return row("Few steps", select.id, select);
}

function presetRow({ id, title, num_inference_steps }) {
  return { id, title: `${title}, ${num_inference_steps} steps` };
}

function number(app, name, reasonOf = () => "", declared = {}) {
  const { tables } = app.store.state;
  const read = (state) => {
    const reason = reasonOf(state);
    return { value: settingOf(state, name), disabled: Boolean(reason), reason };
  };
  const write = (value) => changeSettings(app, { [name]: value }, name);
  return liveField(app, name, { ...tables.limits.request[name], ...declared }, read, write, tables.labels[name] ?? titled(name));
}

function titled(name) {
  return name[0].toUpperCase() + name.slice(1).replaceAll("_", " ");
}

function toggle(app, name, label, help) {
  const box = h("input", { type: "checkbox", onchange: () => changeSettings(app, { [name]: box.checked }) });
  const why = whyOff(label);
  app.store.on(
    (state) => [settingOf(state, name), refusalOf(state, name)],
    ([value, reason]) => {
      box.checked = value;
      why.show(reason, [box], value);
    },
  );
  return h("div", {}, h("div", { class: "choice-row" }, h("label", { class: "choice", title: help }, box, label), why.button), why.text);
}

/** The LoRAs in use, each with its weight, and a list to add one. */
function loras(app) {
  const list = h("ul", { class: "loras", "aria-label": "LoRAs" });
  const add = h("select", { id: "setting-lora", onchange: () => addLora(app, add.value) });
  const why = whyOff("LoRAs");
  const element = h("div", {}, row("LoRAs", add.id, h("span", { class: "choice-row" }, add, why.button)), why.text, list);
  app.store.on(
    (state) => [
      state.choices.lists.lora,
      settingOf(state, "loras")
        .map(({ name }) => name)
        .join("\n"),
      state.choices.base,
    ],
    ([rows]) => {
      const used = settingOf(app.store.state, "loras");
      showAdd(app, add, why, rows, used);
      fill(
        list,
        used.map((lora) => loraRow(app, lora, titleIn(rows, lora.name))),
      );
    },
  );
  return element;
}

function showAdd(app, add, why, rows, used) {
  const { limits } = app.store.state.tables;
  const free = rows.filter(({ id }) => id && !used.some(({ name }) => name === id));
  const reason = reasonNoLora(app.store.state, free, used.length >= limits.max_loras);
  showOptions(add, [{ id: "", title: reason ? "None to add" : "Add a LoRA …" }, ...free], "");
  why.show(reason, [add]);
  add.title = reason;
}

function reasonNoLora({ choices, tables }, free, isFull) {
  const refusal = refusalOf({ choices }, "loras");
  if (refusal) return refusal;
  if (isFull) return `At most ${tables.limits.max_loras} LoRAs work together; remove one.`;
  return free.length ? "" : "There is no LoRA for this base model; put files into models/loras.";
}

function addLora(app, name) {
  if (name) changeSettings(app, { loras: [...settingOf(app.store.state, "loras"), { name, scale: 1 }] });
}

function loraRow(app, { name }, title) {
  const declared = app.store.state.tables.limits.lora.scale;
  const read = (state) => ({ value: settingOf(state, "loras").find((lora) => lora.name === name)?.scale ?? declared.default });
  const write = (scale) => {
    const changed = settingOf(app.store.state, "loras").map((lora) => (lora.name === name ? { ...lora, scale } : lora));
    changeSettings(app, { loras: changed }, `lora ${name}`);
  };
  return h(
    "li",
    { title },
    liveField(app, `lora-${name}`, declared, read, write, title),
    iconButton("cancel", `Remove ${title}`, () => removeLora(app, name)),
  );
}

/** IP-Adapter: a picture that is read like a part of the prompt. */
function reference(app) {
  const { limits, labels } = app.store.state.tables;
  const select = h("select", { id: "setting-ip-adapter", onchange: () => changeReference(app, { name: select.value }) });
  const details = h("div", { class: "reference" });
  const why = whyOff(labels.ip_adapter);
  const scale = liveField(
    app,
    "ip_scale",
    limits.ip_adapter.scale,
    (state) => ({ value: settingOf(state, "ip_adapter")?.scale ?? limits.ip_adapter.scale.default }),
    (value) => changeReference(app, { scale: value }, "ip_scale"),
    labels.ip_scale,
  );
  app.store.on(
    (state) => [state.choices, settingOf(state, "ip_adapter")?.name ?? "", settingOf(state, "ip_adapter")?.picture],
    ([{ lists }, name, picture]) => {
      const rows = lists.ip_adapter;
      showOptions(select, rows, name);
      const reason = refusalOf(app.store.state, "ip_adapter") || (rows.length < 2 ? "There is no IP-Adapter for this base model." : "");
      why.show(reason, [select], Boolean(name));
      if (reason) select.title = reason;
      fill(details, name && [pictureRow(app, picture), scale]);
    },
  );
  const control = h("span", { class: "choice-row" }, select, why.button);
  return h("div", {}, row("Reference image", select.id, control, labels.ip_adapter), why.text, details);
}

function changeReference(app, changes, key = null) {
  const now = settingOf(app.store.state, "ip_adapter") ?? { picture: null, scale: app.store.state.tables.limits.ip_adapter.scale.default };
  const next = { ...now, ...changes };
  changeSettings(app, { ip_adapter: next.name ? next : null }, key);
}

function pictureRow(app, picture) {
  const choose = () =>
    app.attempt(async () => {
      const file = await chooseFile();
      if (file) changeReference(app, { picture: await keepPicture(app, file) });
    });
  const button = h("button", { type: "button", onclick: choose }, picture ? "Another picture …" : "Choose a picture …");
  return h("div", { class: "row" }, picture && thumbnail(app, picture, "Reference image"), button);
}

function modelButtons(app) {
  const unload = () =>
    app.attempt(async () => {
      await app.server.call("unload");
      app.say("Models unloaded; they reload with the next image.");
    });
  return h(
    "div",
    { class: "row" },
    h("button", { type: "button", onclick: () => app.openDialog("models") }, "All models …"),
    app.store.state.tables.local && h("button", { type: "button", onclick: unload }, "Unload models"),
  );
}
