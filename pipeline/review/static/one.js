// One by one: a large picture, the candidates, and what helps to judge.

import { Chooser } from "./chooser.js";
import { element, percent, picture, thumbnail, verdictWords } from "./elements.js";
import { Light } from "./light.js";
import { ask, Refused, tab } from "./server.js";
import { Viewer } from "./viewer.js";

const AHEAD = 8; // images to take; the next ones are loaded meanwhile
const ORDERS = { "": "what teaches most", random: "random draw", differ: "where readers differ" };
const WHY = { // words of the column `why`, explained
  outlier: "outlier: unlike the training images, so the confidence means little",
  "low confidence": "low confidence: at such confidence the model is wrong too often",
};
const LOADED = 3; // pictures to load before they are wanted

export class OneByOne {
  constructor(root, review) {
    this.review = review;
    this.before = []; // images that were shown, the last one last
    this.after = []; // images that the reader has come back from
    this.skipped = new Set();
    this.only = "";
    const view = element("div", { class: "view" });
    this.side = element("div", { class: "side" });
    root.append(view, this.side);
    this.viewer = new Viewer(view);
    this.words = element("div", { class: "words" });
    this.answers = element("div", { class: "answers" });
    this.moves = element("div", { class: "moves" },
      element("button", { type: "button", onclick: () => this.back() }, element("kbd", {}, "←"), "back"),
      element("button", { type: "button", onclick: () => this.next() }, element("kbd", {}, "→"), "skip"));
    this.order = element("select", { "aria-label": "order", onchange: () => this.reorder(this.order.value) });
    this.moves.append(element("label", { class: "order" }, "order: ", this.order));
    this.looks = element("div", { class: "looks" },
      element("button", { type: "button", onclick: () => this.viewer.explain() }, element("kbd", {}, "Space"), "what the model looked at"));
    this.beside = element("div", { class: "beside" });
    this.side.append(this.words, this.answers, this.moves, this.looks, this.beside);
    this.light = new Light(this.side, this.viewer);
    this.chooser = new Chooser(this.answers, review, (what) => this.judge(what));
    this.onVerdicts = ({ detail }) => { if (this.image && detail.includes(this.image.sha256)) this.draw(); };
    review.addEventListener("verdicts", this.onVerdicts);
    this.again = () => { if (!this.image && !this.looking) this.next(); };
    this.gone = () => { if (!this.image) this.draw(); };
    for (const name of ["restarted", "back"]) review.addEventListener(name, this.again);
    review.addEventListener("gone", this.gone);
    this.offer = () => this.drawOrders();
    review.addEventListener("progress", this.offer);
    this.drawOrders();
    this.next();
  }

  keys = [
    ["Enter", "the proposed label"], ["1 … 9", "this label"], ["a … z", "find a label by its first letters, then Enter"],
    ["0", "cannot tell"], ["Delete", "reject: shows none of the classes"], ["←", "back to the one before"], ["→", "skip"],
    ["Space", "what the model looked at"], ["+ -", "zoom, also by wheel or pinch"], ["=", "fit"], ["↑ ↓ Shift+← Shift+→", "move the picture"],
  ];

  stop() {
    this.review.removeEventListener("verdicts", this.onVerdicts);
    for (const name of ["restarted", "back"]) this.review.removeEventListener(name, this.again);
    this.review.removeEventListener("gone", this.gone);
    this.review.removeEventListener("progress", this.offer);
  }

  // The orders that there are for these images; where readers differ is one as long as they do.
  drawOrders() {
    const there = { "": true, random: this.review.draws, differ: this.only === "differ" || this.review.progress.differing };
    const names = Object.keys(ORDERS).filter((name) => there[name]);
    this.order.parentElement.hidden = names.length < 2;
    if (names.length !== this.order.options.length) this.order.replaceChildren(...names.map((value) => element("option", { value }, ORDERS[value])));
    this.order.value = this.only;
  }

  reorder(only) {
    [this.only, this.coming, this.taking, this.after, this.image] = [only, [], null, [], null];
    this.skipped.clear();
    this.order.blur();
    this.next();
  }

  async next() {
    if (this.image) {
      this.before.push(this.image);
      if (this.only === "differ" || !this.review.verdicts.get(this.image.sha256)) this.skipped.add(this.image.sha256);
    }
    if (this.after.length) {
      this.show(this.after.pop());
      return;
    }
    this.looking = true;
    let images = this.ready(this.coming ?? []);
    if (!images.length) images = this.ready(await (this.taking ?? this.take()));
    if (!images.length) images = this.ready(await this.take());
    if (!images.length && this.skipped.size && this.only !== "differ") { // all others are done: what was skipped comes again
      this.skipped.clear();
      images = this.ready(await this.take());
    }
    this.looking = false;
    this.coming = images.slice(1);
    this.show(images[0] ?? null);
    if (this.image) this.prepare();
  }

  // Take further images and load their pictures, while the reader looks at this one.
  async prepare() {
    if (this.coming.length <= AHEAD / 2 && !this.taking) {
      this.taking = this.take();
      const [{ only }, found] = [this, await this.taking];
      if (only !== this.only) return;
      this.taking = null;
      this.coming = this.ready(found).filter((one) => one.sha256 !== this.image?.sha256);
    }
    for (const one of this.coming.slice(0, LOADED)) new Image().src = picture(one.sha256);
  }

  async take() {
    try {
      const skip = [...this.skipped].slice(-100).join(" ");
      return (await ask("api/next", { page: tab, reader: this.review.reader, count: AHEAD, skip, only: this.only })).images;
    } catch (error) {
      this.review.lost(error instanceof Refused ? error.message : "");
      return [];
    }
  }

  ready(images) {
    return images.filter((one) => (this.only === "differ" || !this.review.verdicts.get(one.sha256)) && !this.skipped.has(one.sha256));
  }

  back() {
    const last = this.before.pop();
    if (!last) return;
    if (this.image) this.after.push(this.image);
    this.show(last);
  }

  async undone([sha256]) {
    const there = [...this.before, ...this.after].find((one) => one.sha256 === sha256);
    this.before = this.before.filter((one) => one.sha256 !== sha256);
    if (this.image && this.image.sha256 !== sha256) this.after.push(this.image);
    this.skipped.delete(sha256);
    this.show(there ?? await ask("api/image", { sha256 }));
  }

  show(image) {
    this.image = image;
    this.since = performance.now();
    this.side.parentElement?.classList.toggle("empty", !image);
    if (image) {
      this.viewer.show(image.sha256, image.path);
      this.compare(image);
    }
    this.draw();
  }

  // Labelled images to compare with.
  async compare(image) {
    this.beside.replaceChildren();
    this.light.show(null);
    let found;
    try { found = await ask("api/beside", { sha256: image.sha256 }); } catch { return; }
    if (image !== this.image) return;
    this.light.show(found.about);
    this.viewer.about(found.about);
    this.looks.hidden = !found.explains;
    if (!found.images.length) return;
    this.beside.replaceChildren(element("h3", {}, "Most similar training images"), element("p", { class: "legend" }, "distance 0: the same picture; 1: nothing in common"), element("div", { class: "pictures" },
      ...found.images.map((one) => element("figure", { class: one.label === image.proposed ? "" : "other", title: one.words },
        element("img", { src: thumbnail(one.sha256), alt: one.label, onerror: (event) => { event.target.style.visibility = "hidden"; } }),
        element("figcaption", { dir: "auto" }, element("b", {}, one.label), element("small", {}, one.words.split(":")[0]))))));
  }

  draw() {
    const { image } = this;
    if (!image) {
      const why = this.review.fault ? "The server cannot go on" : "The server is gone";
      this.words.replaceChildren(element("h2", {}, this.review.isGone ? why : this.only ? "None is left in this order" : "All images are judged"));
      return;
    }
    this.chooser.show(image);
    const verdict = this.review.verdicts.has(image.sha256) ? this.review.verdicts.get(image.sha256) : image.verdict;
    this.words.replaceChildren(
      element("p", { class: "path", dir: "auto" }, image.path),
      image.source === "test" ? element("p", { class: "doubt" }, "A test image. Correcting a wrong test label is allowed; it is recorded, and the next evaluation counts with it.") : "",
      image.label ? element("p", {}, "Its label now: ", element("b", { dir: "auto" }, image.label)) : "",
      image.proposed ? element("p", {}, image.source === "night" ? "The model says " : "Proposed: ", element("b", { dir: "auto" }, image.proposed),
        image.confidence === null ? "" : ` (${percent(image.confidence)})`) : "",
      image.label && image.proposed && image.label !== image.proposed ? element("p", {}, "Enter takes ", element("bdi", {}, image.proposed), `; ${this.chooser.digit(image.label)} keeps `, element("bdi", {}, image.label), ".") : "",
      image.why ? element("p", { class: "doubt" }, image.why.split("; ").map((one) => WHY[one] ?? one).join("; ")) : "",
      verdict?.kind === "differ" && image.said ? element("p", { dir: "auto" }, image.said.map((one) => `${one.reader}: ${verdictWords(one)}`).join(", ")) : "",
      verdict ? element("p", { class: "verdict-now", dir: "auto" }, `Judged: ${verdictWords(verdict)} (${verdict.readers.join(", ")})`) : "",
    );
  }

  judge(what) {
    if (!this.image) return;
    if (!this.viewer.isThere && !what.cannot_tell) {
      this.review.note(this.viewer.failed.hidden ? "The picture is not here yet." : "Nobody can judge what is not shown: → skips it, 0 says that you cannot tell.");
      return;
    }
    const seconds = (performance.now() - this.since) / 1000;
    this.review.judge([{ image: this.image, seconds, ...what }], what.label ?? (what.reject ? "rejected" : "cannot tell"));
    this.next();
  }

  key(event) {
    if (this.viewer.key(event)) return true;
    if (event.target.tagName === "INPUT") return false;
    if (event.key === "Enter" && event.target.tagName !== "BUTTON" && this.image?.proposed) this.judge({ label: this.image.proposed });
    else if (event.key === " " && event.target.tagName !== "BUTTON") this.viewer.explain();
    else if (event.key === "ArrowLeft") this.back();
    else if (event.key === "ArrowRight") this.next();
    else return this.chooser.key(event);
    return true;
  }
}
