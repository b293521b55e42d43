/** Pictures that a user brings: dropped, pasted, chosen or taken anywhere on the page. */

import { Refusal } from "./server.js";

/** Connect drop and paste of the whole page; `take(file)` gets what is no text. */
export function listenForFiles(element, take) {
  element.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    element.classList.add("is-dropping");
  });
  const leave = () => element.classList.remove("is-dropping");
  element.addEventListener("dragleave", (event) => event.relatedTarget || leave());
  element.addEventListener("drop", (event) => {
    leave();
    const [file] = event.dataTransfer.files;
    if (!file) return;
    event.preventDefault();
    take(file, event);
  });
  document.addEventListener("paste", (event) => {
    const [file] = event.clipboardData?.files ?? [];
    if (file) take(file, event);
  });
}

/** Let the user choose a file; resolves to null where none was chosen. */
export function chooseFile(accept = "image/*", capture) {
  return new Promise((resolve) => {
    const input = document.createElement("input");
    Object.assign(input, { type: "file", accept, hidden: true });
    if (capture) input.setAttribute("capture", capture);
    input.onchange = () => resolve(input.files[0] ?? null);
    input.oncancel = () => resolve(null);
    document.body.append(input);
    input.click();
    setTimeout(() => input.remove(), 60_000);
  });
}

/** Keep a file and return it as a draft refers to it, {key, width, height, name}. Raises a Refusal for what is no picture. */
export async function keepPicture(app, file) {
  const limit = app.store.state.tables.max_upload_mb;
  if (file.size > limit * 1e6) {
    throw new Refusal(`${file.name || "The file"} has ${(file.size / 1e6).toFixed(1)} MB, but at most ${limit} MB can be taken; make it smaller.`);
  }
  const key = await app.blobs.put(file);
  const { width, height, notes } = await app.blobs.send(key);
  notes.forEach((note) => app.say(note));
  return { key, width, height, name: file.name || "picture" };
}

/** Make a file the photo of all tabs. */
export async function takePhoto(app, file) {
  await app.attempt(async () => {
    const photo = await keepPicture(app, file);
    app.drafts.edit((draft) => ({ photo, layers: draft.layers.map(followPhoto) }));
    app.show("photo");
  });
}

/** A layer that drew or brought its own keeps that; one that showed the photo goes on with the new one. */
function followPhoto(layer) {
  return layer.source === "photo" ? { ...layer, repairs: [] } : layer;
}
