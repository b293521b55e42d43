/** The finished pictures that the page holds: those of the filmstrip, newest first, and the one on the stage. */

const KEPT = 60; // pictures of the filmstrip

/** A picture from a row of the library or of a job. */
function pictureOf(app, row) {
  const { scores = null, norms = null } = row;
  return { ...row, url: app.server.fileUrl(row.path), scores, norms, words: wordsOf(scores) };
}

/** The words for how well a picture followed its layers; empty where nothing was measured. */
export function wordsOf(scores) {
  return (scores ?? [])
    .map(({ words }) => words)
    .filter(Boolean)
    .join(", ");
}

/** Fill the filmstrip: with this browser's newest pictures, in a new one with the machine's, as far as they may be seen. */
export async function loadPictures(app) {
  const own = await app.server.call("library", { mine: true, limit: KEPT });
  const rows = own.pictures.length ? own.pictures : (await app.server.call("library", { limit: KEPT })).pictures;
  const { pictures } = app.store.state;
  const known = new Set(pictures.map(({ path }) => path));
  const more = rows.filter(({ path }) => !known.has(path)).map((row) => pictureOf(app, row));
  app.store.patch({ pictures: [...pictures, ...more].slice(0, KEPT) });
}

/** Add a picture as the newest and bring it to the stage. */
export function addPicture(app, row) {
  const picture = pictureOf(app, row);
  app.store.patch({ pictures: [picture, ...app.store.state.pictures].slice(0, KEPT), shown: picture, preview: null });
  app.show("result");
}

/** Change what the page holds of some pictures; their ids decide. */
export function updatePictures(app, ids, changes) {
  const wanted = new Set(ids);
  const update = (picture) => (picture && wanted.has(picture.id) ? { ...picture, ...changes } : picture);
  const { pictures, shown } = app.store.state;
  if (!pictures.some(({ id }) => wanted.has(id)) && !wanted.has(shown?.id)) return;
  app.store.patch({ pictures: pictures.map(update), shown: update(shown) });
}

/** Take pictures out of the filmstrip; the stage shows the next one. */
export function dropPictures(app, ids) {
  const gone = new Set(ids);
  const { pictures, shown, view } = app.store.state;
  const rest = pictures.filter(({ id }) => !gone.has(id));
  if (!shown || !gone.has(shown.id)) {
    app.store.patch({ pictures: rest });
    return;
  }
  const place = pictures.findIndex(({ id }) => id === shown.id);
  const next = pictures.slice(place).find(({ id }) => !gone.has(id)) ?? rest.at(-1) ?? null;
  app.store.patch({ pictures: rest, shown: next, view: next || view === "map" ? view : "photo" });
}

/** Put pictures back where they were in the filmstrip. */
export function returnPictures(app, rows) {
  const back = rows.map((row) => pictureOf(app, row));
  const pictures = [...app.store.state.pictures, ...back].sort((one, other) => other.created - one.created);
  app.store.patch({ pictures: pictures.slice(0, KEPT), shown: back[0] ?? app.store.state.shown });
}

/** Show a picture on the stage. */
export function showPicture(app, picture, view = "result") {
  app.store.patch({ shown: picture });
  app.show(view);
}

/** Learn size, scores and marks of the picture on the stage, where they are not known yet. */
export function followShown(app) {
  app.store.on(
    ({ shown }) => shown?.id,
    async (id) => {
      const { shown } = app.store.state;
      if (!id || (shown.scores && shown.width)) return;
      const details = await app.server.call("details", { id }).catch(() => null);
      if (!details) return;
      const { width, height, favourite, board, created, scores } = details;
      const known = app.store.state.shown?.id === id && app.store.state.shown.scores?.length ? {} : { scores, words: wordsOf(scores) };
      updatePictures(app, [id], { width, height, favourite, board, created, ...known });
    },
  );
}

/** Ids of the pictures that followed their layers best, of each job that made several. */
export function bestOf(pictures) {
  const jobs = new Map();
  for (const picture of pictures) if (picture.job) jobs.set(picture.job, [...(jobs.get(picture.job) ?? []), picture]);
  const best = [...jobs.values()].filter((made) => made.length > 1 && made.every(hasScore)).map(bestOne);
  return new Set(best.map(({ id }) => id));
}

/** Of equal ones the first that was made; the newest comes first in the filmstrip. */
function bestOne(pictures) {
  return pictures.reduce((best, picture) => (picture.score >= best.score ? picture : best));
}

function hasScore({ score }) {
  return typeof score === "number";
}

/** The mean agreement of a picture's scores, 0 to 1; null where there is none. */
export function meanOf(scores) {
  const known = scores.map(({ agreement }) => agreement).filter((value) => value !== null);
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
}

/** Note that the library is another one, for the view of it. */
export function touchLibrary(app) {
  app.store.patch({ libraryVersion: (app.store.state.libraryVersion ?? 0) + 1 });
}
