// One by one: a large picture, the candidates, and what helps to judge.

import { Chooser } from "./chooser.js";
import { element, percent, picture, thumbnail, verdictWords } from "./elements.js";
import { Light } from "./light.js";
import { ask, Refused, tab } from "./server.js";
import { Viewer } from "./viewer.js";

const AHEAD = 8; // images to take; the next ones are loaded meanwhile
const LOADED = 3; // pictures to load before they are wanted

export class OneByOne {
  constructor(root, review) {
    this.review = review;
    this.before = []; // images that were shown, the last one last
    this.after = []; // images that the reader has come back from
    this.skipped = new Set();
    const view = element("div", { class: "view" });
    this.side = element("div", { class: "side" });
    root.append(view, this.side);
    this.viewer = new Viewer(view);
    this.words = element("div", { class: "words" });
    this.answers = element("div", { class: "answers" });
    this.moves = element("div", { class: "moves" },
      element("button", { type: "button", onclick: () => this.back() }, element("kbd", {}, "←"), "back"),
      element("button", { type: "button", onclick: () => this.next() }, element("kbd", {}, "→"), "skip"));
    this.looks = element("div", { class: "looks" },
      element("button", { type: "button", onclick: () => this.viewer.explain() }, element("kbd", {}, "Space"), "what it looked at"));
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
    this.next();
  }

  keys = [
    ["Enter", "the model is right"], ["1 … 9", "this label"], ["a … z", "find a label by its first letters, then Enter"],
    ["0", "cannot tell"], ["Delete", "reject: shows none of the classes"], ["←", "back to the one before"], ["→", "skip"],
    ["Space", "what the model looked at"], ["+ -", "zoom, also by wheel or pinch"], ["=", "fit"], ["↑ ↓ Shift+← Shift+→", "move the picture"],
  ];

  stop() {
    this.review.removeEventListener("verdicts", this.onVerdicts);
    for (const name of ["restarted", "back"]) this.review.removeEventListener(name, this.again);
    this.review.removeEventListener("gone", this.gone);
  }

  async next() {
    if (this.image) {
      this.before.push(this.image);
      if (!this.review.verdicts.get(this.image.sha256)) this.skipped.add(this.image.sha256);
    }
    if (this.after.length) {
      this.show(this.after.pop());
      return;
    }
    this.looking = true;
    let images = this.ready(this.coming ?? []);
    if (!images.length) images = this.ready(await (this.taking ?? this.take()));
    if (!images.length) images = this.ready(await this.take());
    if (!images.length && this.skipped.size) { // all others are done: what was skipped comes again
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
      const found = await this.taking;
      this.taking = null;
      this.coming = this.ready(found).filter((one) => one.sha256 !== this.image?.sha256);
    }
    for (const one of this.coming.slice(0, LOADED)) new Image().src = picture(one.sha256);
  }

  async take() {
    try {
      const skip = [...this.skipped].slice(-100).join(" ");
      return (await ask("api/next", { page: tab, reader: this.review.reader, count: AHEAD, skip })).images;
    } catch (error) {
      this.review.lost(error instanceof Refused ? error.message : "");
      return [];
    }
  }

  ready(images) {
    return images.filter((one) => !this.review.verdicts.get(one.sha256) && !this.skipped.has(one.sha256));
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
    this.looks.hidden = !found.explains;
    if (!found.images.length) return;
    this.beside.replaceChildren(element("h3", {}, "Most alike in training"), element("div", { class: "pictures" },
      ...found.images.map((one) => element("figure", { class: one.label === image.proposed ? "" : "other", title: one.words },
        element("img", { src: thumbnail(one.sha256), alt: one.label, onerror: (event) => { event.target.style.visibility = "hidden"; } }),
        element("figcaption", { dir: "auto" }, element("b", {}, one.label), element("small", {}, one.words.split(":")[0]))))));
  }

  draw() {
    const { image } = this;
    if (!image) {
      this.words.replaceChildren(element("h2", {}, !this.review.isGone ? "All images are judged" : this.review.fault ? "The server cannot go on" : "The server is gone"));
      return;
    }
    const verdict = this.review.verdicts.has(image.sha256) ? this.review.verdicts.get(image.sha256) : image.verdict;
    this.words.replaceChildren(
      element("p", { class: "path", dir: "auto" }, image.path),
      image.source === "test" ? element("p", { class: "doubt" }, "A test image. Correcting a wrong test label is allowed; it is recorded, and the next evaluation counts with it.") : "",
      image.label ? element("p", {}, "Its label now: ", element("b", { dir: "auto" }, image.label)) : "",
      image.proposed ? element("p", {}, image.source === "night" ? "The model says " : "Proposed: ", element("b", { dir: "auto" }, image.proposed),
        image.confidence === null ? "" : ` (${percent(image.confidence)})`) : "",
      image.why ? element("p", { class: "doubt" }, image.why) : "",
      verdict ? element("p", { class: "verdict-now", dir: "auto" }, `Judged: ${verdictWords(verdict)} (${verdict.readers.join(", ")})`) : "",
    );
    this.chooser.show(image);
  }

  judge(what) {
    if (!this.image) return;
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
