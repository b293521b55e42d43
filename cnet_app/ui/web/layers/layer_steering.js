/** How the open layer steers: ControlNet, mode, range, curves, its own prompt, and where in the picture. */

import { blockBars } from "./block_bars.js";
import { curveEditor, rangeBar, sampled, smallCurve } from "./curves.js";
import { fill, h, iconButton } from "../core/dom.js";
import { field, labelOf, labelled } from "./fields.js";
import { optionsWith, refusalOf, whyOff } from "../core/refusal.js";
import { blocksOf, withControlnet } from "./layer_actions.js";

const CUSTOM = "custom"; // the mode with one weight a block
const FORMS = { authors: "As trained", diffusers: "As diffusers computes it" };
const TOOL_HELP = ["Paint where this layer steers", "Paint how strongly it steers, from -1 to 1"];
const HELP = {
  controlnet: "The network that reads the map. The condition's own is the best known one.",
  form: "Where the hints for the base's first layers go: into the base itself, as in training, or into a copy that the ControlNet alone reads.",
  prompt: "The ControlNet reads this text in place of the prompt. Leave it empty to use the prompt.",
};

/** Build the part of a layer's form about how it steers. `opened` is the set of names of the parts that are unfolded. */
export function buildSteering(scope, opened) {
  return [
    controlnetRow(scope),
    formRow(scope),
    modeRow(scope),
    blockRows(scope),
    rangeRow(scope),
    part(scope, opened, "strength_curve", "Strength over the steps", curveSummary, strengthCurve(scope)),
    part(scope, opened, "depth_curve", "Strength over depth", curveSummary, depthCurve(scope)),
    part(scope, opened, "prompt", "Prompt for this layer", promptSummary, promptRow(scope)),
    placeRow(scope),
  ];
}

/** A part that unfolds; its summary shows what is set inside. */
function part(scope, opened, name, title, summarise, content) {
  const state = h("span", { class: "part-state" });
  const remember = () => (details.open ? opened.add(name) : opened.delete(name));
  const summary = h("summary", {}, title, state);
  const whole = h("fieldset", { class: "layer-part-content" }, content);
  const why = whyOff(title);
  const details = h("details", { class: "layer-part", open: opened.has(name), ontoggle: remember }, summary, why.text, whole);
  scope.on((layer, app) => [refusalOf(app, name), layer[name].length > 0], ([reason, isSet]) => {
    why.show(reason, [whole], isSet);
    whole.inert = whole.disabled; // a curve is no form control
    why.text.hidden = !reason; // the summary opens it
    details.classList.toggle("is-off", whole.disabled);
    summary.title = reason;
  });
  scope.on((layer) => layer[name], (value) => fill(state, summarise(value)));
  return details;
}

function curveSummary(points) {
  return points.length ? smallCurve(sampled(points)) : "constant";
}

function promptSummary(text) {
  return text || "same as the prompt";
}

function controlnetRow(scope) {
  const choose = () => {
    const { choices } = scope.app.store.state;
    scope.edit((layer) => withControlnet(layer, select.value, choices, choices));
  };
  const select = h("select", { id: `controlnet-${scope.id}`, onchange: choose });
  scope.on(({ controlnet, condition }, { choices }) => [controlnet, choices.controlnets[condition]], ([chosen, listed]) => {
    const known = listed.some(({ id }) => id === chosen) ? listed : [...listed, { id: chosen, title: `${chosen} (not here)` }];
    fill(select, known.map(({ id, title }) => h("option", { value: id }, title)));
    select.value = chosen;
  });
  return labelled("ControlNet", select.id, HELP.controlnet, select);
}

/** How the ControlNet joins its base, for families whose ControlNets have two forms. */
function formRow(scope) {
  const options = Object.entries(FORMS).map(([value, title]) => h("option", { value }, title));
  const select = h("select", { id: `form-${scope.id}`, onchange: () => scope.edit({ control_form: select.value }) }, options);
  const label = labelOf(scope.app.store.state.tables, "control_form");
  const why = whyOff(label);
  const row = labelled(label, select.id, HELP.form, select, why.button);
  row.append(why.text);
  scope.on(({ control_form }, state) => [control_form, refusalOf(state, "control_form")], ([form, reason]) => {
    select.value = form;
    why.show(reason, [select], form !== "authors");
  });
  return row;
}

function modeRow(scope) {
  const { app } = scope;
  const select = h("select", { id: `mode-${scope.id}`, onchange: () => takeMode(scope, select.value) });
  const drawn = h("span", { class: "mode-curve" });
  const about = h("span");
  const label = labelOf(app.store.state.tables, "control_mode");
  const why = whyOff(label);
  scope.on(({ control_mode }, { tables, choices }) => [control_mode, tables.modes, choices.base], ([chosen, modes, base]) => {
    const refused = base.refused.control_mode;
    fill(select, optionsWith(modes, refused, base.title));
    select.value = chosen;
    why.show(refused[chosen] ?? [...new Set(Object.values(refused))], [select], chosen in refused, false);
    const mode = modes.find(({ id }) => id === chosen);
    fill(drawn, chosen === CUSTOM ? [] : smallCurve(mode.curve));
    about.textContent = mode.help;
    select.title = mode.help;
  });
  const row = labelled(label, select.id, about, select, drawn, why.button);
  row.append(why.text);
  row.classList.add("is-wide");
  return row;
}

/** Block weights belong to the custom mode alone; they begin at 1. */
function takeMode(scope, id) {
  const { choices, tables } = scope.app.store.state;
  const { condition, controlnet } = scope.layer;
  const weights = id === CUSTOM ? Array(blocksOf(choices, condition, controlnet) ?? tables.modes[0].curve.length).fill(1) : [];
  scope.edit({ control_mode: id, block_weights: weights, unconditional_block_weights: [] });
}

function blockRows(scope) {
  const place = h("div", { class: "layer-blocks" });
  scope.on((layer) => [layer.control_mode, layer.unconditional_block_weights.length > 0], ([mode, hasOther]) => {
    if (mode !== CUSTOM) {
      fill(place);
      return;
    }
    fill(place, bars(scope, "block_weights"), otherSide(scope, hasOther), hasOther && bars(scope, "unconditional_block_weights"));
  });
  scope.on((layer) => [layer.block_weights, layer.unconditional_block_weights], () => {
    for (const one of place.querySelectorAll(".blocks")) one.show(scope.layer[one.dataset.name]);
  });
  return place;
}

function bars(scope, name) {
  const label = labelOf(scope.app.store.state.tables, name);
  const element = blockBars({ label, onchange: (weights) => scope.edit({ [name]: weights }, name) });
  element.dataset.name = name;
  element.show(scope.layer[name]);
  return element;
}

function otherSide(scope, isOn) {
  const declared = { default: false, help: "Without it the unconditional side of guidance is free, and the map counts for more." };
  const set = (value) => scope.edit(({ block_weights }) => ({ unconditional_block_weights: value ? block_weights : [] }));
  return field("unconditional", declared, isOn, set, { label: "Control the unconditional side too" });
}

function rangeRow(scope) {
  const { tables } = scope.app.store.state;
  const names = ["control_guidance_start", "control_guidance_end"].map((name) => labelOf(tables, name));
  const onchange = ({ begin, end }) => scope.edit({ control_guidance_start: begin, control_guidance_end: end }, "range");
  const bar = rangeBar({ label: "Range", names, onchange });
  scope.on((layer, state) => [layer.control_guidance_start, layer.control_guidance_end, stepsOf(state)], ([begin, end, steps]) =>
    bar.show({ begin, end, steps }),
  );
  return bar;
}

/** The steps that a picture will be made in. */
function stepsOf({ draft, choices }) {
  return draft.settings.num_inference_steps || choices.base.defaults.num_inference_steps;
}

function strengthCurve(scope) {
  const onchange = (points) => scope.edit({ strength_curve: points }, "strength_curve");
  const editor = curveEditor({ label: "Strength over the steps", place: "of the steps", ends: ["first step", "last step"], onchange });
  scope.on(
    (layer) => [layer.strength_curve, layer.control_guidance_start, layer.control_guidance_end, layer.conditioning_scale],
    ([points, begin, end, scale]) => editor.show({ points, begin, end, scale }),
  );
  return editor;
}

function depthCurve(scope) {
  const onchange = (points) => scope.edit({ depth_curve: points }, "depth_curve");
  const editor = curveEditor({ label: "Strength over depth", place: "of the depth", ends: ["details", "large shapes"], onchange });
  scope.on(
    (layer, { tables }) => [layer.depth_curve, layer.conditioning_scale, layer.block_weights, layer.control_mode, tables.modes],
    ([points, scale, own, mode, modes]) => {
      const weights = own.length ? own : modes.find(({ id }) => id === mode).curve;
      editor.show({ points, scale, weights });
    },
  );
  return editor;
}

function promptRow(scope) {
  const { max_prompt } = scope.app.store.state.tables.limits;
  const text = h("textarea", {
    id: `prompt-${scope.id}`, rows: "2", maxlength: max_prompt, oninput: () => scope.edit({ prompt: text.value }, "prompt"),
  });
  scope.on(({ prompt }) => prompt, (value) => value !== text.value && (text.value = value));
  text.setAttribute("aria-label", "Prompt for this layer");
  return [text, h("p", { class: "help-text" }, HELP.prompt)];
}

/** Where in the picture the layer steers: a mask with its feather, or painted weights. */
function placeRow(scope) {
  const { app } = scope;
  const limits = app.store.state.tables.limits.unit.mask_feather;
  const feather = field("mask_feather", limits, scope.layer.mask_feather, (value) => scope.edit({ mask_feather: value }, "mask_feather"), {
    label: labelOf(app.store.state.tables, "mask_feather"),
  });
  const tools = [
    toolButton(scope, "mask", "Mask"),
    toolButton(scope, "weights", "Weights"),
  ];
  const set = h("div", { class: "layer-set" });
  const why = whyOff("Where it steers");
  const fields = ["mask", "weight_map"];
  scope.on((layer, state) => [...fields.map((name) => refusalOf(state, name)), ...fields.map((name) => Boolean(layer[name]))], (now) => {
    const isSet = now[2] || now[3];
    why.show(now.slice(0, 2), tools, isSet);
    tools.forEach((tool, number) => (tool.title = now[number] || TOOL_HELP[number]));
  });
  scope.on(({ mask, weight_map }) => [mask, weight_map], ([mask, weights]) => {
    feather.hidden = !mask;
    fill(
      set,
      mask && chip("Mask is set", "Remove the mask", () => scope.edit({ mask: null, mask_feather: 0 })),
      weights && chip("Weights are painted", "Remove the weights", () => scope.edit({ weight_map: null })),
      mask && weights && h("p", { class: "fault" }, "A mask and painted weights cannot be used together; remove one."),
    );
  });
  scope.on(({ mask_feather }) => mask_feather, (value) => feather.show(value));
  const row = h("div", { class: "layer-tools" }, h("span", {}, "Where"), tools, why.button);
  return h("div", { class: "layer-place", role: "group", "aria-label": "Where it steers" }, row, why.text, set, feather);
}

function toolButton(scope, id, title) {
  const button = h("button", { type: "button", onclick: () => scope.app.tools?.take(id) }, title);
  scope.on((layer, { tool }) => tool === id, (isHeld) => button.setAttribute("aria-pressed", String(isHeld)));
  return button;
}

function chip(text, action, remove) {
  return h("span", { class: "chip" }, text, iconButton("cancel", action, remove));
}
