// What the page knows: the labels, what is judged, how far it is. Its ways to work read it and judge through it.

import { Outbox } from "./outbox.js";
import { ask, of, Refused, tab } from "./server.js";

const NEWS = 2000; // milliseconds between two looks at what others do
const LONGEST = 600; // seconds at one image that count
const READER = "nightshift-reader";

export class Review extends EventTarget {
  async begin() {
    const found = await ask("api/session");
    of(found.key);
    this.labels = found.labels;
    this.sweeps = found.sweeps;
    this.invents = found.invents;
    this.draws = found.draws;
    this.progress = found.progress;
    this.offered = found.reader;
    this.verdicts = new Map(); // SHA-256 -> what is known, where it has changed since an answer told it
    this.done = []; // of this tab: what each action was, and whose, for undo
    this.epoch = found.epoch;
    this.edition = found.edition;
    this.since = 0;
    this.outbox = new Outbox(found.key, found.title);
    this.outbox.addEventListener("kept", ({ detail }) => this.learn(detail));
    this.outbox.addEventListener("failed", ({ detail }) => this.lost(detail));
    this.outbox.addEventListener("refused", ({ detail }) => this.refused(detail));
    setInterval(() => this.news(), NEWS);
  }

  // Of this tab: two people may have one browser. A new tab begins with the last one's.
  get reader() {
    let own = sessionStorage.getItem(READER);
    if (own === null) {
      own = this.lastReader;
      if (own) sessionStorage.setItem(READER, own);
    }
    return own;
  }

  get lastReader() {
    const found = document.cookie.split("; ").find((one) => one.startsWith(`${READER}=`));
    return found ? decodeURIComponent(found.slice(READER.length + 1)) : "";
  }

  set reader(name) {
    sessionStorage.setItem(READER, name);
    document.cookie = `${READER}=${encodeURIComponent(name)}; max-age=31536000; path=/; samesite=lax`;
    this.tell("reader");
  }

  // Judge images. said: [{ image, label } | { image, reject: true } | { image, cannot_tell: true }], each with the
  // seconds that it was looked at; image: has sha256, and may have `verdict`, what was known of it.
  judge(said, words) {
    if (!said.length) return;
    const clicks = said.map(({ image, seconds, ...what }) => ({
      click: crypto.randomUUID(), sha256: image.sha256, ...what,
      seconds: seconds === undefined ? null : Math.min(Math.max(seconds, 0), LONGEST),
    }));
    this.done.push({
      words, clicks, reader: this.reader,
      before: said.map(({ image }) => (this.verdicts.has(image.sha256) ? this.verdicts.get(image.sha256) : image.verdict ?? null)),
    });
    this.post(clicks, clicks.map((click) => verdictOf(click, this.reader)));
  }

  // verdicts: what is known of their images now; the server's answer says it better.
  post(clicks, verdicts) {
    clicks.forEach((click, index) => this.verdicts.set(click.sha256, verdicts[index]));
    this.outbox.push(this.reader, clicks);
    this.tell("verdicts", clicks.map((click) => click.sha256));
  }

  // Take this reader's last action back; returns its images, the first of which a way may show again. The server knows
  // what the reader had said of each before.
  undo() {
    const last = this.done.findLastIndex((one) => one.reader === this.reader);
    if (last < 0) return [];
    const [{ words, clicks, before }] = this.done.splice(last, 1);
    this.post(clicks.map(({ click, sha256 }) => ({ click: crypto.randomUUID(), sha256, withdrawn: true, undoes: click })), before);
    this.note(`Taken back: ${words}.`);
    return clicks.map((one) => one.sha256);
  }

  // Clicks that the server will never keep: they are not to be undone, and their images wait again.
  refused(clicks) {
    const names = new Set(clicks.map((one) => one.click));
    for (const one of clicks) if (!one.undoes) this.verdicts.delete(one.sha256);
    for (const one of this.done) {
      one.before = one.before.filter((_, index) => !names.has(one.clicks[index].click));
      one.clicks = one.clicks.filter(({ click }) => !names.has(click));
    }
    this.done = this.done.filter((one) => one.clicks.length);
    this.tell("refused", clicks);
    this.tell("verdicts", clicks.map((one) => one.sha256));
  }

  learn(found) {
    if (found.labels) this.labels = found.labels;
    this.progress = found.progress;
    const pending = new Set(this.outbox.waiting.map((one) => one.click.sha256));
    const changed = Object.keys(found.verdicts).filter((sha256) => !pending.has(sha256));
    for (const sha256 of changed) this.verdicts.set(sha256, found.verdicts[sha256]);
    if (this.isGone) {
      this.isGone = false;
      this.fault = "";
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
      if (found.renewed || found.edition !== this.edition) this.tell("renewed", found.renewed);
      if (isNew) this.tell("restarted");
      this.outbox.send();
    } catch (error) {
      this.lost(error instanceof Refused ? error.message : "");
    }
  }

  // words: of the server; empty where it does not answer.
  lost(words) {
    this.isGone = true;
    this.fault = words;
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
