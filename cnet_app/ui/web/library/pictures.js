/** What can be done with finished pictures: one list for the filmstrip, the stage's caption and the library. */

import { askBoard } from "../dialogs/boards.js";
import { fill, h, iconButton } from "../core/dom.js";
import { fetchBlob } from "../core/server.js";
import { addLayer } from "../layers/layer_actions.js";
import { menuButton } from "../layers/menu.js";
import { keepPicture, takePhoto } from "../core/photo.js";
import { restoreParts, restorePicture } from "./restore.js";
import { dropPictures, returnPictures, showPicture, touchLibrary, updatePictures } from "./shelf.js";
import { startFrom } from "../desk/start_from.js";
import { offerUndo } from "../core/undo.js";

/** A row an action: `several` works on many pictures at once, `quick` has a button of its own in the caption. */
const ACTIONS = [
  { id: "vary", title: "Vary", icon: "vary", quick: true, run: (app, [picture]) => app.jobs.generate("vary", { id: picture.id }) },
  { id: "upscale", title: "Upscale 2×", icon: "zoom", quick: true, run: (app, [picture]) => app.jobs.generate("upscale", { id: picture.id, factor: 2 }) },
  ...restoreParts().map(({ part, title, note }) => ({ id: `restore-${part}`, title, note, run: (app, [picture]) => restorePicture(app, picture, part) })),
  { id: "photo", title: "As photo", run: (app, [picture]) => asPhoto(app, picture) },
  { id: "start", title: "As start", run: (app, [picture]) => asStart(app, picture) },
  { id: "layer", title: "As layer", note: "A layer of the open tab with this as its photo", run: (app, [picture]) => asLayer(app, picture) },
  { id: "compare", title: "Compare", run: (app, [picture]) => showPicture(app, picture, "compare") },
  { id: "favourite", title: "Favourite", icon: "star", quick: true, several: true, isOn: ({ favourite }) => favourite, run: favour },
  { id: "board", title: "Board…", several: true, run: toBoard },
  { id: "download", title: "Download", icon: "download", quick: true, run: (app, [picture]) => download(picture.url, nameOf(picture)) },
  { id: "delete", title: "Delete", icon: "delete", quick: true, several: true, run: deletePictures },
];

/** The actions that work on so many pictures. */
export function actionsFor(count) {
  return ACTIONS.filter(({ several }) => count === 1 || several);
}

/** Carry out an action; what is refused is shown. */
export function act(app, action, pictures) {
  return app.attempt(() => action.run(app, pictures));
}

/** Make a button open the menu of all actions of the picture that `picture()` gives. */
export function pictureMenu(app, button, picture) {
  return menuButton(button, "Actions of the picture", () =>
    actionsFor(1).map((action) => ({ title: titleOf(action, picture()), note: action.note, act: () => act(app, action, [picture()]) })),
  );
}

/** Buttons of the quick actions and the menu, for the picture on the stage. */
export function buildPictureActions(app) {
  const element = h("span", { class: "caption-actions", role: "group", "aria-label": "Picture" });
  const shown = () => app.store.state.shown;
  const more = pictureMenu(app, iconButton("more", "All actions of the picture", null), shown);
  app.store.on(
    ({ view, shown, preview }) => [["result", "compare", "score"].includes(view) && Boolean(shown?.id) && !preview, shown?.favourite],
    ([isVisible]) => {
      element.hidden = !isVisible;
      if (isVisible) showQuick(app, element, shown(), more);
    },
  );
  return element;
}

/** The buttons stay the same elements, so that the focus is not lost. */
function showQuick(app, element, picture, more) {
  if (!element.childElementCount) {
    const button = (action) => iconButton(action.icon, action.title, () => act(app, action, [app.store.state.shown]), { id: `picture-${action.id}` });
    fill(element, ACTIONS.filter(({ quick }) => quick).map(button), more);
  }
  for (const { id, isOn } of ACTIONS) if (isOn) element.querySelector(`#picture-${id}`).setAttribute("aria-pressed", String(Boolean(isOn(picture))));
}

function titleOf({ id, title }, { favourite }) {
  return id === "favourite" && favourite ? "No favourite any more" : title;
}

/** A file's name for a picture that is downloaded. */
function nameOf({ path }) {
  return path.split(/[\\/]/).at(-1);
}

/** Save a file of the server. */
export function download(url, name) {
  const link = h("a", { href: url, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
}

/** The picture as a file. */
async function fileOf(picture) {
  const blob = await fetchBlob(picture.url);
  return new File([blob], nameOf(picture), { type: blob.type || "image/png" });
}

async function asPhoto(app, picture) {
  await takePhoto(app, await fileOf(picture));
}

async function asStart(app, picture) {
  startFrom(app, await keepPicture(app, await fileOf(picture)));
}

async function asLayer(app, picture) {
  const held = await keepPicture(app, await fileOf(picture));
  const { draft, tables } = app.store.state;
  if (addLayer(app, draft.condition, { source: "own", picture: held })) app.show("map");
  else app.say(`There are ${tables.limits.max_units} layers already, and no more can be; remove one.`);
}

async function favour(app, pictures) {
  const favourite = !pictures.every((picture) => picture.favourite);
  const ids = pictures.map(({ id }) => id);
  await app.server.call("favour", { ids, favourite });
  updatePictures(app, ids, { favourite });
  touchLibrary(app);
}

async function toBoard(app, pictures) {
  const [{ board: first }] = pictures;
  const wanted = await askBoard(app, pictures.every(({ board }) => board === first) ? first : "");
  if (wanted === null) return;
  const ids = pictures.map(({ id }) => id);
  const { board } = await app.server.call("board", { ids, board: wanted });
  updatePictures(app, ids, { board });
  touchLibrary(app);
}

/** Move pictures to the trash; Undo brings them back. */
async function deletePictures(app, pictures) {
  const ids = pictures.map(({ id }) => id);
  await app.server.call("delete", { ids });
  const held = new Set(app.store.state.pictures.map(({ id }) => id));
  const inStrip = ids.filter((id) => held.has(id));
  dropPictures(app, ids);
  touchLibrary(app);
  const text = ids.length === 1 ? "Picture deleted." : `${ids.length} pictures deleted.`;
  offerUndo(app, text, () => app.attempt(() => bringBack(app, ids, inStrip)));
}

/** Bring pictures back from the trash; those of the filmstrip return to it. */
export async function bringBack(app, ids, inStrip = []) {
  const { pictures } = await app.server.call("restore", { ids });
  if (inStrip.length) returnPictures(app, pictures.filter(({ id }) => inStrip.includes(id)));
  touchLibrary(app);
}

/** Save pictures and their recipes as one ZIP file. */
export async function downloadAll(app, ids) {
  const { path, name } = await app.server.call("zip", { ids });
  download(app.server.fileUrl(path), name);
}
