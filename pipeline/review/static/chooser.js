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

  // Its key.
  digit(label) {
    const place = this.offered.indexOf(label);
    return place < 0 ? "its name" : String(place + 1);
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
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    if (event.key === "Escape") {
      this.field.value = "";
      this.find();
      this.field.blur();
    } else if (event.key in steps && this.matches.length) this.mark(Math.min(Math.max(this.picked + steps[event.key], 0), this.matches.length - 1));
    else if (event.key === "Enter" && !event.isComposing && this.matches[this.picked]) this.choose(this.matches[this.picked].label);
    else if (event.key === "Enter" && !this.field.value) this.field.blur();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // What is typed may mean. Enter takes the label of exactly this name. Else: where readers make the classes, a new one;
  // among fixed classes the first that begins so. Any other only by a click or the arrows.
  find() {
    const own = this.field.value.trim();
    const [typed, loose] = [same(own), found(own)];
    const { labels, invents } = this.review;
    const exact = labels.filter((label) => typed && same(label) === typed);
    const begins = labels.filter((label) => typed && !exact.includes(label) && same(label).startsWith(typed));
    const near = labels.filter((label) => loose && !exact.includes(label) && !begins.includes(label) && found(label).includes(loose));
    const fresh = typed && !exact.length ? [{ label: own, fresh: true }] : [];
    const known = [...exact, ...begins, ...near].slice(0, FOUND).map((label) => ({ label }));
    this.matches = invents ? [...fresh, ...known] : [...known, ...fresh];
    this.mark(exact.length || begins.length || (invents && fresh.length) ? 0 : -1);
  }

  mark(picked) {
    this.picked = picked;
    this.found.replaceChildren(...this.matches.map(({ label, fresh }, index) => element("button", {
      type: "button", role: "option", class: fresh ? "new" : null, "aria-selected": String(index === picked), dir: "auto", onclick: () => this.choose(label),
    }, fresh ? `new label “${label}”` : label)));
  }
}

// Equal for two labels that are the same class, as in data/labels.py.
function same(text) {
  const folded = text.normalize("NFC").toLowerCase().replaceAll("ß", "ss").replaceAll("ς", "σ").normalize("NFC");
  return folded.replace(/(?![\u200c\u200d])\p{Cf}/gu, "").split(/\s+/).filter(Boolean).join(" ");
}

// For finding only: without accents.
function found(text) { return same(text.normalize("NFKD").replace(/[\u0300-\u036f]/g, "")); }
