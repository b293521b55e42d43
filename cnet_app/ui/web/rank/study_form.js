/** The form of a new study: its kind, and the folders of its methods. */

import { h } from "../core/dom.js";

const LEAST = 2;
const MOST = 5;

/** `attempt` shows what is refused; `made` gets the answer of the call. */
export function buildStudyForm(app, attempt, made) {
  const kind = choice("study-kind", [["ranking", "Rank all pictures of a group"], ["which", "Guess which of two models made a picture"]]);
  const scale = choice("study-scale", [["ranks", "Ranks, each once in a group"], ["ratings", "Ratings from 1 to 5"]]);
  const text = { name: input("study-name", { required: true, maxlength: "64" }), controls: input("study-controls"), groups: count("study-groups"), training: count("study-training") };
  const methods = h("div", { class: "studies-methods" });
  const more = h("button", { type: "button", onclick: () => add() }, "Add a method");
  const scaleLine = line("Scale", scale);
  const trainingLine = line("Pairs for training", text.training, "Empty takes a third of the groups, as in the paper.");
  const add = () => {
    methods.append(methodLine(methods.children.length + 1));
    follow();
  };
  const follow = () => {
    const isRanking = kind.value === "ranking";
    scaleLine.hidden = !isRanking;
    trainingLine.hidden = isRanking;
    more.hidden = methods.children.length >= (isRanking ? MOST : LEAST);
    [...methods.children].forEach((row, index) => (row.hidden = !isRanking && index >= LEAST));
  };
  kind.addEventListener("change", follow);
  for (let number = 0; number < LEAST; number++) add();
  const form = h(
    "form",
    { class: "studies-form" },
    line("Name", text.name, "It is in the link: letters, digits, dots, hyphens and underscores."),
    line("Kind", kind),
    scaleLine,
    line("Folder of control images", text.controls, "On this machine. A ranking needs them; for the other kind they may be left out."),
    h("fieldset", {}, h("legend", {}, "Methods: folders of pictures with equal names"), methods, more),
    line("Groups", text.groups, "So many names are taken, by chance. Empty takes all that are common to the folders."),
    trainingLine,
    h("button", { class: "primary" }, "Make the study"),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(async () => made(await app.server.call("create_study", valuesOf(kind, scale, text, methods))));
  });
  follow();
  return form;
}

function valuesOf(kind, scale, text, methods) {
  const isRanking = kind.value === "ranking";
  const given = [...methods.children].filter((row) => !row.hidden).map((row) => [...row.querySelectorAll("input")].map(({ value }) => value));
  return {
    kind: kind.value,
    name: text.name.value,
    controls: text.controls.value,
    groups: whole(text.groups),
    scale: isRanking ? scale.value : null,
    training: isRanking ? null : whole(text.training),
    methods: given.map(([name, folder]) => ({ name, folder })),
  };
}

function whole({ value }) {
  return value ? Number(value) : null;
}

function methodLine(number) {
  const [name, folder] = [`study-method-${number}`, `study-folder-${number}`];
  return h(
    "div",
    { class: "studies-method" },
    h("label", { for: name }, `Name ${number}`),
    input(name, { placeholder: "As its folder" }),
    h("label", { for: folder }, `Folder ${number}`),
    input(folder),
  );
}

function line(title, field, help = "") {
  if (help) field.setAttribute("aria-describedby", `${field.id}-help`);
  return h("div", { class: "studies-line" }, h("label", { for: field.id }, title), field, help ? h("small", { id: `${field.id}-help` }, help) : null);
}

function input(id, props = {}) {
  return h("input", { type: "text", id, autocomplete: "off", spellcheck: "false", ...props });
}

function count(id) {
  return h("input", { type: "number", id, min: "1", step: "1" });
}

function choice(id, rows) {
  return h("select", { id }, rows.map(([value, title]) => h("option", { value }, title)));
}
