// Clicks on their way to the server. Each is in the browser's own store until the server says that it is on the disk,
// so that none is lost when the server, the page or the browser ends. The server knows a repeated click by its name.
// A click that it refuses is told of and let go; the others are sent.

import { Refused, say, tab } from "./server.js";

const PAUSES = [300, 700, 1500, 3000]; // milliseconds between two attempts
const ALL = "nightshift-clicks ";
const ELSEWHERE = "nightshift-clicks-"; // and a port: a cookie, which the pages of all ports see
const MOST = 500; // clicks at once

export class Outbox extends EventTarget {
  // key: of the review; title: for a person, where its clicks wait while another one is open.
  constructor(key, title) {
    super();
    [this.of, this.title, this.prefix] = [key, title, `${ALL}${key} `];
    this.key = this.prefix + tab;
    this.waiting = read(this.key);
    [this.failed, this.most, this.sending] = [0, MOST, false];
    navigator.locks?.request(this.key, () => new Promise(() => {})); // held while this tab lives
    this.adopt();
    this.send();
  }

  get size() { return this.waiting.length; }

  push(reader, clicks) {
    this.waiting.push(...clicks.map((click) => ({ reader, click, title: this.title })));
    this.store();
    this.send();
  }

  // Clicks of tabs that were closed before the server had them.
  async adopt() {
    for (const key of Object.keys(localStorage)) {
      if (!key.startsWith(this.prefix) || key === this.key || !navigator.locks) continue;
      await navigator.locks.request(key, { ifAvailable: true }, (lock) => {
        if (!lock) return;
        this.waiting.push(...read(key));
        localStorage.removeItem(key);
        this.store();
        this.send();
      });
    }
  }

  store() {
    if (this.waiting.length) localStorage.setItem(this.key, JSON.stringify(this.waiting));
    else localStorage.removeItem(this.key);
    const count = Object.keys(localStorage).filter((key) => key.startsWith(this.prefix)).reduce((sum, key) => sum + read(key).length, 0);
    document.cookie = `${ELSEWHERE}${location.port}=${count}.${this.of}; max-age=${count ? 2592000 : 0}; path=/; samesite=lax`;
  }

  // Clicks that this page cannot send, in sentences: of other reviews at this address, of this review at others.
  async stranded() {
    const found = [];
    for (const key of Object.keys(localStorage)) {
      if (!key.startsWith(ALL) || key.startsWith(this.prefix)) continue;
      await navigator.locks?.request(key, { ifAvailable: true }, (lock) => {
        const clicks = read(key);
        if (lock && clicks.length) found.push(`${waits(clicks.length)} in this browser for another review, “${clicks[0].title}”: open that one again, and they are sent.`);
      });
    }
    for (const cookie of document.cookie.split("; ")) {
      const [, port, count, of] = cookie.match(/^nightshift-clicks-(\d+)=(\d+)\.(\w+)$/) ?? [];
      if (port && port !== location.port && of === this.of) {
        found.push(`${waits(Number(count))} at the address of before, ${location.hostname}:${port}: end \`nightshift review\` with Ctrl-C and run it again with \`--port ${port}\`, and they are sent.`);
      }
    }
    return found;
  }

  async send() {
    if (this.sending || !this.waiting.length) return;
    this.sending = true;
    const { reader } = this.waiting[0];
    const end = this.waiting.findIndex((one) => one.reader !== reader);
    const now = this.waiting.slice(0, Math.min(end < 0 ? Infinity : end, this.most));
    let pause = 0;
    try {
      const found = await say("api/judgements", { reader, clicks: now.map((one) => one.click) });
      const gone = new Set([...found.kept, ...found.refused.map((one) => one.click)]);
      const later = now.filter((one) => !gone.has(one.click.click)); // whose images the server does not know yet
      this.waiting.splice(0, now.length, ...later);
      [this.failed, this.most] = [0, MOST];
      if (later.length) pause = PAUSES.at(-1);
      this.store();
      this.refuse(now, found.refused);
      this.dispatchEvent(new CustomEvent("kept", { detail: found }));
    } catch (error) {
      if (error instanceof Refused && error.status === 422) { // one of them is not a click: alone, the others are kept
        this.most = 1;
        if (now.length === 1) {
          this.waiting.splice(0, 1);
          this.store();
          this.refuse(now, [{ click: now[0].click.click, why: error.message }]);
        }
      } else {
        this.failed += 1;
        pause = PAUSES[Math.min(this.failed, PAUSES.length) - 1];
        this.dispatchEvent(new CustomEvent("failed", { detail: error instanceof Refused ? error.message : "" }));
      }
    }
    this.sending = false;
    if (this.waiting.length) setTimeout(() => this.send(), pause);
  }

  refuse(sent, refused) {
    const by = new Map(sent.map(({ click }) => [click.click, click]));
    if (refused.length) this.dispatchEvent(new CustomEvent("refused", { detail: refused.map(({ click, why }) => ({ ...by.get(click), why })) }));
  }
}

const waits = (count) => (count === 1 ? "1 click waits" : `${count} clicks wait`);

function read(key) {
  try { return JSON.parse(localStorage.getItem(key)) ?? []; } catch { return []; }
}
