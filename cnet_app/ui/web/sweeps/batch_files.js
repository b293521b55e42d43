/** The files of a batch: pictures, captions beside them and a table, sorted by their endings and brought to the server. */

import { Refusal } from "../core/server.js";

const PICTURE = /\.(png|jpe?g|jpe|jfif|webp|avif|bmp|gif)$/i; // as cnet_app/jobs/sweeps/batches.py takes them
const CAPTION = /\.txt$/i;
const TABLE = /\.(csv|tsv)$/i;
const AT_ONCE = 3; // uploads

/** Let the user choose many pictures with their captions and table, or a folder; resolves to none where it was closed. */
export function choosePictures({ isFolder = false }) {
  return new Promise((resolve) => {
    const input = document.createElement("input");
    Object.assign(input, { type: "file", multiple: true, hidden: true, webkitdirectory: isFolder });
    if (!isFolder) input.accept = "image/*,.txt,.csv,.tsv";
    input.onchange = () => resolve([...input.files].filter(isAtTop));
    input.oncancel = () => resolve([]);
    document.querySelector(".studio").append(input);
    input.click();
    setTimeout(() => input.remove(), 60_000);
  });
}

/** Files in folders below the chosen one are not taken. */
function isAtTop({ webkitRelativePath = "" }) {
  return webkitRelativePath.split("/").length <= 2;
}

export class BatchFiles {
  pictures = [];
  captions = [];
  table = null;
  others = 0;

  get isEmpty() {
    return !this.pictures.length && !this.captions.length && !this.table && !this.others;
  }

  /** Add files; of several tables the last one counts. */
  add(files) {
    for (const file of files) {
      if (PICTURE.test(file.name)) this.pictures.push(file);
      else if (CAPTION.test(file.name)) this.captions.push(file);
      else if (TABLE.test(file.name)) this.table = file;
      else this.others += 1;
    }
  }

  /** What there is, in words. */
  words() {
    if (this.isEmpty) return "Nothing chosen yet; files can be dropped here, too.";
    const count = (number, one, many) => (number ? `${number} ${number === 1 ? one : many}` : "");
    const parts = [
      count(this.pictures.length, "picture", "pictures") || "No pictures",
      count(this.captions.length, "caption", "captions"),
      this.table && `table ${this.table.name}`,
    ];
    const left = count(this.others, "other file is", "other files are");
    return `${parts.filter(Boolean).join(", ")}.${left ? ` ${left} left out.` : ""}`;
  }

  /** Raise a Refusal for a file that is larger than `limit` MB, or where there are no pictures. */
  check(limit) {
    if (!this.pictures.length) throw new Refusal("There are no pictures yet; choose some, or drop them here.");
    const large = this.#all().find(({ size }) => size > limit * 1e6);
    if (large) throw new Refusal(`${large.name} has ${(large.size / 1e6).toFixed(1)} MB, but at most ${limit} MB can be taken; make it smaller.`);
  }

  /** Bring all files to the server: {files, table} are their paths there. `report(share)` hears how far it is; ends early where not `isOn()`. */
  async upload(server, { report, isOn }) {
    const all = this.#all();
    const paths = new Map();
    const rest = [...all];
    const work = async () => {
      while (rest.length && isOn()) {
        const file = rest.shift();
        paths.set(file, await server.upload(file, file.name));
        report(paths.size / all.length);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    const files = [...this.pictures, ...this.captions].map((file) => paths.get(file));
    return { files, table: this.table && paths.get(this.table) };
  }

  #all() {
    return [...this.pictures, ...this.captions, this.table].filter(Boolean);
  }
}
