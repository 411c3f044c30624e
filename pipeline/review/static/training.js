// The training: what it will do, its start, how far it is, how it ended. The server knows; everybody sees the same.

import { element, withCode } from "./elements.js";
import { ask, say } from "./server.js";

const LOOK = 2000; // milliseconds between two looks
const SEEN = "nightshift-training-seen"; // the end of a training that this browser has put away
const CLASSES = { running: "", done: "good", refused: "doubt", failed: "bad", killed: "bad" };
const byId = (id) => document.getElementById(id);

export class Training {
  constructor(review) {
    [this.review, this.state, this.share, this.sawRunning, this.before] = [review, { kind: "none" }, 0, false, null];
    byId("train").onclick = () => this.open();
    byId("plan-train").onclick = () => {
      byId("plan").close();
      this.open();
    };
    byId("training-start").onclick = () => this.start();
    this.look();
    setInterval(() => this.look(), LOOK);
  }

  // After bringing in: the next step.
  offer(isThere = true) { byId("plan-train").hidden = !isThere; }

  async look() {
    try {
      this.show(await ask("api/training"));
    } catch { /* the page says elsewhere that the server is gone */ }
  }

  show(state) {
    const isNew = state.name !== this.state.name || state.kind !== this.state.kind;
    this.share = Math.max(isNew ? 0 : this.share, state.share ?? 0); // a bar does not go back
    this.state = state;
    if (state.kind === "running") this.sawRunning = true;
    else if (!this.sawRunning) this.before = state.name;
    byId("train").hidden = !state.labelled && state.kind === "none";
    this.drawStrip(isNew);
    if (byId("training-plan").open) {
      this.drawNow();
      if (isNew) this.plan();
    }
  }

  get isRunning() { return this.state.kind === "running"; }

  // The end of a training that a page began, or that has ended since this page is open, stays until it is put away.
  get isShown() {
    const { kind, name, of_page: ofPage } = this.state;
    const isNews = ofPage || (this.sawRunning && name !== this.before);
    return this.isRunning || (kind !== "none" && isNews && localStorage.getItem(SEEN) !== name);
  }

  drawStrip(isNew) {
    const strip = byId("training");
    strip.hidden = !this.isShown;
    if (strip.hidden) return;
    strip.className = CLASSES[this.state.kind];
    if (isNew || !this.words) {
      this.words = element("span", { dir: "auto", role: this.isRunning ? null : "status" });
      this.bar = element("progress", { max: 1, "aria-label": "training" });
      const away = element("button", { type: "button", onclick: () => this.putAway() }, "Close");
      strip.replaceChildren(this.isRunning ? this.bar : "", this.words, element("button", { type: "button", onclick: () => this.open() }, "Details"), this.isRunning ? "" : away);
    }
    this.words.textContent = this.state.headline;
    this.bar.value = this.share;
  }

  putAway() {
    localStorage.setItem(SEEN, this.state.name);
    byId("training").hidden = true;
  }

  open() {
    byId("training-plan").showModal();
    this.drawNow();
    this.plan();
  }

  // How it is, above the plan of another one.
  drawNow() {
    const { headline, lines, links, kind } = this.state;
    byId("training-now").replaceChildren(...(this.isRunning || this.isShown ? [element("div", { class: `verdict plain ${{ done: "", refused: "look", running: "now" }[kind] ?? "stop"}` },
      element("p", { dir: "auto" }, ...withCode(headline)),
      this.isRunning ? element("progress", { max: 1, value: this.share, "aria-label": "training" }) : "",
      ...lines.map((line) => element("p", { dir: "auto" }, ...withCode(line))),
      links.length ? element("p", { class: "reports" }, ...links.map(({ words, address }) => element("a", { href: address, target: "_blank", rel: "noopener" }, words))) : "",
    )] : []));
  }

  // What a training would do.
  async plan() {
    const [lines, start] = [byId("training-lines"), byId("training-start")];
    start.hidden = true;
    lines.replaceChildren();
    if (this.isRunning) return;
    lines.append(element("li", {}, "looking …"));
    try {
      const { lines: words, possible } = await ask("api/training/plan");
      if (this.isRunning) {
        lines.replaceChildren();
        return;
      }
      lines.replaceChildren(...words.map((line) => element("li", { dir: "auto" }, line)));
      [start.hidden, start.disabled] = [!possible, false];
      start.textContent = this.isShown ? "Train again" : "Train";
    } catch (error) {
      lines.replaceChildren(element("li", { class: "bad" }, error.message));
    }
  }

  async start() {
    byId("training-start").disabled = true;
    try {
      this.show(await say("api/training", { reader: this.review.reader }));
    } catch (error) {
      byId("training-lines").replaceChildren(element("li", { class: "bad" }, error.message));
      byId("training-start").hidden = true;
    }
  }
}
