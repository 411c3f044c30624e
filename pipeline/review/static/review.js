// What the page knows: the labels, what is judged, how far it is. Its ways to work read it and judge through it.

import { Outbox } from "./outbox.js";
import { ask, tab } from "./server.js";

const NEWS = 2000; // milliseconds between two looks at what others do
const LONGEST = 600; // seconds at one image that count
const READER = "nightshift-reader";

export class Review extends EventTarget {
  async begin() {
    const found = await ask("api/session");
    this.labels = found.labels;
    this.sweeps = found.sweeps;
    this.invents = found.invents;
    this.progress = found.progress;
    this.offered = found.reader;
    this.verdicts = new Map(); // SHA-256 -> what is known, where it has changed since an answer told it
    this.done = []; // of this tab: what each action was, for undo
    this.epoch = found.epoch;
    this.since = 0;
    this.outbox = new Outbox(found.name);
    this.outbox.addEventListener("kept", ({ detail }) => this.learn(detail));
    this.outbox.addEventListener("failed", ({ detail }) => this.lost(detail));
    setInterval(() => this.news(), NEWS);
  }

  get reader() {
    const found = document.cookie.split("; ").find((one) => one.startsWith(`${READER}=`));
    return found ? decodeURIComponent(found.slice(READER.length + 1)) : "";
  }

  set reader(name) {
    document.cookie = `${READER}=${encodeURIComponent(name)}; max-age=31536000; path=/; samesite=lax`;
    this.tell("reader");
  }

  // Judge images. said: [{ image, label } | { image, reject: true } | { image, cannot_tell: true }], each with the
  // seconds that it was looked at; image: has sha256, and `mine`, what this reader had said before.
  judge(said, words) {
    if (!said.length) return;
    const clicks = said.map(({ image, seconds, ...what }) => ({
      click: crypto.randomUUID(), sha256: image.sha256, ...what,
      seconds: seconds === undefined ? null : Math.min(Math.max(seconds, 0), LONGEST),
    }));
    this.done.push({
      words, clicks, before: said.map(({ image }) => ({ sha256: image.sha256, mine: this.mine(image) })),
    });
    this.post(clicks);
  }

  // What this reader said last of an image, as a click; null: nothing.
  mine(image) {
    if (this.own?.has(image.sha256)) return this.own.get(image.sha256);
    const said = image.said?.find((one) => one.reader === this.reader);
    if (!said) return null;
    return { sha256: image.sha256, seconds: null, ...(said.kind === "label" ? { label: said.label } : { [said.kind]: true }) };
  }

  post(clicks) {
    this.own ??= new Map();
    for (const click of clicks) this.own.set(click.sha256, click.withdrawn ? null : click);
    for (const click of clicks) this.verdicts.set(click.sha256, verdictOf(click, this.reader));
    this.outbox.push(this.reader, clicks);
    this.tell("verdicts", clicks.map((click) => click.sha256));
  }

  // Take the last action back; returns its images, the first of which a way may show again.
  undo() {
    const last = this.done.pop();
    if (!last) return [];
    this.post(last.before.map(({ sha256, mine }) => (
      mine ? { ...mine, click: crypto.randomUUID() } : { click: crypto.randomUUID(), sha256, withdrawn: true }
    )));
    this.note(`Taken back: ${last.words}.`);
    return last.before.map((one) => one.sha256);
  }

  learn(found) {
    if (found.labels) this.labels = found.labels;
    this.progress = found.progress;
    const pending = new Set(this.outbox.waiting.map((one) => one.click.sha256));
    const changed = Object.keys(found.verdicts).filter((sha256) => !pending.has(sha256));
    for (const sha256 of changed) this.verdicts.set(sha256, found.verdicts[sha256]);
    if (this.isGone) {
      this.isGone = false;
      this.tell("back");
    }
    this.tell("progress");
    if (changed.length) this.tell("verdicts", changed);
  }

  async news() {
    if (!this.reader) return;
    try {
      const found = await ask("api/news", { page: tab, reader: this.reader, since: this.since, epoch: this.epoch });
      const isNew = found.epoch !== this.epoch; // the server was started again
      [this.epoch, this.since] = [found.epoch, found.since];
      this.learn(found);
      if (isNew) this.tell("restarted");
      this.outbox.send();
    } catch (error) {
      this.lost(error.message && error.name !== "TypeError" ? error.message : "");
    }
  }

  lost(words) {
    this.isGone = true;
    this.tell("gone", words);
  }

  note(words) { this.tell("note", words); }

  tell(what, detail) { this.dispatchEvent(new CustomEvent(what, { detail })); }
}

function verdictOf(click, reader) {
  if (click.withdrawn) return null;
  const kind = click.label ? "label" : click.reject ? "reject" : "cannot_tell";
  return { kind, label: click.label ?? "", readers: [reader] };
}
