// Choose a label: by a button, by its digit, or by typing its first letters.

import { element, percent } from "./elements.js";

const DIGITS = 9;
const FOUND = 8; // labels below what is typed

export class Chooser {
  // pick(what): { label } or { reject: true } or { cannot_tell: true }
  constructor(root, review, pick) {
    [this.review, this.pick, this.recent] = [review, pick, []];
    this.buttons = element("div", { class: "labels" });
    this.field = element("input", {
      class: "find", placeholder: "type a label", dir: "auto", autocomplete: "off", "aria-label": "label", spellcheck: "false",
      oninput: () => this.find(), onkeydown: (event) => this.typed(event),
    });
    this.found = element("div", { class: "found", role: "listbox" });
    this.others = element("div", { class: "others" },
      element("button", { type: "button", onclick: () => pick({ cannot_tell: true }) }, element("kbd", {}, "0"), "cannot tell"),
      element("button", { type: "button", onclick: () => pick({ reject: true }) }, element("kbd", {}, "Del"), "reject"));
    root.append(this.buttons, this.field, this.found, this.others);
    this.show(null);
  }

  // image: whose candidates are marked and, where there are more labels than digits, come first.
  show(image) {
    this.image = image;
    this.field.value = "";
    this.find();
    const confidences = new Map((image?.candidates ?? []).map((one) => [one.label, one.confidence]));
    if (image?.proposed && !confidences.has(image.proposed)) confidences.set(image.proposed, image.confidence);
    const all = this.review.labels;
    const first = all.length <= DIGITS ? all : [...new Set([...confidences.keys(), ...this.recent, ...all])];
    this.offered = first.slice(0, DIGITS);
    this.buttons.replaceChildren(...this.offered.map((label, index) => element("button", {
      type: "button", class: label === image?.proposed ? "label proposed" : "label", onclick: () => this.choose(label),
      style: confidences.get(label) != null ? `--share: ${confidences.get(label)}` : null,
    },
    element("kbd", {}, String(index + 1)), element("span", { class: "name", dir: "auto" }, label),
    element("small", {}, percent(confidences.get(label))))));
  }

  choose(label) {
    this.recent = [label, ...this.recent.filter((one) => one !== label)].slice(0, DIGITS);
    this.field.value = "";
    this.find();
    this.field.blur();
    this.pick({ label });
  }

  // A key of the page; whether it was one of ours.
  key(event) {
    if (event.target === this.field) return false;
    if (/^[1-9]$/.test(event.key)) {
      const label = this.offered[Number(event.key) - 1];
      if (label) this.choose(label);
      return Boolean(label);
    }
    if (event.key === "0") this.pick({ cannot_tell: true });
    else if (event.key === "Delete" || event.key === "Backspace") this.pick({ reject: true });
    else {
      if (/^\p{L}$/u.test(event.key)) this.field.focus(); // the letter itself then goes into the field
      return false;
    }
    return true;
  }

  typed(event) {
    if (event.key === "Escape") {
      this.field.value = "";
      this.find();
      this.field.blur();
    } else if (event.key === "Enter" && !event.isComposing && this.matches.length) this.choose(this.matches[0]);
    else if (event.key === "Enter" && !this.field.value) this.field.blur();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  find() {
    const typed = fold(this.field.value);
    const same = this.review.labels.filter((label) => typed && fold(label).startsWith(typed));
    const inside = this.review.labels.filter((label) => typed && !same.includes(label) && fold(label).includes(typed));
    this.matches = [...same, ...inside].slice(0, FOUND);
    const own = this.field.value.trim();
    const isNew = own && !this.review.labels.some((label) => fold(label) === fold(own));
    this.found.replaceChildren(
      ...this.matches.map((label, index) => element("button", {
        type: "button", role: "option", "aria-selected": String(index === 0), dir: "auto", onclick: () => this.choose(label),
      }, label)),
      ...(isNew ? [element("button", { type: "button", class: "new", dir: "auto", onclick: () => this.choose(own) }, `new label “${own}”`)] : []),
    );
    if (isNew && this.review.invents && !this.matches.length) this.matches = [own];
  }
}

function fold(text) { return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().trim(); }
