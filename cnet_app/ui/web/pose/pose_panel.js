/** The options of the pose editor: people, their parts, and a table of joints that needs no pointer. */

import { h, icon, iconButton, keyed } from "../core/dom.js";
import { chooseFile } from "../core/photo.js";
import { confidenceOf, countOutside, foundPoints, isFound, nameOf, PARTS } from "./people.js";

/** Mean score up to which people are marked. On photos the demo network's inventions have at most this, and real people more. */
const LIKELY_WRONG = 0.6;
const NARROW = "(max-width: 699px)";

/** Build the panel over the people that are edited (posing.js): {element, update(), say(text)}. */
export function buildPosePanel(work, { opacity, setOpacity }) {
  const live = h("p", { class: "pose-live", role: "status" });
  const parts = [buildPeople(work), buildChosen(work)];
  const details = h(
    "details",
    { class: "pose-panel", open: !matchMedia(NARROW).matches },
    h("summary", {}, "People"),
    h(
      "div",
      { class: "pose-row" },
      h("button", { type: "button", onclick: () => work.addPerson() }, "Add person"),
      named("Load…", "Load pose (JSON)…", () => chooseAndLoad(work)),
      named("Save", "Save pose (JSON)", () => work.download(), "pose-save"),
    ),
    ...parts.map((part) => part.element),
    opacitySlider(opacity, setOpacity),
  );
  const element = h("div", {}, details, live);
  const update = () => {
    element.querySelector(".pose-save").disabled = !work.people.some((person) => !person.isHidden);
    parts.forEach((part) => part.update());
  };
  update();
  return { element, update, say: (text) => (live.textContent = text) };
}

/** A button whose text is short; its name says all. */
function named(text, name, onclick, kind = "") {
  return h("button", { type: "button", class: kind, title: name, "aria-label": name, onclick }, text);
}

async function chooseAndLoad(work) {
  const file = await chooseFile(".json,application/json");
  if (file) await work.load(file);
}

function opacitySlider(opacity, setOpacity) {
  const oninput = (event) => setOpacity(Number(event.target.value));
  const slider = h("input", { type: "range", min: "0", max: "1", step: "0.05", value: String(opacity), oninput });
  return h("label", { class: "pose-opacity" }, h("span", {}, "Photo"), slider);
}

function percent(score) {
  return `${Math.round(100 * score)} %`;
}

function isDoubtful(person) {
  return confidenceOf(person) <= LIKELY_WRONG;
}

// People

function buildPeople(work) {
  const list = h("ul", { class: "pose-people", "aria-label": "People" });
  const hint = h("p", { class: "pose-hint" }, "Nobody is here yet: add a person, or load a pose.");
  const build = ({ index }) =>
    h(
      "li",
      {},
      h("button", { type: "button", class: "pose-person", onclick: () => work.choose({ person: index }) }),
      h("button", { type: "button", class: "icon-button", onclick: () => work.toggleHidden(index) }),
    );
  const change = (item, { index, person }) => {
    const [name, eye] = item.children;
    const title = `Person ${index + 1}`;
    const doubt = isDoubtful(person) ? h("span", { class: "pose-doubt", title: "Confidence; likely wrong" }, percent(confidenceOf(person))) : "";
    name.replaceChildren(title, " ", doubt);
    name.setAttribute("aria-pressed", String(index === work.chosen.person));
    setIcon(eye, person.isHidden ? "eyeoff" : "eye", `${person.isHidden ? "Show" : "Hide"} person ${index + 1}`);
  };
  const update = () => {
    hint.hidden = work.people.length > 0;
    keyed(list, work.people.map((person, index) => ({ person, index })), ({ index }) => index, build, change); // prettier-ignore
  };
  return { element: h("div", {}, hint, list), update };
}

function setIcon(button, name, label) {
  button.replaceChildren(icon(name));
  button.setAttribute("aria-label", label);
  button.title = label;
}

// The chosen person

function buildChosen(work) {
  const doubt = h("p", { class: "pose-warning" });
  const sections = [buildActions(work), buildParts(work), buildMending(work), buildPoint(work), buildTable(work)];
  const element = h("div", { class: "pose-chosen", hidden: true }, doubt, ...sections.map((section) => section.element));
  const update = () => {
    const { person } = work;
    element.hidden = !person;
    if (!person) return;
    doubt.hidden = !isDoubtful(person);
    doubt.textContent = `Found with ${percent(confidenceOf(person))} confidence, likely wrong: move the joints, or choose another preprocessor.`;
    sections.forEach((section) => section.update());
  };
  return { element, update };
}

function buildActions(work) {
  const earlier = iconButton("up", "Draw earlier, behind the others", () => work.reorder(-1));
  const later = iconButton("down", "Draw later, in front of the others", () => work.reorder(1));
  const element = h(
    "div",
    { class: "pose-row", role: "group", "aria-label": "This person" },
    iconButton("copy", "Duplicate person", () => work.duplicate()),
    iconButton("compare", "Flip left and right", () => work.flip()),
    earlier,
    later,
    iconButton("delete", "Delete person", () => work.remove()),
  );
  const update = () => {
    earlier.disabled = work.chosen.person === 0;
    later.disabled = work.chosen.person === work.people.length - 1;
  };
  return { element, update };
}

function buildParts(work) {
  const buttons = PARTS.map(({ id }) => h("button", { type: "button", onclick: () => work.openPart(id) }));
  const remove = h("button", { type: "button", class: "quiet", onclick: () => work.removePart() });
  const element = h("div", {}, h("div", { class: "pose-row", role: "group", "aria-label": "Part to edit" }, ...buttons), remove);
  const update = () => {
    element.hidden = work.person.isHidden;
    PARTS.forEach(({ id, title }, index) => {
      buttons[index].textContent = work.person[id] ? title : `+ ${title}`;
      buttons[index].setAttribute("aria-label", work.person[id] ? title : `Add ${title.toLowerCase()}`);
      buttons[index].setAttribute("aria-pressed", String(id === work.chosen.part));
    });
    remove.hidden = work.chosen.part === "body";
    remove.textContent = `Remove ${titleOf(work.chosen.part)}`;
  };
  return { element, update };
}

function titleOf(part) {
  return PARTS.find(({ id }) => id === part).title.toLowerCase();
}

/** What can be put right at once: joints that are missing, and those outside the picture. */
function buildMending(work) {
  const add = h("button", { type: "button", onclick: () => work.addMissing() });
  const cut = h("button", { type: "button", onclick: () => work.removeOutside() });
  const update = () => {
    const { person, chosen, frame } = work;
    const missing = person[chosen.part].length - foundPoints(person, chosen.part).length;
    const outside = countOutside(person, frame);
    add.hidden = person.isHidden || !missing;
    add.textContent = `Add missing joints (${missing})`;
    cut.hidden = person.isHidden || !outside;
    cut.textContent = `Remove joints outside the picture (${outside})`;
  };
  return { element: h("div", { class: "pose-row" }, add, cut), update };
}

/** The chosen joint by name, with a button for those without a keyboard. */
function buildPoint(work) {
  const name = h("span", {});
  const act = h("button", {
    type: "button",
    onclick: () => (isChosenFound(work) ? work.removePoint(work.chosen.index) : work.addPoint(work.chosen.index)),
  });
  const element = h("div", { class: "pose-point" }, name, act);
  const update = () => {
    const { part, index } = work.chosen;
    element.hidden = index === null;
    if (index === null) return;
    const score = work.person[part][index][2];
    name.textContent = `${nameOf(part, index)}${scoreText(score, work.floor)}`;
    act.textContent = isChosenFound(work) ? "Remove" : "Add";
  };
  return { element, update };
}

function isChosenFound({ person, chosen }) {
  return isFound(person[chosen.part][chosen.index]);
}

/** How sure the annotator was; nothing for what is missing, and for what somebody placed. */
function scoreText(score, floor) {
  if (score <= 0 || score >= 1) return "";
  return score < floor ? ` · found with ${percent(score)} confidence, likely wrong` : ` · ${percent(score)}`;
}

// The table of joints

function buildTable(work) {
  const rows = h("tbody", {});
  const head = h("tr", {}, ...["Joint", "x", "y", ""].map((text) => h("th", { scope: "col" }, text || h("span", { class: "pose-live" }, "Action"))));
  const element = h("details", { class: "pose-joints", ontoggle: () => update() }, h("summary", {}, "Joints…"), h("table", {}, h("thead", {}, head), rows));
  const update = () => {
    const { person, chosen } = work;
    element.hidden = !person || person.isHidden;
    const points = element.open && !element.hidden ? person[chosen.part] : [];
    const items = points.map((point, index) => ({ point, index, part: chosen.part }));
    keyed(rows, items, ({ part, index }) => `${part} ${index}`, (item) => buildRow(work, item), (row, item) => changeRow(work, row, item)); // prettier-ignore
  };
  return { element, update };
}

function buildRow(work, { part, index }) {
  const name = nameOf(part, index);
  const field = (text, axis) =>
    h("input", { type: "number", step: "any", "aria-label": `${name}, ${text}`, onchange: (event) => place(work, { part, index, axis }, event.target) });
  const act = h("button", { type: "button", class: "icon-button", onclick: () => toggle(work, part, index) });
  return h(
    "tr",
    {},
    h("th", { scope: "row" }, h("button", { type: "button", class: "quiet", onclick: () => work.choose({ ...work.chosen, index }) }, name)),
    h("td", {}, field("x", 0)),
    h("td", {}, field("y", 1)),
    h("td", {}, act),
  );
}

function changeRow(work, row, { point, index, part }) {
  const isThere = isFound(point);
  const [x, y] = row.querySelectorAll("input");
  [x, y].forEach((field, axis) => {
    field.disabled = !isThere;
    if (document.activeElement !== field || field.dataset.was !== String(point[axis])) field.value = isThere ? String(rounded(point[axis])) : "";
    field.dataset.was = String(point[axis]);
  });
  row.classList.toggle("is-chosen", index === work.chosen.index);
  row.classList.toggle("is-doubtful", isThere && point[2] < work.floor);
  row.firstChild.firstChild.title = `${nameOf(part, index)}${scoreText(point[2], work.floor)}`;
  setIcon(row.querySelector(".icon-button"), isThere ? "cancel" : "add", `${isThere ? "Remove" : "Add"} ${nameOf(part, index)}`);
}

function rounded(value) {
  return Math.round(10 * value) / 10;
}

function place(work, { part, index, axis }, { valueAsNumber: value }) {
  const [x, y] = work.person[part][index];
  if (!Number.isFinite(value)) work.show();
  else if (axis === 0) work.placePoint(index, value, y);
  else work.placePoint(index, x, value);
}

function toggle(work, part, index) {
  if (isFound(work.person[part][index])) work.removePoint(index);
  else work.addPoint(index);
}
