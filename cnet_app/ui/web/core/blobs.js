/** Pictures and drawings of this browser: kept in its database, brought to the server when a call needs them. */

import { randomId } from "./server.js";

const NAME = "controlnet-studio";
const BLOBS = "blobs";
const VALUES = "values";

/** Open the browser's database; where there is none, what is kept lasts until the page is closed. */
export async function openBlobs(server) {
  try {
    return new Blobs(server, await openDatabase());
  } catch {
    return new Blobs(server, null);
  }
}

function openDatabase() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => [BLOBS, VALUES].forEach((name) => request.result.createObjectStore(name));
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

class Blobs {
  #server;
  #database;
  #memory = new Map();
  /** Promises of what the server calls a blob: {sha256, width, height, notes}. */
  #known = new Map();

  constructor(server, database) {
    this.#server = server;
    this.#database = database;
  }

  /** Keep a blob and return its key. */
  async put(blob) {
    const key = randomId();
    this.#memory.set(key, blob);
    await this.#write(BLOBS, key, blob);
    return key;
  }

  /** Keep a blob that is still being made, a promise of it, under a key that counts at once. */
  hold(promise) {
    const key = randomId();
    this.#memory.set(key, promise);
    promise.then(
      (blob) => this.#write(BLOBS, key, blob),
      () => this.#memory.delete(key),
    );
    return key;
  }

  /** The blob of a key; undefined where it is gone. */
  async get(key) {
    if (!this.#memory.has(key)) this.#memory.set(key, await this.#read(BLOBS, key));
    return this.#memory.get(key);
  }

  /** Bring a blob to the server, once: {sha256, width, height, notes}. Raises a Refusal for what is no picture. */
  async send(key) {
    if (!this.#known.has(key)) {
      this.#known.set(key, this.#send(key));
      this.#known.get(key).catch(() => this.#known.delete(key));
    }
    return this.#known.get(key);
  }

  /** A copy of a value in which every {key} has become a {sha256}. */
  async resolve(value) {
    if (Array.isArray(value)) return Promise.all(value.map((part) => this.resolve(part)));
    if (!value || typeof value !== "object") return value;
    if (typeof value.key === "string") return { ...value, sha256: (await this.send(value.key)).sha256 };
    const pairs = Object.entries(value).map(async ([name, part]) => [name, await this.resolve(part)]);
    return Object.fromEntries(await Promise.all(pairs));
  }

  /** Make a call whose values hold keys; pictures that the server no longer has are sent again. */
  async call(name, values) {
    try {
      return await this.#server.call(name, await this.resolve(values));
    } catch (refusal) {
      if (!/no longer here/.test(refusal.message)) throw refusal;
      this.#known.clear();
      return this.#server.call(name, await this.resolve(values));
    }
  }

  /** Remove all blobs but those of these keys. */
  async keepOnly(keys) {
    const kept = new Set(keys);
    for (const key of [...this.#memory.keys()]) if (!kept.has(key)) this.#memory.delete(key);
    const all = await this.#request(BLOBS, "readonly", (store) => store.getAllKeys());
    for (const key of all ?? []) if (!kept.has(key)) await this.#request(BLOBS, "readwrite", (store) => store.delete(key));
  }

  /** A small value under a name, such as the draft. */
  readValue(name) {
    return this.#read(VALUES, name);
  }

  writeValue(name, value) {
    return this.#write(VALUES, name, value);
  }

  async #send(key) {
    const blob = await this.get(key);
    if (!blob) throw new Error("A picture of this draft is gone from the browser; choose it again.");
    return this.#server.call("put", { path: await this.#server.upload(blob, blob.name || "picture.png") });
  }

  #read(table, key) {
    return this.#request(table, "readonly", (store) => store.get(key));
  }

  #write(table, key, value) {
    return this.#request(table, "readwrite", (store) => store.put(value, key));
  }

  #request(table, mode, act) {
    if (!this.#database) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const request = act(this.#database.transaction(table, mode).objectStore(table));
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => resolve(undefined);
    });
  }
}

/** All keys of blobs that a value refers to. */
export function keysIn(value) {
  if (!value || typeof value !== "object") return [];
  if (typeof value.key === "string") return [value.key];
  return Object.values(value).flatMap(keysIn);
}
