/** Calls to the server: values in, an answer out; what it refuses is a Refusal with its sentence. */

export class Refusal extends Error {}

const LOST = "The server does not answer; your work is kept here, and goes on when it is back.";

export class Server {
  #gradio;

  constructor(gradio) {
    this.#gradio = gradio;
    this.session = sessionId();
  }

  async call(name, values = {}) {
    let answer;
    try {
      answer = await this.#gradio.server.call({ name, values, session: this.session });
    } catch {
      throw new Refusal(LOST);
    }
    if (!answer) throw new Refusal(LOST); // Gradio's answer to a call that the server broke off
    if (answer.error) throw new Refusal(answer.error);
    return answer;
  }

  /** Bring a file to the server and return its path there. */
  async upload(blob, name = "picture.png") {
    try {
      return (await this.#gradio.upload(new File([blob], name, { type: blob.type }))).path;
    } catch {
      throw new Refusal(LOST);
    }
  }

  /** The address of a file on the server, such as a finished picture. */
  fileUrl(path) {
    return new URL(`gradio_api/file=${encodeURI(path)}`, this.#gradio.page).href;
  }
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
  const KEY = "studio-session";
  try {
    const known = localStorage.getItem(KEY);
    if (known) return known;
    localStorage.setItem(KEY, randomId(16));
    return localStorage.getItem(KEY);
  } catch {
    return randomId(16);
  }
}

/** `bytes` random bytes in hexadecimal; works on plain http too, where crypto.randomUUID is missing. */
export function randomId(bytes = 8) {
  return [...crypto.getRandomValues(new Uint8Array(bytes))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
