/** The pictures of this browser below the stage, newest left; the running job comes first. */

import { h, icon, iconButton, keyed } from "../core/dom.js";
import { pictureMenu } from "../library/pictures.js";
import { bestOf, loadPictures, showPicture } from "../library/shelf.js";

export function buildFilmstrip(app) {
  const strip = h("ol", { class: "filmstrip", "aria-label": "Pictures", onkeydown: step });
  const seen = new IntersectionObserver((entries) => entries.forEach(({ isIntersecting, target }) => isIntersecting && showThumbnail(app, seen, target)), { root: strip, rootMargin: "0px 400px" });
  const build = (entry) => (isJob(entry) ? buildJob(app) : buildPicture(app, entry, seen));
  app.store.on(
    ({ pictures, running, shown }) => [pictures, running, shown],
    ([pictures, running]) => {
      const best = bestOf(pictures);
      const update = (item, entry) => (isJob(entry) ? updateJob(item, entry) : updatePicture(app, item, entry, best.has(entry.id)));
      keyed(strip, running ? [running, ...pictures] : pictures, keyOf, build, update);
      keepOneStop(strip, app.store.state.shown);
    },
  );
  app.store.on(({ shown }) => shown?.path, (path) => path && strip.querySelector("[aria-current]")?.scrollIntoView?.({ block: "nearest", inline: "nearest" }));
  loadPictures(app).catch((refusal) => console.warn(refusal));
  return strip;
}

function isJob({ steps }) {
  return steps !== undefined;
}

function keyOf({ id, path }) {
  return path ?? `job ${id}`;
}

function buildPicture(app, { path }, seen) {
  const find = () => app.store.state.pictures.find((picture) => picture.path === path);
  const openMenu = (event) => {
    event.preventDefault();
    moreOf(app, item, find).click();
  };
  const button = h("button", { type: "button", class: "strip-picture", onclick: () => showPicture(app, find()), oncontextmenu: openMenu }, h("img", { alt: "", height: "72", decoding: "async" }));
  const item = h("li", { onpointerenter: () => moreOf(app, item, find) }, button);
  seen.observe(item);
  return item;
}

/** The button of a picture's menu, made when it is first wanted. */
function moreOf(app, item, find) {
  const known = item.querySelector(".strip-more");
  if (known) return known;
  const more = pictureMenu(app, iconButton("more", "Actions of this picture", null, { class: "icon-button strip-more", tabindex: "-1" }), find);
  item.append(more);
  return more;
}

function updatePicture(app, item, picture, isBest) {
  const [button] = item.children;
  const about = [picture.prompt || "no prompt", picture.seed !== null && `seed ${picture.seed}`, picture.words, isBest && "best of its run"];
  button.setAttribute("aria-label", `Picture: ${about.filter(Boolean).join(", ")}`);
  button.title = picture.prompt;
  if (app.store.state.shown?.path === picture.path) button.setAttribute("aria-current", "true");
  else button.removeAttribute("aria-current");
  markBest(button, isBest);
  if (picture.width) item.style.setProperty("--aspect", picture.width / picture.height);
}

function markBest(button, isBest) {
  const mark = button.querySelector(".strip-best");
  if (!isBest) mark?.remove();
  else if (!mark) button.append(h("span", { class: "strip-best", title: "Followed its control best of this run" }, icon("check")));
}

/** A picture asks for its thumbnail when it comes near the visible part. */
function showThumbnail(app, seen, item) {
  seen.unobserve(item);
  const picture = app.store.state.pictures.find(({ path }) => path === item.dataset.key);
  if (!picture) return;
  const image = item.querySelector("img");
  if (picture.id) app.thumbnails.show(image, picture.id, picture.url);
  else image.src = picture.url;
}

function buildJob(app) {
  const button = h("button", { type: "button", class: "strip-picture strip-job", onclick: () => app.show("result") }, h("img", { alt: "", height: "72" }), h("span", { class: "strip-percent" }));
  return h("li", {}, button);
}

function updateJob(item, { fraction, preview, image_index: index, num_images: count }) {
  const [button] = item.children;
  const percent = `${Math.round(100 * fraction)} %`;
  const image = button.querySelector("img");
  if (preview && image.getAttribute("src") !== preview) image.src = preview;
  button.querySelector(".strip-percent").textContent = percent;
  button.style.setProperty("--done", percent.replace(" ", ""));
  button.setAttribute("aria-label", `In the making: picture ${index + 1} of ${count}, ${percent}`);
}

/** One of the pictures is a tab stop: the focused one, else the one on the stage, else the first. */
function keepOneStop(strip, shown) {
  const buttons = [...strip.querySelectorAll(".strip-picture")];
  const stop = buttons.find((button) => button === document.activeElement) ?? buttons.find((button) => button.parentElement.dataset.key === shown?.path) ?? buttons[0];
  for (const button of buttons) button.tabIndex = button === stop ? 0 : -1;
}

/** Arrow keys move between the pictures, Home and End to the ends. */
function step(event) {
  const buttons = [...event.currentTarget.querySelectorAll(".strip-picture")];
  const now = buttons.indexOf(document.activeElement);
  const next = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: buttons.length - 1 }[event.key];
  if (now < 0 || next === undefined) return;
  event.preventDefault();
  const button = buttons[Math.min(Math.max(next, 0), buttons.length - 1)];
  for (const one of buttons) one.tabIndex = one === button ? 0 : -1;
  button.focus();
  if (!button.classList.contains("strip-job")) button.click();
}
