// Sweep: all images that the model calls one label, the least certain first. The reader marks those that are wrong, and
// one key confirms the others that were on the screen. Only the tiles near the screen exist, so ten thousand scroll.

import { Chooser } from "./chooser.js";
import { element, percent, thumbnail, verdictWords } from "./elements.js";
import { ask } from "./server.js";
import { Viewer } from "./viewer.js";

const GAP = 8; // pixels between tiles
const CAPTION = 40; // pixels below a picture
const ASIDE = 1.5; // screens above and below that exist
const STILL = 120; // milliseconds without scrolling, after which what is on the screen counts as seen
const FILTERS = { "": "all", ok: "only ok", unsure: "only unsure" };

export class Sweep {
  constructor(root, review, [label] = []) {
    [this.root, this.review] = [root, review];
    [this.tiles, this.shown, this.marks, this.seen, this.drawn] = [[], [], new Map(), new Set(), new Map()];
    [this.focus, this.filter, this.withJudged] = [0, "", false];
    this.classes = element("div", { class: "classes", role: "tablist", "aria-label": "classes" });
    this.scroller = element("div", { class: "scroller", onscroll: () => this.scrolled() });
    this.grid = element("div", { class: "grid", role: "listbox", "aria-multiselectable": "true", tabindex: "0", "aria-label": "images" });
    this.empty = element("div", { class: "nothing", hidden: true });
    this.scroller.append(this.empty, this.grid);
    this.bar = element("div", { class: "sweepbar" });
    this.confirm = element("button", { type: "button", class: "main confirm", onclick: () => this.keep() });
    const answers = element("div", { class: "answers" });
    const filters = element("select", { "aria-label": "which", onchange: () => this.filtered(filters.value) },
      ...Object.entries(FILTERS).map(([value, words]) => element("option", { value }, words)));
    const judged = element("input", { type: "checkbox", onchange: () => { this.withJudged = judged.checked; this.choose(); } });
    this.bar.append(this.confirm, answers, element("div", { class: "which" }, filters, element("label", {}, judged, "judged ones too")));
    root.append(this.classes, this.scroller, this.bar);
    this.chooser = new Chooser(answers, review, (what) => this.mark(what));
    this.onVerdicts = ({ detail }) => this.changed(detail);
    this.onProgress = () => {
      this.drawClasses();
      this.drawEmpty();
    };
    this.onResize = () => this.lay();
    review.addEventListener("verdicts", this.onVerdicts);
    review.addEventListener("progress", this.onProgress);
    window.addEventListener("resize", this.onResize);
    this.open(label ?? this.largest());
  }

  keys = [
    ["Enter", "confirm all others that were on the screen"], ["← → ↑ ↓", "go from image to image"], ["Space", "it is wrong (or a click)"],
    ["1 … 9", "the marked image, or this one, is this label"], ["a … z", "find a label by its first letters, then Enter"],
    ["0", "cannot tell"], ["Delete", "reject: shows none of the classes"], ["+", "large (or a double click)"], ["Esc", "take the marks away"],
  ];

  stop() {
    this.review.removeEventListener("verdicts", this.onVerdicts);
    this.review.removeEventListener("progress", this.onProgress);
    window.removeEventListener("resize", this.onResize);
    this.closeLarge();
  }

  largest() {
    const left = Object.entries(this.review.progress.left).sort((one, other) => other[1] - one[1]);
    return left[0]?.[0] ?? this.review.labels[0];
  }

  async open(label) {
    this.label = label;
    history.replaceState(null, "", `#sweep/${encodeURIComponent(label)}`);
    this.marks.clear();
    this.drawClasses();
    const { tiles } = await ask("api/tiles", { label });
    if (label !== this.label) return;
    this.tiles = tiles;
    this.by = new Map(tiles.map((one) => [one.s, one]));
    this.chooser.show(null);
    this.since = performance.now();
    this.choose();
  }

  filtered(value) {
    this.filter = value;
    this.choose();
  }

  verdict(tile) { return this.review.verdicts.has(tile.s) ? this.review.verdicts.get(tile.s) : tile.v; }

  // Which tiles there are, and where the first is.
  choose(top = 0) {
    this.shown = this.tiles.filter((one) => (this.withJudged || !this.verdict(one)) && (!this.filter || (this.filter === "unsure") === one.u));
    this.seen = new Set();
    this.focus = Math.min(this.focus, Math.max(this.shown.length - 1, 0));
    for (const made of this.drawn.values()) made.remove();
    this.drawn.clear();
    this.lay();
    this.scroller.scrollTop = top;
    this.scrolled();
  }

  lay() {
    const width = this.scroller.clientWidth;
    const least = width < 500 ? 104 : 150;
    this.columns = Math.max(1, Math.floor((width + GAP) / (least + GAP)));
    this.side = Math.floor((width - (this.columns - 1) * GAP) / this.columns);
    this.row = this.side + CAPTION + GAP;
    const rows = Math.ceil(this.shown.length / this.columns);
    this.grid.style.height = `${rows * this.row}px`;
    for (const [index, made] of this.drawn) this.place(made, index);
    this.draw();
  }

  place(made, index) {
    const [row, column] = [Math.floor(index / this.columns), index % this.columns];
    made.style.cssText = `width:${this.side}px;height:${this.row - GAP}px;transform:translate(${column * (this.side + GAP)}px,${row * this.row}px)`;
  }

  scrolled() {
    this.draw();
    clearTimeout(this.still);
    this.still = setTimeout(() => this.look(), STILL);
  }

  draw() {
    const height = this.scroller.clientHeight;
    const from = Math.max(0, Math.floor((this.scroller.scrollTop - ASIDE * height) / this.row)) * this.columns;
    const to = Math.min(this.shown.length, Math.ceil((this.scroller.scrollTop + (1 + ASIDE) * height) / this.row) * this.columns);
    for (const [index, made] of this.drawn) {
      if (index >= from && index < to) continue;
      made.remove();
      this.drawn.delete(index);
    }
    for (let index = from; index < to; index += 1) {
      if (!this.drawn.has(index)) this.drawn.set(index, this.make(index));
    }
    this.drawEmpty();
    this.drawConfirm();
  }

  drawEmpty() {
    this.empty.hidden = this.shown.length > 0;
    if (this.shown.length) return;
    const next = this.largest();
    const left = this.review.progress.left[next] ?? 0;
    const words = !this.tiles.length ? "The model calls no image so." : this.filter ? "None of these is left." : "All of these are judged.";
    this.empty.replaceChildren(element("p", {}, words), left && next !== this.label
      ? element("button", { type: "button", class: "main", onclick: () => this.open(next) }, "go on with ", element("bdi", {}, next), ` (${left.toLocaleString()} left)`) : "");
  }

  make(index) {
    const tile = this.shown[index];
    const picture = element("img", { src: thumbnail(tile.s), alt: tile.p, draggable: "false", onload: () => this.look(), onerror: () => made.classList.add("failed") });
    const made = element("div", { class: "tile", role: "option", id: `t${index}` },
      picture, element("button", { type: "button", class: "enlarge", title: "large (+)", tabindex: "-1", onclick: (event) => { event.stopPropagation(); this.large(index); } }, "⤢"),
      element("div", { class: "caption", dir: "auto" }));
    made.onclick = () => { this.focusOn(index); this.toggle(tile); };
    made.ondblclick = () => this.large(index);
    this.place(made, index);
    this.fill(made, index);
    this.grid.append(made);
    return made;
  }

  fill(made, index) {
    const tile = this.shown[index];
    const mark = this.marks.get(tile.s);
    const verdict = this.verdict(tile);
    made.classList.toggle("wrong", Boolean(mark));
    made.classList.toggle("judged", Boolean(verdict) && !mark);
    made.classList.toggle("unsure", tile.u);
    made.classList.toggle("focused", index === this.focus);
    made.setAttribute("aria-selected", String(Boolean(mark)));
    const words = mark ? (mark.label ? `→ ${mark.label}` : (mark.reject ? "reject" : mark.cannot_tell ? "cannot tell" : "wrong: which label?"))
      : verdict ? verdictWords(verdict) : "";
    made.lastChild.replaceChildren(
      element("b", { class: "said" }, words || `${percent(tile.c)}${tile.u ? " unsure" : ""}`), element("small", { title: tile.p }, words ? "" : tile.p.split("/").pop()));
  }

  refill(tiles) {
    const wanted = new Set(tiles);
    for (const [index, made] of this.drawn) if (wanted.has(this.shown[index])) this.fill(made, index);
    this.drawConfirm();
  }

  // What is on the screen, with its picture there, counts as seen.
  look() {
    const [top, bottom] = [this.scroller.scrollTop, this.scroller.scrollTop + this.scroller.clientHeight];
    for (const [index, made] of this.drawn) {
      const y = Math.floor(index / this.columns) * this.row;
      const { complete, naturalWidth } = made.firstChild;
      if (complete && naturalWidth && y + this.side / 2 > top && y + this.side / 2 < bottom) this.seen.add(this.shown[index].s);
    }
    this.drawConfirm();
  }

  get rest() { return this.shown.filter((one) => this.seen.has(one.s) && !this.marks.has(one.s) && !this.verdict(one)); }

  drawConfirm() {
    const [rest, wrong] = [this.rest.length, this.marks.size];
    this.confirm.disabled = !rest && !wrong;
    this.confirm.replaceChildren(element("kbd", {}, "Enter"), element("span", {}, `confirm ${rest} shown as `, element("bdi", {}, this.label ?? ""), wrong ? `, correct ${wrong}` : ""));
  }

  drawClasses() {
    const { left } = this.review.progress;
    const names = [...new Set([...this.review.labels.filter((one) => one in left || one === this.label), ...Object.keys(left), this.label])];
    this.classes.replaceChildren(...names.map((name) => element("button", {
      type: "button", role: "tab", "aria-selected": String(name === this.label), onclick: () => this.open(name),
    }, element("bdi", {}, name), element("small", {}, ` ${(left[name] ?? 0).toLocaleString()} left`))));
  }

  toggle(tile) {
    if (this.marks.delete(tile.s)) this.touched = null;
    else {
      this.marks.set(tile.s, tile.o ? { label: tile.o } : {});
      this.touched = tile;
    }
    this.refill([tile]);
  }

  // A label for the image that was marked last, or else for the one in focus.
  mark(what) {
    const tile = this.touched && this.marks.has(this.touched.s) ? this.touched : this.shown[this.focus];
    if (!tile) return;
    if (what.label === this.label) this.marks.delete(tile.s);
    else this.marks.set(tile.s, what);
    this.touched = null;
    this.refill([tile]);
    this.grid.focus({ preventScroll: true });
  }

  keep() {
    const rest = this.rest;
    const marked = this.tiles.filter((one) => this.marks.has(one.s));
    const open = marked.filter((one) => !Object.keys(this.marks.get(one.s)).length);
    const wrong = marked.filter((one) => !open.includes(one));
    const all = rest.length + wrong.length;
    const seconds = all ? (performance.now() - this.since) / 1000 / all : 0;
    const last = rest.at(-1);
    const next = last ? this.shown.slice(this.shown.indexOf(last) + 1).find((one) => !this.verdict(one)) : null;
    const said = [
      ...rest.map((tile) => ({ image: { sha256: tile.s }, label: this.label, seconds, swept: true })),
      ...wrong.map((tile) => ({ image: { sha256: tile.s }, ...this.marks.get(tile.s), seconds, swept: true })),
    ];
    if (!said.length) {
      this.review.note(open.length ? "Give the marked images a label first: press its digit, or type it." : "Nothing to confirm: no new image is on the screen.");
      return;
    }
    for (const tile of wrong) this.marks.delete(tile.s);
    this.review.judge(said, `${rest.length} ${this.label}${wrong.length ? `, ${wrong.length} corrected` : ""}`);
    this.review.note(`${rest.length} confirmed as ${this.label}${wrong.length ? `, ${wrong.length} corrected` : ""}. Ctrl+Z takes it back.`);
    this.since = performance.now();
    this.focus = 0;
    this.touched = null;
    this.choose();
    const place = next ? this.shown.indexOf(next) : 0;
    this.scroller.scrollTop = Math.floor(Math.max(place, 0) / this.columns) * this.row;
    this.focus = Math.max(place, 0);
    this.scrolled();
    if (open.length) this.review.note(`${open.length} marked images still need a label: press its digit, or type it.`);
  }

  changed(images) {
    const mine = images.filter((one) => this.by?.has(one));
    if (!mine.length) return;
    this.refill(mine.map((one) => this.by.get(one)));
  }

  undone() {
    this.choose(this.scroller.scrollTop);
  }

  focusOn(index) {
    const before = this.drawn.get(this.focus);
    this.focus = Math.min(Math.max(index, 0), this.shown.length - 1);
    before?.classList.remove("focused");
    const y = Math.floor(this.focus / this.columns) * this.row;
    if (y < this.scroller.scrollTop) this.scroller.scrollTop = y;
    if (y + this.row > this.scroller.scrollTop + this.scroller.clientHeight) this.scroller.scrollTop = y + this.row - this.scroller.clientHeight;
    this.draw();
    this.drawn.get(this.focus)?.classList.add("focused");
    this.grid.setAttribute("aria-activedescendant", `t${this.focus}`);
    if (this.viewer) this.viewer.show(this.shown[this.focus].s, this.shown[this.focus].p);
  }

  large(index) {
    this.focusOn(index);
    const tile = this.shown[this.focus];
    if (!tile) return;
    this.touched = null;
    this.closeLarge();
    this.overlay = element("div", { class: "overlay" }, element("button", { type: "button", class: "close", onclick: () => this.closeLarge() }, "close (Enter)"));
    this.viewer = new Viewer(this.overlay);
    this.root.append(this.overlay);
    this.viewer.show(tile.s, tile.p);
  }

  closeLarge() {
    this.overlay?.remove();
    this.overlay = this.viewer = null;
  }

  key(event) {
    if (event.target.tagName === "INPUT" && event.target.type !== "checkbox") return false;
    if (this.viewer && ["Escape", "Enter"].includes(event.key)) { // what it hides is never confirmed
      this.closeLarge();
      return true;
    }
    if (this.viewer?.key(event)) return true;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns, Home: -Infinity, End: Infinity };
    if (event.key in steps) {
      this.touched = null;
      this.focusOn(Math.min(Math.max(this.focus + steps[event.key], 0), this.shown.length - 1));
    } else if (event.key === "Enter" && !(event.target.tagName === "BUTTON" && event.target !== this.confirm)) this.keep();
    else if (event.key === " " && this.shown[this.focus]) this.toggle(this.shown[this.focus]);
    else if (event.key === "+") this.large(this.focus);
    else if (event.key === "Escape") {
      this.marks.clear();
      this.refill(this.shown);
    } else if (event.key === "PageDown" || event.key === "PageUp") {
      this.scroller.scrollTop += (event.key === "PageDown" ? 1 : -1) * Math.max(this.row, Math.floor(this.scroller.clientHeight / this.row) * this.row);
    } else return this.chooser.key(event);
    return true;
  }
}
