/** Light or dark: as chosen here before, else as the system has it. */

const KEY = "studio-theme";
const SYSTEM = matchMedia("(prefers-color-scheme: dark)");

export function currentTheme() {
  return document.documentElement.classList.contains("is-dark") ? "dark" : "light";
}

export function setTheme(theme) {
  localStorage.setItem(KEY, theme);
  apply();
}

export function apply() {
  let chosen = null;
  try {
    chosen = localStorage.getItem(KEY);
  } catch {
    // Storage is closed to this page: the system's theme holds.
  }
  const isDark = (chosen ?? (SYSTEM.matches ? "dark" : "light")) === "dark";
  document.documentElement.classList.toggle("is-dark", isDark);
  document.body.classList.toggle("dark", isDark); // Gradio's own parts
  document.dispatchEvent(new Event("themechange"));
}

SYSTEM.addEventListener("change", apply);
