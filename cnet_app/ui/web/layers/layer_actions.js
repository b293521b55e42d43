/** What is done with layers, from their cards and from anywhere else on the page. */

import { newLayer } from "../core/draft.js";
import { keepPicture } from "../core/photo.js";

/** Fields of a layer that are its user's work, or belong to it; a reset keeps them. */
const WORK = ["id", "condition", "enabled", "source", "picture", "drawing", "pose", "classes", "note", "part"];
/** What a layer is without a recipe's map. */
export const NOT_RESTORED = { note: "", part: false };

/** Add a layer of a condition behind the others and open it. Returns its id; null where there are as many as can be. */
export function addLayer(app, condition, values = {}) {
  if (isFull(app)) return null;
  const layer = newLayer(condition, { conditioning_scale: startScale(app.store.state.choices, condition), ...values });
  app.drafts.edit(({ layers }) => ({ condition, layers: [...layers, layer], open: layer.id }));
  if (app.drafts.now.photo) app.show("map");
  return layer.id;
}

/** Add a copy of a layer behind it and open that. Returns its id; null where there are as many as can be. */
export function duplicateLayer(app, id) {
  if (isFull(app)) return null;
  const layers = app.drafts.now.layers;
  const place = layers.findIndex((layer) => layer.id === id);
  if (place < 0) return null;
  const { condition, id: _, ...values } = layers[place];
  const copy = newLayer(condition, values);
  app.drafts.edit({ condition, layers: layers.toSpliced(place + 1, 0, copy), open: copy.id });
  return copy.id;
}

/** Remove a layer; undo brings it back. */
export function removeLayer(app, id) {
  app.drafts.edit(({ layers, open }) => ({ layers: layers.filter((layer) => layer.id !== id), open: open === id ? null : open }));
}

/** Move a layer to a place, counted from 0. Returns whether that changed anything. */
export function moveLayer(app, id, place) {
  const layers = app.drafts.now.layers;
  const from = layers.findIndex((layer) => layer.id === id);
  const to = Math.min(Math.max(place, 0), layers.length - 1);
  if (from < 0 || from === to) return false;
  app.drafts.edit({ layers: layers.toSpliced(from, 1).toSpliced(to, 0, layers[from]) });
  return true;
}

/** Give a layer a photo of its own. */
export function ownPhoto(app, id, file) {
  return givePicture(app, id, file, "own");
}

/** Give a layer a picture that is a map already. */
export function ownMap(app, id, file) {
  return givePicture(app, id, file, "map");
}

async function givePicture(app, id, file, source) {
  await app.attempt(async () => {
    const picture = await keepPicture(app, file);
    app.drafts.editLayer(id, { source, picture, repairs: [], ...NOT_RESTORED });
  });
}

/** Set all settings of a layer to their defaults; its picture, drawing, pose or classes stay. */
export function resetLayer(app, id) {
  app.drafts.editLayer(id, (layer) => {
    const kept = Object.fromEntries(WORK.map((name) => [name, layer[name]]));
    return newLayer(layer.condition, { conditioning_scale: startScale(app.store.state.choices, layer.condition), ...kept });
  });
}

/** The control strength that a layer of a condition starts with, with the condition's own ControlNet or another one. */
export function startScale({ controlnets }, condition, controlnet = "") {
  return (controlnets[condition] ?? []).find(({ id }) => id === controlnet)?.conditioning_scale ?? 1;
}

/** The blocks of a ControlNet that have a weight each; undefined or null where nothing tells. */
export function blocksOf({ controlnets }, condition, controlnet = "") {
  return (controlnets[condition] ?? []).find(({ id }) => id === controlnet)?.blocks;
}

/** Weights for another number of blocks, which are as heavy at the same depth. */
function fittedWeights(weights, count) {
  if (!weights.length || !count || weights.length === count) return weights;
  return Array.from({ length: count }, (_, index) => {
    const place = count > 1 ? (index / (count - 1)) * (weights.length - 1) : weights.length - 1;
    const before = Math.floor(place);
    const rest = place - before;
    return Number((weights[before] * (1 - rest) + (weights[before + 1] ?? 0) * rest).toFixed(2));
  });
}

/**
 * What a layer becomes with another ControlNet, or with the same one on another base: a strength that was not changed follows,
 * and block weights become as many as there are blocks.
 */
export function withControlnet(layer, controlnet, old, choices) {
  const isChanged = layer.conditioning_scale !== startScale(old, layer.condition, layer.controlnet);
  const scale = isChanged ? layer.conditioning_scale : startScale(choices, layer.condition, controlnet);
  const count = blocksOf(choices, layer.condition, controlnet);
  const lists = ["block_weights", "unconditional_block_weights"];
  const weights = Object.fromEntries(lists.map((name) => [name, fittedWeights(layer[name], count)]));
  return { ...layer, controlnet, conditioning_scale: scale, ...weights };
}

/** Open a layer's card, or with null close the open one. */
export function openLayer(app, id) {
  const layer = app.drafts.now.layers.find((one) => one.id === id);
  app.drafts.view(layer ? { open: id, condition: layer.condition } : { open: null });
}

/** Whether there are as many layers as can be. */
export function isFull(app) {
  return app.drafts.now.layers.length >= app.store.state.tables.limits.max_units;
}

/** The title of a layer's card: its condition's, numbered where there are several of it. */
export function titleOfLayer({ tables, draft }, layer) {
  const same = draft.layers.filter(({ condition }) => condition === layer.condition);
  const { title } = conditionOf(tables, layer);
  return same.length > 1 ? `${title} ${same.findIndex(({ id }) => id === layer.id) + 1}` : title;
}

export function conditionOf(tables, layer) {
  return tables.conditions.find(({ id }) => id === layer.condition);
}

/** Why a condition cannot be used with the base model, or "". */
export function misfit({ choices }, { id, title }) {
  return choices.conditions.includes(id) ? "" : `There is no ${title} ControlNet for ${choices.base.title}.`;
}
