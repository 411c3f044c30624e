// Groups: images of a folder without labels, those that look alike together. One key labels a group; classes are made
// on the way. Later the head's proposals are shown, and a random draw, which measures it.

import { Chooser } from "./chooser.js";
import { element, percent, thumbnail } from "./elements.js";
import { ask, Refused, say, tab } from "./server.js";
import { Viewer } from "./viewer.js";

const LOOK = 1500; // milliseconds between two looks at how far the folder is
const KINDS = {
  first: ["The first images", "Similar images come together in a moment. Label what you see already."],
  alike: ["These look alike", "Click those that do not belong, then label the others at once."],
  class: ["The same class?", "Click those that are not, then confirm."],
  draw: ["A random draw", "It measures how often the proposed labels are right. Correct those that are wrong, then confirm."],
  unnamed: ["A random draw", "Nothing is proposed yet: choose one of these classes, click the images that are not of it, then label the others. Those you clicked come again."],
};

export async function begin(page) {
  document.head.append(element("link", { rel: "stylesheet", href: "static/groups.css" }));
  page.addWay("groups", "Groups", (root) => new Groups(root, page.review), { first: true });
}

function readingWords({ read, files, embedded, images }) {
  if (read < files) return `Reading: ${read.toLocaleString()} of ${files.toLocaleString()} files.`;
  if (!embedded) return "The network that finds similar images is being made ready: some seconds, once. You can label meanwhile.";
  return `Comparing: ${embedded.toLocaleString()} of ${images.toLocaleString()} images.`;
}

class Groups {
  constructor(root, review) {
    [this.root, this.review, this.group, this.own, this.out, this.focus] = [root, review, null, new Map(), new Set(), 0];
    this.head = element("div", { class: "grouphead" });
    this.grid = element("div", { class: "groupgrid", role: "listbox", "aria-multiselectable": "true", tabindex: "0", "aria-label": "images" });
    this.about = element("aside", { class: "classes-made" });
    this.confirm = element("button", { type: "button", class: "main confirm", onclick: () => this.keep() });
    const answers = element("div", { class: "answers" });
    this.later = element("button", { type: "button", onclick: () => this.skip() }, element("kbd", {}, "PgDn"), "later");
    root.append(
      element("div", { class: "groupwork" }, this.head, this.grid, element("div", { class: "sweepbar" }, this.confirm, answers, this.later)),
      this.about,
    );
    this.chooser = new Chooser(answers, review, (what) => this.choose(what));
    this.timer = setInterval(() => this.look(), LOOK);
    this.look();
    this.next();
  }

  keys = [
    ["1 … 9", "the whole group is this label (where nothing is proposed)"], ["a … z", "type a label, new or known, then Enter"],
    ["Enter", "confirm the labels that are shown"], ["← → ↑ ↓", "go from image to image"],
    ["Space", "this one does not belong (or a click): the next label, then left out"], ["PageDown", "later"],
    ["0", "cannot tell, the image in focus"], ["Delete", "reject the image in focus"], ["+", "large (or a double click)"],
  ];

  stop() {
    clearInterval(this.timer);
    this.closeLarge();
  }

  async look() {
    try {
      this.state = await ask("part/state");
    } catch { return; }
    this.drawAbout();
    if (!this.group && !this.waiting) this.next();
  }

  // The group after this one. What is on its way to the server is judged: the server knows it when it answers.
  async next() {
    this.waiting = true;
    try {
      await this.settled();
      const { group } = await ask("part/group", { page: tab });
      this.show(group);
    } catch (error) {
      this.review.note(error.message);
    }
    this.waiting = false;
  }

  // When all clicks so far are on the disk: only then the server knows what still waits.
  settled() {
    const { outbox } = this.review;
    return new Promise((resolve) => {
      const look = () => {
        if (outbox.size) return;
        outbox.removeEventListener("kept", look);
        resolve();
      };
      outbox.addEventListener("kept", look);
      look();
    });
  }

  show(group) {
    this.group = group;
    this.grid.ariaBusy = "false";
    this.own = new Map((group?.tiles ?? []).filter((one) => one.l).map((one) => [one.s, { label: one.l }]));
    [this.out, this.focus, this.touched] = [new Set(), 0, null];
    this.since = performance.now();
    this.chooser.show(null);
    this.draw();
  }

  get tiles() { return this.group?.tiles ?? []; }

  get proposes() { return this.own.size > 0 || this.tiles.some((one) => one.l); }

  draw() {
    const [title, words] = this.group ? KINDS[this.group.kind === "draw" && !this.proposes ? "unnamed" : this.group.kind] : ["", ""];
    const hint = this.group?.hint ? element("button", { type: "button", onclick: () => this.choose({ label: this.group.hint }) }, "all are ", element("bdi", {}, this.group.hint), "?") : "";
    const name = this.group?.label ? [element("bdi", {}, this.group.label), "? "] : [title, " "];
    this.head.replaceChildren(element("h2", {}, ...(this.group ? name : ["Nothing waits"])), element("p", {}, this.group ? words : this.state?.at_work ? "The folder is being read." : "All images are judged, put aside, or with somebody else."), hint);
    this.grid.replaceChildren(...this.tiles.map((tile, index) => this.make(tile, index)));
    this.drawConfirm();
  }

  make(tile, index) {
    const own = this.own.get(tile.s);
    const words = this.out.has(tile.s) ? "left out" : own ? own.label ?? (own.reject ? "reject" : "cannot tell") : "";
    const changed = own && own.label !== tile.l;
    const made = element("div", {
      class: `tile${this.out.has(tile.s) ? " wrong" : ""}${changed ? " changed" : ""}${index === this.focus ? " focused" : ""}`, role: "option", "aria-selected": String(!this.out.has(tile.s)),
      onclick: () => { this.focus = index; this.turn(tile); }, ondblclick: () => this.large(index),
    }, element("img", { src: thumbnail(tile.s), alt: tile.p, draggable: "false" }),
    element("div", { class: "caption", dir: "auto" }, element("b", { class: "said" }, words), element("small", { title: tile.p }, !words || changed ? tile.p.split("/").pop() : percent(tile.c))));
    return made;
  }

  // A click: not this label. Then it is the next probable one, then left out, then as it was.
  turn(tile) {
    if (!this.group) return; // it is answered, and the next one is on its way
    const own = this.own.get(tile.s);
    if (this.out.delete(tile.s)) {
      if (tile.l) this.own.set(tile.s, { label: tile.l });
    } else if (own && own.label === tile.l && tile.o) this.own.set(tile.s, { label: tile.o });
    else {
      this.own.delete(tile.s);
      this.out.add(tile.s);
    }
    this.touched = tile;
    this.draw();
  }

  // A label from the bar: for the image touched last where labels are shown, else for the whole group, and that is all.
  async choose(what) {
    const { group } = this;
    if (!group) return;
    const said = what.label ? { label: await this.named(what.label) } : what;
    if (this.group !== group || (what.label && !said.label)) return; // never for images that came meanwhile
    if (!this.proposes && said.label) {
      this.tiles.filter((one) => !this.out.has(one.s)).forEach((one) => this.own.set(one.s, said));
      this.keep();
      return;
    }
    const tile = this.touched ?? this.tiles[this.focus];
    this.out.delete(tile.s);
    this.own.set(tile.s, said);
    this.touched = null;
    this.draw();
    this.grid.focus({ preventScroll: true });
  }

  // How a class is written; empty where it cannot be one.
  async named(typed) {
    if (this.review.labels.includes(typed)) return typed;
    try {
      return (await say("part/name", { label: typed })).label;
    } catch (error) {
      this.review.note(error instanceof Refused ? error.message : "The server does not answer: try again.");
      return "";
    }
  }

  drawConfirm() {
    const count = this.tiles.filter((one) => this.own.has(one.s)).length;
    this.confirm.hidden = !this.group;
    this.confirm.disabled = !count;
    this.confirm.replaceChildren(element("kbd", {}, "Enter"), count ? `confirm ${count} as shown` : "choose a label");
    this.later.hidden = !this.group;
  }

  keep() {
    const said = this.tiles.filter((one) => this.own.has(one.s));
    if (!said.length) return;
    const seconds = (performance.now() - this.since) / 1000 / this.tiles.length;
    const swept = this.group.kind !== "draw";
    this.review.judge(said.map((one) => ({ image: { sha256: one.s }, ...this.own.get(one.s), seconds, swept })), `${said.length} images`);
    const aside = this.tiles.filter((one) => !this.own.has(one.s)).map((one) => one.s);
    const label = this.group.label || this.own.get(said[0].s).label || "";
    this.review.note(`${said.length} labelled${aside.length ? `, ${aside.length} left for later` : ""}. Ctrl+Z takes it back.`);
    this.put(aside, this.proposes ? "" : label);
  }

  skip() { this.put(this.tiles.map((one) => one.s), ""); }

  // This group is done with: nothing that is typed or clicked before the next one comes is for either.
  async put(images, label) {
    [this.group, this.waiting, this.grid.ariaBusy] = [null, true, "true"];
    if (images.length) await say("part/aside", { images, label }).catch(() => {});
    this.next();
  }

  drawAbout() {
    const { classes, sentences, enough, next, unreadable, unreadable_files: files, faults, at_work: atWork } = this.state;
    const open = this.about.querySelector("details")?.open;
    const train = document.getElementById("train");
    this.about.replaceChildren(
      atWork ? element("p", { class: "quiet" }, readingWords(this.state)) : "",
      ...faults.map((words) => element("p", { class: "bad", role: "alert" }, words)),
      element("h2", {}, "Classes"),
      element("ul", {}, ...classes.map(({ label, count }) => element("li", {}, element("bdi", {}, label), ` ${count.toLocaleString()} `, element("button", { type: "button", title: "another name, or merge with another class", onclick: () => this.rename(label) }, "rename")))),
      ...sentences.map((words) => element("p", {}, words)),
      enough ? element("div", { class: "next" }, element("b", {}, "Next"), element("button", { type: "button", onclick: () => document.getElementById("bring").click() }, "Bring them into data/raw"), ...(train ? [element("button", { type: "button", onclick: () => train.click() }, "Train a model")] : ["then, in a terminal:", element("code", {}, next)])) : "",
      unreadable ? element("details", { open }, element("summary", {}, unreadable === 1 ? "1 file cannot be read" : `${unreadable.toLocaleString()} files cannot be read`), element("ul", {}, ...files.map(([path, reason]) => element("li", {}, element("bdi", {}, path), `: ${reason}`)))) : "",
    );
  }

  rename(old) {
    const field = element("input", { value: old, maxlength: "200", dir: "auto", "aria-label": "new name" });
    const dialog = element("dialog", {}, element("form", { method: "dialog" }, element("h2", {}, "Rename ", element("bdi", {}, old)),
      element("p", {}, "The name of another class merges the two. The judgements before stay in the file."), element("p", {}, field),
      element("p", { class: "end" }, element("button", { value: "" , type: "button", onclick: () => dialog.close("") }, "Cancel"), element("button", { class: "main", value: "go" }, "Rename"))));
    document.body.append(dialog);
    dialog.addEventListener("close", async () => {
      const typed = field.value.trim();
      dialog.remove();
      if (dialog.returnValue !== "go" || !typed || typed === old) return;
      try {
        const { label, images } = await say("part/rename", { reader: this.review.reader, old, new: typed });
        this.review.note(`${images} images are ${label} now.`);
        await this.review.news();
        await this.look();
        if (this.group) this.next();
      } catch (error) { this.review.note(error.message); }
    });
    dialog.showModal();
    field.select();
  }

  undone() { this.next(); }

  large(index) {
    if (!this.group) return;
    [this.focus, this.touched] = [index, null];
    this.closeLarge();
    this.overlay = element("div", { class: "overlay" }, element("button", { type: "button", class: "close", onclick: () => this.closeLarge() }, "close (Enter)"));
    this.viewer = new Viewer(this.overlay);
    this.root.append(this.overlay);
    this.viewer.show(this.tiles[index].s, this.tiles[index].p);
  }

  closeLarge() {
    this.overlay?.remove();
    this.overlay = this.viewer = null;
  }

  key(event) {
    if (event.target.tagName === "INPUT") return false;
    if (this.viewer && ["Escape", "Enter"].includes(event.key)) { // what it hides is never confirmed
      this.closeLarge();
      return true;
    }
    if (this.viewer?.key(event)) return true;
    const columns = Math.max(1, getComputedStyle(this.grid).gridTemplateColumns.split(" ").length);
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
    if (event.key in steps) {
      this.focus = Math.min(Math.max(this.focus + steps[event.key], 0), this.tiles.length - 1);
      this.touched = null;
      this.draw();
      this.grid.children[this.focus]?.scrollIntoView({ block: "nearest" });
    } else if (event.key === "Enter" && !(event.target.tagName === "BUTTON" && event.target !== this.confirm)) this.keep();
    else if (event.key === " " && this.tiles[this.focus] && event.target.tagName !== "BUTTON") this.turn(this.tiles[this.focus]);
    else if (event.key === "+" && this.tiles.length) this.large(this.focus);
    else if (event.key === "PageDown" && this.group) this.skip();
    else return this.chooser.key(event);
    return true;
  }
}
