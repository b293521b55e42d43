/** Which model made it: pictures with their letters to learn from, then single ones to judge. */

import { h } from "../core/dom.js";

/** Two pictures of one name, with the letters of their models. */
export function buildTraining({ pictures, question, send }) {
  const next = h("button", { type: "button", class: "primary study-next", onclick: () => send({}) }, "Next");
  const shown = question.letters.map((letter, place) => card(pictures.figure(question, place, `Model ${letter}`)));
  const element = h(
    "div",
    { class: "study-question" },
    h("p", { class: "study-task" }, "Training: learn how the pictures of model A differ from those of model B."),
    group(pictures, question, shown),
    foot(next, "Keys: Enter or → is Next."),
  );
  const press = (event) => {
    if (event.key !== "ArrowRight") return;
    event.preventDefault();
    send({});
  };
  return { element, press, focus: () => next.focus({ preventScroll: true }) };
}

/** One picture, whose model is to be named. */
export function buildGuess({ pictures, question, tell, send }) {
  let chosen = null;
  const choices = question.letters.map((letter, index) => h("button", { type: "button", class: "study-choice", "aria-pressed": "false", onclick: () => choose(index) }, `Model ${letter}`));
  const submit = () => (chosen === null ? tell("No model is chosen yet; choose model A or model B.") : send({ chosen }));
  const next = h("button", { type: "button", class: "primary study-next", onclick: submit }, "Next");
  const choose = (index) => {
    chosen = index;
    choices.forEach((choice, at) => choice.setAttribute("aria-pressed", String(at === index)));
    tell("");
    next.focus();
  };
  const element = h(
    "div",
    { class: "study-question" },
    h("p", { class: "study-task" }, "Test: which model made this picture?"),
    group(pictures, question, card(pictures.figure(question, 0, "Picture"))),
    h("div", { class: "study-choices", role: "group", "aria-label": "Which model made this picture?" }, choices),
    foot(next, "Keys: 1 or ← is model A, 2 or → is model B, Enter is Next."),
  );
  const press = (event) => {
    const index = { 1: 0, ArrowLeft: 0, 2: 1, ArrowRight: 1 }[event.key];
    if (index === undefined) return;
    event.preventDefault();
    choose(index);
  };
  return { element, press, focus: () => choices[0].focus({ preventScroll: true }) };
}

function group(pictures, question, shown) {
  const control = pictures.control(question);
  return h("div", { class: "study-group" }, control && h("div", { class: "study-card study-control" }, control), shown);
}

function card(figure) {
  return h("div", { class: "study-card" }, figure);
}

function foot(next, keys) {
  return h("div", { class: "study-foot" }, next, h("span", { class: "study-quiet study-keys" }, keys));
}
