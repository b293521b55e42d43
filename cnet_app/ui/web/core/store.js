/** The state of the page: plain values that are replaced, never changed in place. */

export class Store {
  #state;
  #reactions = new Set();
  #isScheduled = false;

  constructor(state) {
    this.#state = state;
  }

  get state() {
    return this.#state;
  }

  /** Replace some of the state's fields. Reactions run together, before the next frame is drawn. */
  patch(changes) {
    this.#state = { ...this.#state, ...changes };
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => this.#react());
  }

  /** Call `react(value, before)` now, and whenever one of the selected values is another one. Returns what ends that. */
  on(select, react) {
    const reaction = { select, react, value: select(this.#state) };
    this.#reactions.add(reaction);
    react(reaction.value, undefined);
    return () => this.#reactions.delete(reaction);
  }

  #react() {
    this.#isScheduled = false;
    for (const reaction of [...this.#reactions]) {
      const value = reaction.select(this.#state);
      if (isSame(value, reaction.value)) continue;
      const before = reaction.value;
      reaction.value = value;
      reaction.react(value, before);
    }
  }
}

/** Arrays are compared by their entries, so that a selection may join several fields: (state) => [state.a, state.b]. */
function isSame(one, other) {
  if (!Array.isArray(one) || !Array.isArray(other)) return one === other;
  return one.length === other.length && one.every((value, index) => value === other[index]);
}
