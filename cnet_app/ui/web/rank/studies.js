/** The owner's view of user studies: those that there are, their links and results, and a form for a new one. */

import { fill, h } from "../core/dom.js";
import { openDialog } from "../dialogs/dialogs.js";
import { buildStudyForm } from "./study_form.js";
import { buildResults } from "./study_results.js";

const KINDS = { ranking: "Average human ranking", which: "Which model made it" };

/** Open the list of studies over the page. */
export function openStudies(app) {
  const body = h("div", { class: "studies" });
  openDialog(app, "Rank", body, { class: "wide" });
  showList(app, body);
}

async function showList(app, body, note = "") {
  const alert = h("p", { class: "studies-alert", role: "alert", hidden: true });
  const attempt = (act) => attemptIn(alert, act);
  await attempt(async () => {
    const { studies } = await app.server.call("studies");
    const rows = studies.map((study) => row(app, body, study, attempt));
    const list = rows.length ? h("ul", { class: "studies-list" }, rows) : h("p", {}, "There is no study yet.");
    const made = ({ study, left_out: left }) => showList(app, body, `${study.name} is made: ${study.groups} groups. ${left ? `${left} names that not every folder has are left out.` : ""}`);
    const form = h("details", { class: "studies-new", open: !rows.length }, h("summary", {}, "New study"), buildStudyForm(app, attempt, made));
    fill(body, h("p", {}, "People judge pictures of several methods without knowing which is which: they rank them, or guess which of two models made one."), h("p", { role: "status" }, note), list, alert, form);
  });
  if (!alert.isConnected) body.append(alert);
}

function row(app, body, study, attempt) {
  const counts = [`${study.methods.join(", ")}; ${study.groups} groups`, `${study.finished} finished, ${study.unfinished} began`];
  if (study.missing) counts.push(`the files of ${study.missing} groups are gone`);
  const link = new URL(`?study=${encodeURIComponent(study.name)}`, new URL(".", document.baseURI)).href;
  const copied = h("span", { class: "studies-copied", role: "status" });
  const copy = () => attempt(async () => {
    await copyText(link);
    copied.textContent = "Copied";
  });
  const results = () => attempt(() => buildResults(app, study, () => showList(app, body)).then((view) => fill(body, view)));
  return h(
    "li",
    {},
    h("strong", {}, study.name),
    h("span", {}, KINDS[study.kind]),
    h("span", { class: "studies-quiet" }, counts.join(" · ")),
    h(
      "span",
      { class: "studies-acts" },
      h("a", { href: link, target: "_blank", rel: "noopener", "aria-label": `Open ${study.name}` }, "Open"),
      h("button", { type: "button", "aria-label": `Copy the link of ${study.name}`, onclick: copy }, "Copy link"),
      h("button", { type: "button", "aria-label": `Results of ${study.name}`, onclick: results }, "Results"),
      copied,
    ),
  );
}

/** Without a secure connection, as in a home network, the browser offers no clipboard. */
async function copyText(text) {
  if (!navigator.clipboard) throw new Error(`This browser cannot copy here; the link is ${text}`);
  await navigator.clipboard.writeText(text);
}

async function attemptIn(alert, act) {
  try {
    alert.hidden = true;
    return await act();
  } catch (refusal) {
    console.warn(refusal);
    alert.textContent = refusal.message;
    alert.hidden = false;
    return undefined;
  }
}
