// Clicks on their way to the server. Each is in the browser's own store until the server says that it is on the disk,
// so that none is lost when the server, the page or the browser ends. The server knows a repeated click by its name.

import { Refused, say, tab } from "./server.js";

const PAUSES = [300, 700, 1500, 3000]; // milliseconds between two attempts

export class Outbox extends EventTarget {
  constructor(name) {
    super();
    this.prefix = `nightshift-clicks ${name} `;
    this.key = this.prefix + tab;
    this.waiting = read(this.key);
    this.failed = 0;
    this.sending = false;
    navigator.locks?.request(this.key, () => new Promise(() => {})); // held while this tab lives
    this.adopt();
    this.send();
  }

  get size() { return this.waiting.length; }

  push(reader, clicks) {
    this.waiting.push(...clicks.map((click) => ({ reader, click })));
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
        this.store();
        localStorage.removeItem(key);
        this.send();
      });
    }
  }

  store() {
    if (this.waiting.length) localStorage.setItem(this.key, JSON.stringify(this.waiting));
    else localStorage.removeItem(this.key);
  }

  async send() {
    if (this.sending || !this.waiting.length) return;
    this.sending = true;
    const { reader } = this.waiting[0];
    const end = this.waiting.findIndex((one) => one.reader !== reader);
    const now = this.waiting.slice(0, Math.min(end < 0 ? Infinity : end, 500));
    try {
      const found = await say("api/judgements", { reader, clicks: now.map((one) => one.click) });
      this.waiting.splice(0, now.length);
      this.store();
      this.failed = 0;
      this.dispatchEvent(new CustomEvent("kept", { detail: found }));
    } catch (error) {
      this.failed += 1;
      this.dispatchEvent(new CustomEvent("failed", { detail: error instanceof Refused ? error.message : "" }));
    }
    this.sending = false;
    if (this.waiting.length) setTimeout(() => this.send(), this.failed ? PAUSES[Math.min(this.failed, PAUSES.length) - 1] : 0);
  }
}

function read(key) {
  try { return JSON.parse(localStorage.getItem(key)) ?? []; } catch { return []; }
}
