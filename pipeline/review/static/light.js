// How light a picture is shown: brightness and contrast by the browser, and of deep samples another window by the
// decoder. At first each picture is as the model saw it.

import { element } from "./elements.js";

export class Light {
  constructor(root, viewer) {
    this.viewer = viewer;
    this.brightness = slider("brightness", 0.3, 3, () => this.set());
    this.contrast = slider("contrast", 0.5, 4, () => this.set());
    this.white = slider("white at", 8, 16, () => this.set()); // bits
    this.centre = number("window centre", () => this.set());
    this.width = number("window width", () => this.set());
    this.reset = element("button", { type: "button", onclick: () => this.clear() }, "as the model saw it");
    this.root = element("details", { class: "light" }, element("summary", {}, "Brightness and contrast"),
      this.brightness.row, this.contrast.row, this.white.row, this.centre.row, this.width.row, this.reset);
    root.append(this.root);
    this.clear();
  }

  // about: of the picture's file; null: not known yet.
  show(about) {
    this.about = about;
    this.white.row.hidden = !(about && about.bits > 8 && about.format !== "DICOM");
    this.centre.row.hidden = this.width.row.hidden = about?.format !== "DICOM";
    for (const one of [this.brightness, this.contrast]) one.field.value = 1;
    this.white.field.value = 16;
    this.centre.field.value = this.width.field.value = "";
  }

  clear() {
    this.show(this.about ?? null);
    if (this.viewer.sha256) this.viewer.light({});
  }

  set() {
    const [centre, width] = [this.centre.field.value, this.width.field.value];
    let window = null;
    if (centre !== "" && Number(width) > 0) window = { centre, width };
    else if (Number(this.white.field.value) < 16) window = { white: Math.round(2 ** Number(this.white.field.value)) - 1 };
    this.viewer.light({ brightness: this.brightness.field.value, contrast: this.contrast.field.value, window });
  }
}

function slider(words, min, max, oninput) {
  const field = element("input", { type: "range", min, max, step: 0.05, value: 1, oninput });
  return { field, row: element("label", {}, words, field) };
}

function number(words, onchange) {
  const field = element("input", { type: "number", step: "any", placeholder: "as the model", onchange });
  return { field, row: element("label", {}, words, field) };
}
