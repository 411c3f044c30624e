// A large picture: zoom by wheel, pinch, double click and keys; pan by dragging.

import { element, heat, picture, thumbnail } from "./elements.js";

const STEP = 1.4;
const MOST = 16; // screen pixels for a picture's
const LEGEND = "Where covering changes the answer: yellow much, dark red little, clear not at all.";
const FOR_KEYS = 60; // pixels that a key pans

export class Viewer {
  constructor(root) {
    this.image = element("img", { class: "large", draggable: "false", alt: "" });
    this.heat = element("img", { class: "heat", hidden: true, draggable: "false", alt: "where the answer comes from" });
    this.sheet = element("div", { class: "sheet" }, this.image, this.heat);
    this.failed = element("p", { class: "failed", hidden: true });
    this.busy = element("p", { class: "busy", role: "status", hidden: true });
    this.size = element("p", { class: "size" });
    this.root = element("div", { class: "viewer" }, this.sheet, this.failed, this.size, this.busy);
    root.append(this.root);
    this.fingers = new Map();
    this.root.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.root.addEventListener("pointerdown", (event) => this.down(event));
    this.root.addEventListener("pointermove", (event) => this.move(event));
    for (const end of ["pointerup", "pointercancel"]) this.root.addEventListener(end, (event) => this.fingers.delete(event.pointerId));
    this.root.addEventListener("dblclick", (event) => (this.scale > 1.01 ? this.fit() : this.zoom(3, event)));
    this.image.addEventListener("load", () => { this.isThere = true; this.root.classList.remove("loading"); });
    this.image.addEventListener("error", () => this.fail());
    this.fit();
  }

  show(sha256, alt) {
    this.sha256 = sha256;
    this.isThere = false; // whether a person sees the picture
    this.heat.hidden = this.failed.hidden = this.busy.hidden = true;
    this.size.hidden = false;
    this.size.textContent = "";
    URL.revokeObjectURL(this.heat.src);
    this.heat.removeAttribute("src");
    this.image.style.filter = "";
    this.image.hidden = false;
    this.image.alt = alt;
    this.root.classList.add("loading");
    this.root.style.backgroundImage = `url("${thumbnail(sha256)}")`;
    this.image.src = picture(sha256);
    this.fit();
  }

  async fail() {
    const asked = this.image.src;
    let words = "the server does not answer";
    try { words = JSON.parse(await (await fetch(asked)).text()).detail ?? words; } catch { /* it is gone */ }
    if (asked !== this.image.src) return;
    this.isThere = false;
    this.image.hidden = true;
    this.root.classList.remove("loading");
    this.failed.textContent = `No picture: ${words}.`;
    this.failed.hidden = false;
  }

  // Where the model's answer comes from, over the picture, or away again.
  async explain() {
    this.busy.hidden = !this.busy.hidden;
    this.size.hidden = !this.busy.hidden;
    this.heat.hidden = this.busy.hidden || !this.heat.getAttribute("src");
    if (this.busy.hidden || !this.heat.hidden) return;
    const asked = this.sha256;
    this.busy.textContent = "looking …";
    try {
      const answer = await fetch(heat(asked));
      const [picture, words] = answer.ok ? [await answer.blob(), LEGEND] : [null, (await answer.json()).detail];
      if (asked !== this.sha256) return;
      if (picture) this.heat.src = URL.createObjectURL(picture);
      this.heat.hidden = this.busy.hidden || !picture;
      this.busy.textContent = picture ? words : `No places to show: ${words}.`;
    } catch { this.busy.textContent = "The server does not answer."; }
  }

  // How large the image is. One that is shown much larger than it is looks blurred: its pixels show it as it is.
  about({ width, height }) {
    const by = Math.min(this.root.clientWidth / width, this.root.clientHeight / height);
    this.size.textContent = `${width.toLocaleString()} × ${height.toLocaleString()} pixels${by > 1.5 ? `, shown ${by.toFixed(1)} times as large` : ""}`;
  }

  // Lighter, or with more contrast. window: { centre, width } or { white }, of the samples themselves.
  light({ brightness = 1, contrast = 1, window = null }) {
    this.image.style.filter = `brightness(${brightness}) contrast(${contrast})`;
    const wanted = new URL(picture(this.sha256) + (window ? `?${new URLSearchParams(window)}` : ""), document.baseURI).href;
    if (this.image.src !== wanted) this.image.src = wanted;
  }

  fit() {
    [this.scale, this.x, this.y] = [1, 0, 0];
    this.draw();
  }

  // Zoom by a factor; the point of `at`, or the middle, stays where it is.
  zoom(factor, at = null) {
    const box = this.root.getBoundingClientRect();
    const [px, py] = at ? [at.clientX - box.left - box.width / 2, at.clientY - box.top - box.height / 2] : [0, 0];
    const scale = Math.min(Math.max(this.scale * factor, 1), MOST);
    this.x = px - (px - this.x) * (scale / this.scale);
    this.y = py - (py - this.y) * (scale / this.scale);
    this.scale = scale;
    this.draw();
  }

  pan(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.draw();
  }

  draw() {
    const [w, h] = [this.root.clientWidth * (this.scale - 1) / 2, this.root.clientHeight * (this.scale - 1) / 2];
    this.x = Math.min(Math.max(this.x, -w), w);
    this.y = Math.min(Math.max(this.y, -h), h);
    this.sheet.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
    this.root.classList.toggle("zoomed", this.scale > 1.01);
    this.image.classList.toggle("pixels", this.scale > 4);
  }

  wheel(event) {
    event.preventDefault();
    this.zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.002)), event);
  }

  down(event) {
    this.fingers.set(event.pointerId, event);
    this.root.setPointerCapture(event.pointerId);
  }

  move(event) {
    const before = this.fingers.get(event.pointerId);
    if (!before) return;
    const other = [...this.fingers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) this.zoom(distance(event, other) / Math.max(distance(before, other), 1), middle(event, other));
    else this.pan(event.clientX - before.clientX, event.clientY - before.clientY);
    this.fingers.set(event.pointerId, event);
  }

  key(event) {
    const pans = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (event.key === "+") this.zoom(STEP);
    else if (event.key === "-") this.zoom(1 / STEP);
    else if (event.key === "=") this.fit();
    else if (event.key in pans && (event.shiftKey || /Up|Down/.test(event.key)) && this.scale > 1.01) {
      this.pan(...pans[event.key].map((way) => way * FOR_KEYS));
    } else return false;
    return true;
  }
}

const distance = (one, other) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
const middle = (one, other) => ({ clientX: (one.clientX + other.clientX) / 2, clientY: (one.clientY + other.clientY) / 2 });
