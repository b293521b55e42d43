/** The prompt. */

export function changeWeight() {}
