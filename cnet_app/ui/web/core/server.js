/** Calls to the server: values in, an answer out; what it refuses is a Refusal with its sentence. */

export class Refusal extends Error {}

const SESSION = "studio-session";
const LOST = "The server does not answer; your work is kept here, and goes on when it is back.";

export class Server {
  #page;

  constructor({ page }) {
    this.#page = page;
    this.session = sessionId();
  }

  call(name, values = {}) {
    const body = JSON.stringify({ name, values, session: this.session });
    return this.#post("studio/call", body, { "Content-Type": "application/json" });
  }

  /** Bring a file to the server and return its path there. */
  async upload(blob, name = "picture.png") {
    const form = new FormData();
    form.append("files", new File([blob], name, { type: blob.type }));
    const [path] = await this.#post("gradio_api/upload", form);
    return path;
  }

  /** The address of a file on the server, such as a finished picture. */
  fileUrl(path) {
    return new URL(`gradio_api/file=${path.split("/").map(encodeURIComponent).join("/")}`, this.#page).href;
  }

  /** The answer to a POST; what the server refuses, and why, is an {error}. */
  async #post(place, body, headers = {}) {
    let answer;
    try {
      answer = await (await fetch(new URL(place, this.#page), { method: "POST", body, headers })).json();
    } catch {
      throw new Refusal(LOST);
    }
    if (!answer || answer.error || answer.detail) throw new Refusal(sentenceOf(answer));
    return answer;
  }
}

function sentenceOf(answer) {
  return typeof answer?.error === "string" ? answer.error : LOST;
}

/** The content of an address of the server, or of a data URL. Raises a Refusal where the server does not answer. */
export async function fetchBlob(url) {
  try {
    return await (await fetch(url)).blob();
  } catch {
    throw new Refusal(LOST);
  }
}

/** This browser, for as long as its storage lasts: its jobs and pictures are found by it. */
function sessionId() {
  try {
    const known = localStorage.getItem(SESSION);
    if (/^[0-9a-f]{32}$/.test(known)) return known;
    localStorage.setItem(SESSION, randomId(16));
    return localStorage.getItem(SESSION);
  } catch {
    return randomId(16);
  }
}

/** `bytes` random bytes in hexadecimal; works on plain http too, where crypto.randomUUID is missing. */
export function randomId(bytes = 8) {
  return [...crypto.getRandomValues(new Uint8Array(bytes))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
