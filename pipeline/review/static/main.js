// The page: who reads, the ways to work, the progress, and where keys go.

import { OneByOne } from "./one.js";
import { element, percent } from "./elements.js";
import { Review } from "./review.js";
import { ask, say } from "./server.js";
import { Sweep } from "./sweep.js";
import { Training } from "./training.js";

const byId = (id) => document.getElementById(id);
const NOTE = 4000; // milliseconds that a note stays
const review = new Review();
const ways = new Map(); // name -> { title, open(root, review) -> way }
let now = null; // the way at work: key(event), undone(images), stop(), keys

export const page = {
  review,
  addWay(name, title, open, { first = false } = {}) {
    const others = first ? [...ways] : [];
    if (first) ways.clear();
    ways.set(name, { title, open });
    for (const [other, way] of others) ways.set(other, way);
    drawWays();
  },
  go,
};

async function begin() {
  await review.begin();
  if (review.sweeps) page.addWay("sweep", "Sweep", (root, rest) => new Sweep(root, review, rest));
  page.addWay("one", "One by one", (root) => new OneByOne(root, review));
  for (const script of byId("review").dataset.scripts.split(" ").filter(Boolean)) {
    await (await import(`./${script}`)).begin(page);
  }
  review.addEventListener("progress", drawProgress);
  review.addEventListener("reader", drawReader);
  review.addEventListener("gone", ({ detail }) => showGone(detail));
  review.addEventListener("back", () => { byId("gone").hidden = true; });
  review.addEventListener("refused", ({ detail }) => showRefused(detail));
  review.addEventListener("renewed", ({ detail }) => showRenewed(detail));
  review.addEventListener("note", ({ detail }) => showNote(detail));
  byId("undo").onclick = undo;
  byId("reader").onclick = askReader;
  byId("keys").onclick = showKeys;
  byId("bring").onclick = showPlan;
  if (byId("train")) page.training = new Training(review);
  document.addEventListener("click", leaveButton, true);
  document.addEventListener("keydown", onKey);
  window.addEventListener("hashchange", () => go(location.hash.slice(1)));
  drawProgress();
  drawReader();
  if (!review.reader) await askReader();
  review.news();
  for (const words of await review.outbox.stranded()) warn(words);
  go(location.hash.slice(1) || [...ways.keys()][0]);
}

function go(address) {
  const [name, ...rest] = address.split("/");
  const chosen = ways.has(name) ? name : [...ways.keys()][0];
  now?.stop?.();
  byId("work").replaceChildren();
  byId("work").className = chosen;
  now = ways.get(chosen).open(byId("work"), rest.map(decodeURIComponent));
  page.chosen = chosen;
  if (location.hash.slice(1) !== address) history.replaceState(null, "", `#${address || chosen}`);
  drawWays();
}

function drawWays() {
  byId("ways").replaceChildren(...[...ways].map(([name, { title }]) => element("button", {
    type: "button", role: "tab", "aria-selected": String(name === page.chosen), onclick: () => go(name),
  }, title)));
}

function drawProgress() {
  const { total, done, compared, agreed, differing, readers } = review.progress;
  const own = readers.find((one) => one.name === review.reader);
  const others = readers.filter((one) => one.name !== review.reader && (one.here || one.done));
  const words = [
    `${done.toLocaleString()} of ${total.toLocaleString()} judged, ${(total - done).toLocaleString()} left`,
    compared && !review.invents ? (review.sweeps ? `the model is right in ${percent(agreed / compared)} of these` : `the proposed label is right in ${percent(agreed / compared)} of these`) : "",
    own?.a_minute ? `you: ${Math.round(own.a_minute)} a minute` : "",
    differing ? `readers differ on ${differing} (One by one, order: where readers differ)` : "",
    ...others.map((one) => `${one.name}${one.here ? " (here)" : ""}: ${one.done}`),
    review.outbox.size ? `${review.outbox.size} on their way` : "",
  ];
  byId("progress").replaceChildren(
    element("progress", { max: Math.max(total, 1), value: done, "aria-label": "judged" }),
    element("span", { dir: "auto" }, words.filter(Boolean).join(" · ")),
    element("span", { class: "accuracy", dir: "auto" }, review.progress.accuracy),
  );
}

function drawReader() {
  byId("reader").textContent = review.reader || "Who?";
  drawProgress();
}

function askReader() {
  const who = byId("who");
  const field = who.querySelector("input");
  field.value = review.reader || review.offered;
  who.showModal();
  field.select();
  return new Promise((resolve) => {
    who.addEventListener("close", () => {
      review.reader = field.value.trim() || review.offered;
      resolve();
    }, { once: true });
  });
}

function showGone(words) {
  const { size } = review.outbox;
  const kept = size ? ` ${size === 1 ? "1 click is" : `${size} clicks are`} kept here and will be sent.` : "";
  byId("gone").textContent = words
    ? `The server cannot keep judgements: ${sentence(words)}${kept}`
    : `The server at ${location.host} is gone. Start \`nightshift review\` again: at the same address, this page goes on by itself.${kept}`;
  byId("gone").hidden = false;
}

const sentence = (words) => (/[.!?…]$/.test(words) ? words : `${words}.`);

// What stays until the reader has seen it.
function warn(words) {
  if ([...byId("warnings").children].some((one) => one.firstChild.textContent === words)) return;
  const line = element("p", { dir: "auto" }, element("span", {}, words), " ", element("button", { type: "button", onclick: () => line.remove() }, "Close"));
  byId("warnings").append(line);
}

function showRefused(clicks) {
  const [{ why, label }] = clicks;
  const what = clicks.length === 1 ? "One click is not kept" : `${clicks.length} clicks are not kept`;
  warn(`${what}${label ? ` (${label.length > 40 ? `${label.slice(0, 40)}…` : label})` : ""}: ${sentence(why)}`);
}

// The images are others now. isOld: the server still has those of before.
function showRenewed(isOld) {
  warn(isOld
    ? "This night was run again, so these are the images and answers of before. What you judge is kept. For those of now end `nightshift review` with Ctrl-C, run it again, and load this page again."
    : "This night was run again: load this page again to see its images and answers of now.");
}

// A button that was clicked with a pointer gives the keys back to the page: Enter shall not press it again.
function leaveButton(event) {
  if (event.detail) event.target.closest?.("#review button")?.blur();
}

function showNote(words) {
  byId("note").textContent = words;
  byId("note").hidden = false;
  clearTimeout(showNote.timer);
  showNote.timer = setTimeout(() => { byId("note").hidden = true; }, NOTE);
}

function undo() {
  const images = review.undo();
  if (images.length) now?.undone?.(images);
  else review.note("There is nothing to take back.");
}

function showKeys() {
  const rows = [...(now?.keys ?? []), ["Ctrl+Z", "undo"], ["?", "these keys"]];
  byId("help-keys").replaceChildren(element("dl", {}, ...rows.flatMap(([key, what]) => [
    element("dt", {}, ...key.split(" ").map((one) => element("kbd", {}, one))), element("dd", {}, what),
  ])));
  byId("help").showModal();
}

// What bringing the judged images into data/raw would do; and, when the person agrees, the deed.
async function showPlan() {
  const [dialog, lines, agree] = [byId("plan"), byId("plan-lines"), byId("plan-agree")];
  const show = (words) => lines.replaceChildren(...words.map((line) => element("li", { dir: "auto" }, line)));
  show(["looking …"]);
  agree.hidden = true;
  page.training?.offer(false);
  dialog.showModal();
  try {
    const { plan, lines: words, empty } = await ask("api/import");
    show(words);
    agree.hidden = empty;
    agree.disabled = false;
    agree.onclick = async () => {
      agree.disabled = true;
      try {
        show((await say("api/import", { plan })).lines);
        page.training?.offer();
      } catch (error) { show([error.message]); }
      agree.hidden = true;
    };
  } catch (error) {
    show([error.message]);
  }
}

function onKey(event) {
  if (document.querySelector("dialog[open]")) return;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") {
    event.preventDefault();
    undo();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "?" && event.target.tagName !== "INPUT") {
    showKeys();
    return;
  }
  if (now?.key?.(event)) event.preventDefault();
}

begin();
