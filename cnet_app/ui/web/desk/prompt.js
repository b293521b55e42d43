/** Prompt and negative prompt, and the weights of their words. */

import { changeSettings, settingOf } from "./chosen.js";
import { h } from "../core/dom.js";
import { refusalOf, whyOff } from "../core/refusal.js";

const ENDS_WORD = /[\s.,/\\!?%^*;:{}=`~()[\]<>]/;
const OTHER_HALF = { "(": ")", "[": "]" };
const FACTOR = 1.1; // of one pair of brackets

/** The field of the prompt. */
export function buildPrompt(app) {
  const limit = app.store.state.tables.limits.max_prompt;
  const area = h("textarea", {
    id: "prompt",
    class: "grows",
    rows: "3",
    maxlength: limit,
    placeholder: "What the picture shows",
    oninput: () => app.drafts.edit({ prompt: area.value }, "prompt"),
  });
  app.store.on(
    ({ draft }) => draft.prompt,
    (text) => show(area, text),
  );
  return [h("label", { for: "prompt" }, "Prompt"), area];
}

/** The field of the negative prompt, which acts only where the base reads one, and guidance is above 1. */
export function buildNegative(app) {
  const area = h("textarea", {
    id: "negative",
    class: "grows",
    rows: "1",
    maxlength: app.store.state.tables.limits.max_prompt,
    oninput: () => changeSettings(app, { negative_prompt: area.value }, "negative"),
  });
  const why = whyOff("Negative prompt");
  const label = h("span", { class: "negative-name" }, h("label", { for: "negative" }, "Negative prompt"), why.button);
  const row = h("div", { class: "negative" }, label, area, why.text);
  app.store.on(
    (state) => settingOf(state, "negative_prompt"),
    (text) => show(area, text),
  );
  app.store.on(
    (state) => [settingOf(state, "guidance_scale"), refusalOf(state, "negative_prompt")],
    ([guidance, refusal]) => {
      const low = guidance <= 1 ? `Guidance is ${guidance}; the negative prompt acts only above 1. Set it under More.` : "";
      why.show(refusal || low, [area]);
      area.placeholder = refusal ? "Not with this base model" : low ? "Needs guidance above 1" : "What it must not show";
      row.title = refusal || low;
    },
  );
  return row;
}

function show(area, text) {
  if (text !== area.value) area.value = text;
  grow(area);
}

/** Make a field as high as its text, where styles alone cannot. */
function grow(area) {
  if (CSS.supports("field-sizing", "content")) return;
  area.style.height = "auto";
  if (area.scrollHeight) area.style.height = `${area.scrollHeight + 2}px`;
}

/** Change the weight of the selected words, or of the word at the caret, by a step; the field's own undo takes it back. */
export function changeWeight(textarea, step) {
  const change = weighed(textarea.value, textarea.selectionStart, textarea.selectionEnd, step);
  if (!change) return;
  const { from, to, text, start, end } = change;
  textarea.focus();
  textarea.setSelectionRange(from, to);
  if (!document.execCommand("insertText", false, text)) {
    textarea.setRangeText(text, from, to);
    textarea.dispatchEvent(new InputEvent("input", { bubbles: true }));
  }
  textarea.setSelectionRange(start, end);
}

/**
 * What a step of weight changes in a text: {from, to, text} to be replaced, and {start, end} of the words after that.
 * Null where there is no word at the caret.
 */
export function weighed(value, selectionStart, selectionEnd, step) {
  const span = spanAt(value, selectionStart, selectionEnd);
  if (!span) return null;
  const group = groupAround(value, span);
  const weight = Number((group.weight + step).toFixed(2));
  const words = value.slice(span.start, span.end);
  const isPlain = weight === 1;
  const text = isPlain ? words : `(${words}:${Number.isInteger(weight) ? weight.toFixed(1) : weight})`;
  const start = group.from + (isPlain ? 0 : 1);
  return { from: group.from, to: group.to, text, start, end: start + words.length };
}

/** The selected words; without a selection the group that holds the caret, else the word there. */
function spanAt(value, start, end) {
  const selected = start === end ? (innermost(value, start) ?? wordAt(value, start)) : unwrapped(value, trimmed(value, { start, end }));
  const span = trimmed(value, selected);
  return span.start < span.end ? span : null;
}

function trimmed(value, { start, end }) {
  while (start < end && /\s/.test(value[start])) start++;
  while (end > start && /\s/.test(value[end - 1])) end--;
  return { start, end };
}

/** A selection that is a whole group, brackets and all, is what the group holds. */
function unwrapped(value, span) {
  const isWhole = OTHER_HALF[value[span.start]] && closing(value, span.start) === span.end - 1;
  return isWhole ? unwrapped(value, contentOf(value, span.start, span.end - 1)) : span;
}

function wordAt(value, caret) {
  let start = caret;
  let end = caret;
  while (start > 0 && !ENDS_WORD.test(value[start - 1])) start--;
  while (end < value.length && !ENDS_WORD.test(value[end])) end++;
  return { start, end };
}

/** What the innermost group around the caret holds; null outside of all groups. */
function innermost(value, caret) {
  const open = [];
  for (let place = 0; place < caret; place++) {
    if (value[place] === "\\") place++;
    else if (OTHER_HALF[value[place]]) open.push(place);
    else if (open.length && value[place] === OTHER_HALF[value[open.at(-1)]]) open.pop();
  }
  const first = open.at(-1);
  const last = first === undefined ? -1 : closing(value, first);
  return last < 0 ? null : contentOf(value, first, last);
}

/** The place of the bracket that closes the one at `first`; -1 where none does. */
function closing(value, first) {
  const [opens, closes] = [value[first], OTHER_HALF[value[first]]];
  let depth = 0;
  for (let place = first; place < value.length; place++) {
    if (value[place] === "\\") place++;
    else if (value[place] === opens) depth++;
    else if (value[place] === closes && --depth === 0) return place;
  }
  return -1;
}

function contentOf(value, first, last) {
  const inner = value.slice(first + 1, last);
  return { start: first + 1, end: first + 1 + inner.replace(/\s*:\s*-?\d*\.?\d+\s*$/, "").length };
}

/** The brackets right around a span: from, to, and the weight that they give it, 1 where there are none. */
function groupAround(value, { start, end }) {
  const given = /^\s*:\s*(-?\d*\.?\d+)\s*\)/.exec(value.slice(end));
  if (given && value[start - 1] === "(") return { from: start - 1, to: end + given[0].length, weight: Number(given[1]) };
  const opens = value[start - 1];
  const closes = OTHER_HALF[opens];
  let pairs = 0;
  while (closes && value[start - 1 - pairs] === opens && value[end + pairs] === closes && value[start - 2 - pairs] !== "\\") pairs++;
  const weight = FACTOR ** (opens === "[" ? -pairs : pairs);
  return { from: start - pairs, to: end + pairs, weight: Math.round(weight * 10) / 10 };
}
