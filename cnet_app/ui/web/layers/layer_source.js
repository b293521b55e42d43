/** Where the map of the open layer comes from: its source, its preprocessor with parameters, and what is wrong with the map. */

import { fill, h } from "../core/dom.js";
import { field, labelled, numberFault } from "./fields.js";
import { NOT_RESTORED, conditionOf, misfit, ownMap, ownPhoto } from "./layer_actions.js";
import { chooseFile } from "../core/photo.js";
import { fetchBlob } from "../core/server.js";

const AS_IT_IS = "as_it_is"; // the repair that is a choice: no preprocessor
const MOST_OPEN = 4; // parameters that are shown without unfolding
const SOURCES = {
  photo: { title: "The photo", empty: "There is no photo yet: drop, paste or choose one." },
  own: { title: "A photo of its own", empty: "This layer has no photo of its own yet.", choose: ownPhoto },
  map: { title: "My image is the map", empty: "This layer has no map yet.", choose: ownMap },
  drawing: { title: "A drawing", empty: "Nothing is drawn yet.", tool: "draw", act: "Draw on the stage" },
  pose: { title: "A pose", empty: "There are no people yet.", tool: "pose", act: "Edit the pose" },
  classes: { title: "Painted classes", empty: "No class is painted yet.", tool: "classes", act: "Paint classes" },
};
/** Sources that fit one kind of map only; all others fit every kind. */
const KINDS = { drawing: ["lines", "soft_lines"], pose: ["pose"], classes: ["labels"] };

/** Build the part of a layer's form about its map. */
export function buildSource(scope) {
  return [sourceRow(scope), preprocessorRow(scope), missingRow(scope), parameterRows(scope), mapLines(scope)];
}

/** The sources that fit a condition. */
function sourcesOf(condition) {
  return Object.keys(SOURCES).filter((id) => !KINDS[id] || KINDS[id].includes(condition.kind));
}

function sourceRow(scope) {
  const { app } = scope;
  const ids = sourcesOf(conditionOf(app.store.state.tables, scope.layer));
  const options = ids.map((id) => h("option", { value: id }, SOURCES[id].title));
  const select = h("select", { id: `source-${scope.id}`, onchange: () => takeSource(scope, select.value) }, options);
  const act = h("button", { type: "button", class: "layer-act", onclick: () => bringSource(scope) });
  const name = h("span", { class: "layer-file" });
  scope.on(({ source, picture }) => [source, picture], ([source, picture]) => {
    const { choose, act: title } = SOURCES[source];
    select.value = source;
    act.hidden = !choose && !title;
    act.textContent = title ?? (picture ? "Choose another…" : "Choose…");
    name.textContent = choose && picture ? picture.name : "";
    name.hidden = !name.textContent;
  });
  return [labelled("Map from", select.id, "What the control map is made from.", select), h("div", { class: "layer-bring" }, act, name)];
}

/** A source begins with what the layer's map holds already, so that what was found can be edited. */
async function takeSource(scope, source) {
  const { layer, app } = scope;
  const map = app.store.state.maps[scope.id];
  const changes = { source, repairs: [], ...NOT_RESTORED };
  if (source === "pose" && !layer.pose && map?.data) changes.pose = map.data;
  if (source === "classes" && !layer.classes && map?.image) changes.classes = await keepMap(app, map);
  scope.edit(changes);
  const isHeld = app.store.state.tool === SOURCES[source].tool;
  if (SOURCES[source].choose ? !layer.picture : !isHeld) bringSource(scope);
}

async function keepMap(app, { image, width, height }) {
  const key = await app.blobs.put(await fetchBlob(image));
  return { key, width, height };
}

async function bringSource(scope) {
  const { choose, tool } = SOURCES[scope.layer.source];
  if (tool) scope.app.tools?.take(tool);
  else if (choose) {
    const file = await chooseFile();
    if (file) await choose(scope.app, scope.id, file);
  }
}

function usesAnnotator({ source }) {
  return source === "photo" || source === "own";
}

/** The annotator of a layer: the one that was chosen, else the condition's default. */
function annotatorOf(tables, layer) {
  const { annotators, default_annotator } = conditionOf(tables, layer);
  return annotators.find(({ id }) => id === (layer.annotator || default_annotator)) ?? annotators[0];
}

function preprocessorRow(scope) {
  const { app } = scope;
  const select = h("select", { id: `annotator-${scope.id}`, onchange: () => takeAnnotator(scope, select.value) });
  const place = h("div", {});
  scope.on((layer, { tables }) => [tables, layer.annotator, layer.source], ([tables]) => {
    const { layer } = scope;
    const chosen = annotatorOf(tables, layer);
    fill(select, conditionOf(tables, layer).annotators.map(annotatorOption));
    select.value = chosen.id;
    select.disabled = select.options.length < 2;
    place.hidden = !usesAnnotator(layer);
    const isFocused = document.activeElement === select;
    fill(place, labelled("Preprocessor", select.id, aboutAnnotator(chosen), select));
    if (isFocused) select.focus();
  });
  return place;
}

function annotatorOption({ id, title, is_demo, can_run, fault, downloads }) {
  const mark = fault ? `not available: ${fault}` : downloads.length ? `download of ${downloads.join(", ")}` : is_demo ? "demo" : "";
  return h("option", { value: id, disabled: !can_run && !downloads.length }, mark ? `${title} · ${mark}` : title);
}

function aboutAnnotator({ note, licence, downloads }) {
  const needs = downloads.length ? `Needs a download: ${downloads.join(", ")}.` : "";
  return [note, needs, licence].filter(Boolean).join(" ") || "Makes the map. It needs no network and no download.";
}

/** Another annotator keeps the parameters that it has too. */
function takeAnnotator(scope, id) {
  const { tables } = scope.app.store.state;
  const { default_annotator, annotators } = conditionOf(tables, scope.layer);
  const declared = annotators.find((one) => one.id === id).parameters;
  const fits = ([name, value]) => declared[name] && (typeof value !== "number" || !numberFault(name, declared[name], value)) &&
    typeof value === typeof declared[name].default && (typeof value !== "string" || declared[name].choices.includes(value));
  const parameters = Object.fromEntries(Object.entries(scope.layer.parameters).filter(fits));
  scope.edit({ annotator: id === default_annotator ? "" : id, parameters });
}

function parameterRows(scope) {
  const place = h("div", { class: "layer-parameters" });
  let fields = {};
  scope.on((layer, { tables }) => [annotatorOf(tables, layer), usesAnnotator(layer)], ([annotator, isUsed]) => {
    fields = isUsed ? parameterFields(scope, annotator) : {};
    const rows = Object.values(fields);
    if (rows.length <= MOST_OPEN) fill(place, rows);
    else fill(place, h("details", { class: "layer-part" }, h("summary", {}, "Preprocessor settings"), rows));
  });
  scope.on(({ parameters }) => parameters, (parameters) => Object.entries(fields).forEach(([name, one]) => one.show(parameters[name])));
  return place;
}

function parameterFields(scope, annotator) {
  const { parameters } = scope.layer;
  const entries = Object.entries(annotator.parameters).map(([name, declared]) => [
    name,
    field(name, declared, parameters[name], (value) => setParameter(scope, annotator, name, value)),
  ]);
  return Object.fromEntries(entries);
}

/** A parameter that passes the other of an ordered pair pushes it along. */
function setParameter(scope, { parameters: declared, ordered }, name, value) {
  scope.edit(({ parameters }) => {
    const values = { ...parameters, [name]: value };
    for (const [low, high] of ordered) {
      if (name === low && value > (values[high] ?? declared[high].default)) values[high] = value;
      if (name === high && value < (values[low] ?? declared[low].default)) values[low] = value;
    }
    return { parameters: values };
  }, `parameter ${name}`);
}

/** What is wrong with the map, a line each, and the buttons that mend it. */
function mapLines(scope) {
  const place = h("div", { class: "layer-lines", role: "status" });
  scope.on((layer, { maps, choices, draft }) => [maps[layer.id], choices, layer.source, layer.repairs, layer.note, Boolean(draft.photo)], ([map]) => {
    const { layer, app } = scope;
    const misfitting = misfit(app.store.state, conditionOf(app.store.state.tables, layer));
    fill(
      place,
      misfitting && h("p", { class: "fault" }, misfitting),
      layer.source === "map" && layer.note && h("p", { class: "note" }, layer.note),
      !map?.order && h("p", { class: "note" }, SOURCES[layer.source].empty),
      map?.error && h("p", { class: "fault" }, map.error),
      (map?.warnings ?? []).map((text) => h("p", { class: "warning" }, text)),
      repairRow(scope, map?.repairs ?? []),
    );
  });
  return place;
}

/** What the preprocessor needs that is not here, below it; it comes and goes with the preprocessor alone. */
function missingRow(scope) {
  const place = h("div", { role: "status" });
  scope.on((layer, { maps }) => maps[layer.id]?.missing, (missing) => fill(place, missing && missingLine(scope, missing)));
  return place;
}

function missingLine({ app, id }, missing) {
  const names = missing.items.map(({ title, size }) => `${title} (${size})`).join(", ");
  const { no_downloads: refusal } = app.store.state.tables;
  const ask = () => app.askDownload(missing, () => app.maps.remake(id));
  const answer = refusal ? ` ${refusal}` : h("button", { type: "button", onclick: ask }, "Download…");
  return h("p", { class: "note layer-missing" }, `Needs ${names}.`, answer);
}

function repairRow(scope, repairs) {
  if (!repairs.length) return null;
  const buttons = repairs.map(({ id, title, done }) =>
    h("button", { type: "button", "aria-pressed": String(done), onclick: () => repair(scope, id, done) }, title),
  );
  return h("div", { class: "layer-repairs", role: "group", "aria-label": "Repairs of the map" }, buttons);
}

function repair(scope, id, isDone) {
  const { source, picture } = scope.layer;
  if (id === AS_IT_IS && usesAnnotator({ source })) {
    scope.edit({ source: "map", picture: source === "own" ? picture : scope.app.store.state.draft.photo, repairs: [] });
  } else scope.edit(({ repairs }) => ({ repairs: isDone ? repairs.filter((one) => one !== id) : [...repairs, id] }));
}

