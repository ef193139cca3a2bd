// The ranking widget in the browser: draws the state that Python sends, sends what the reader does.
//
// Nothing is decided here but the order that is being made (`Order`), and nothing else is kept.
// Python puts ranking_order.js, ranking_draw.js, ranking_drag.js and ranking_keys.js before this
// file.

const WAIT = 1500; // milliseconds after which an answer that has not come is worth a word
const PROMPT = 8; // milliseconds in which an answer comes that is not held back

class View {
  constructor(model, host) {
    this.model = model;
    const isFirst = !model.get("state").done; // later on the replies need the room
    this.panel = isFirst && model.get("guidelines").open ? "guidelines" : "";
    this.live = make("p", { class: "for-readers", role: "status", "aria-live": "polite" });
    this.seconds = make("span", { class: "seconds quiet" });
    this.hint = make("p", { class: "hint" });
    this.parts = {};
    for (const part of ["head", "top", "prompt", "error", "low", "foot"])
      this.parts[part] = make("div", { class: part });
    this.cards = make("ol", { class: "cards", "aria-label": "Replies" });
    this.slots = make("ol", { class: "slots", "aria-label": "Your order" });
    const side = make("div", { class: "side" }, make("h4", {}, "Your order"), this.slots);
    this.body = make("div", { class: "body" }, this.cards, side);
    const { head, top, prompt, error, low, foot } = this.parts;
    this.root = make(
      "div",
      {
        class: "rlhf-ranking",
        role: "region",
        tabindex: "0",
        "aria-label": "Rank replies",
        // JupyterLab and Notebook leave keys alone below an element with this attribute.
        "data-lm-suppress-shortcuts": "true",
        onkeydown: (event) => onKey(this, event),
        onkeyup: (event) => event.stopPropagation(),
        onkeypress: (event) => event.stopPropagation(),
        onmousedown: (event) => this.onMouseDown(event),
      },
      make("div", { class: "page" }, head, top, prompt, this.body, error, low, this.hint, foot),
      this.live,
    );
    host.append(this.root);
    this.onState = () => this.show(model.get("state"));
    model.on("change:state", this.onState);
    this.clock = setInterval(() => this.tick(), 1000);
    this.show(model.get("state"));
  }

  dispose() {
    this.model.off("change:state", this.onState);
    clearInterval(this.clock);
    clearTimeout(this.waiting);
  }

  // From Python to the screen

  show(state) {
    clearTimeout(this.waiting);
    this.pending = false;
    const isNew = state.turn !== this.state?.turn;
    const hadFocus = this.root.matches(":focus-within");
    this.state = state;
    if (isNew) this.begin();
    if (state.kept) this.panel = "";
    this.draw();
    if (isNew && hadFocus) this.focus();
    if (state.error) this.say("");
    else if (state.summary) this.say(state.summary.join(" "));
    else if (isNew)
      this.say(`Item ${state.done + 1} of ${state.total}: ${plain(state.prompt.at(-1).pieces)}`);
  }

  // A new item: no order yet, the fields empty, the cards drawn once.
  begin() {
    const { state } = this;
    const replies = state.replies ?? [];
    if (this.panel !== "guidelines") this.panel = "";
    this.since = performance.now() - 1000 * (state.elapsed ?? 0);
    this.order = new Order(replies.length);
    this.note = make("input", { type: "text", placeholder: "optional" });
    this.note.value = state.note ?? "";
    this.reason = make("input", { type: "text", placeholder: "another reason" });
    this.cards.replaceChildren(...replies.map((reply, place) => drawCard(this, reply, place)));
    requestAnimationFrame(() => {
      // A long reply scrolls in its card; the keyboard must reach it too.
      for (const words of this.cards.querySelectorAll(".words"))
        if (words.scrollHeight > words.clientHeight + 1) words.tabIndex = 0;
    });
  }

  draw() {
    const { state, parts } = this;
    const isOpen = "progress" in state; // else the file could not be opened
    this.root.dataset.turn = state.turn;
    this.root.dataset.handled = state.handled;
    this.body.hidden = !state.replies;
    this.cards.inert = this.slots.inert = Boolean(state.kept);
    this.tick();
    this.keepFocus(() => {
      parts.head.replaceChildren(...(isOpen ? drawHead(this) : []));
      parts.top.replaceChildren(...drawPanel(this, "top"));
      parts.low.replaceChildren(...drawPanel(this, "low"));
      parts.prompt.replaceChildren(...(state.replies ? drawPrompt(this) : this.drawEnd()));
      parts.error.replaceChildren(...drawError(this));
      parts.foot.replaceChildren(...(isOpen ? drawFoot(this) : []));
      this.drawOrder();
    });
  }

  // What is drawn anew loses the focus: give it to the same field or button, else to the widget.
  keepFocus(draw) {
    const focused = this.root.querySelector(":focus");
    draw();
    if (!focused || focused.matches(":focus")) return;
    const again = [...this.root.querySelectorAll("[data-name]")].find(
      (element) => element.dataset.name === focused.dataset.name && !element.disabled,
    );
    (this.root.contains(focused) ? focused : (again ?? this.root)).focus({ preventScroll: true });
  }

  drawEnd() {
    const lines = this.state.summary ?? [];
    if (!lines.length) return [];
    return [make("h3", {}, "All done. Thank you."), ...lines.map((line) => make("p", {}, line))];
  }

  drawOrder() {
    [...this.cards.children].forEach((card, position) => markCard(this, card, position));
    this.keepFocus(() => this.slots.replaceChildren(...drawSlots(this)));
    this.submitButton?.setAttribute("aria-disabled", !this.order.isWhole);
    this.hint.textContent = this.state.canRetry ? "" : this.nextStep();
    if (this.state.rest && !this.order.placed.length)
      this.hint.append(make("span", { class: "rest" }, ` ${this.state.rest}`));
  }

  tick() {
    const usual = this.state.usual == null ? "" : `, usually ${this.state.usual} s`;
    const now = Math.round((performance.now() - this.since) / 1000);
    this.seconds.textContent = this.state.replies ? `${now} s${usual}` : "";
  }

  nextStep() {
    const { order, state } = this;
    if (!state.replies) return "";
    if (order.isWhole) return "Enter submits this order.";
    if (order.tieNext) return `The next pick ties with reply ${order.placed.at(-1) + 1}.`;
    if (!order.placed.length) return `Best reply first: press 1 to ${order.size}, click, or drag.`;
    return `Now the next best, ${ORDINALS[order.placed.length]}.`;
  }

  say(text) {
    this.live.textContent = text;
  }

  tell(text) {
    this.hint.textContent = text;
    this.say(text);
  }

  focus() {
    this.root.focus({ preventScroll: true });
  }

  // To Python

  send(kind, about = {}) {
    if (this.pending) return;
    // A mark stays with its item; all else brings another item, and keys wait until it is seen.
    this.pending = kind !== "flag" && kind !== "note";
    clearTimeout(this.waiting);
    this.model.send(
      { kind, turn: this.state.turn, ...about },
      { iopub: { status: (told) => this.hurry(told.content.execution_state) } },
    );
    this.waiting = setTimeout(() => {
      this.pending = false; // what is sent twice counts once, since it names its turn
      this.tell(
        "The kernel has not answered yet: it may be busy. " +
          "If it was restarted, run this cell again; what was saved is there.",
      );
    }, WAIT);
  }

  // Jupyter's server holds a small message back until the one before is acknowledged, which takes
  // the browser's side 40 ms or more, unless something goes the other way. So when the kernel has
  // said that it is busy, and the answer does not follow, an empty message goes there.
  hurry(kernel) {
    const { state } = this;
    const ask = () => state === this.state && this.model.send({ kind: "hurry" });
    if (kernel === "busy") setTimeout(ask, PROMPT);
  }

  submit() {
    const missing = this.order.size - this.order.placed.length;
    if (this.state.canRetry) this.send("retry");
    else if (missing) this.tell(`${missing} of ${this.order.size} replies have no place yet.`);
    else this.send("submit", { tiers: this.order.tiers, note: this.note.value });
  }

  // The item before; what was begun on this one goes along, to stand there when it comes again.
  back() {
    this.send("undo", { note: this.note.value });
  }

  skip(reason) {
    if (reason.trim()) this.send("skip", { reason, note: this.note.value });
    else this.tell("A skip needs a reason.");
  }

  // Mouse and picks

  // A click leaves the keys with the whole widget, not with the button that was clicked.
  onMouseDown(event) {
    if (event.target.closest("input, label")) return;
    if (event.target.closest("button, .card, .slot")) event.preventDefault();
    this.focus();
  }

  pick(position) {
    const place = this.order.rank(position);
    if (place >= 0) return this.tell(`Reply ${position + 1} is ${ORDINALS[place]} already.`);
    this.change(() => this.order.pick(position), `Reply ${position + 1} has a place.`);
  }

  pickOrRemove(position) {
    if (this.order.rank(position) < 0) this.pick(position);
    else this.change(() => this.order.remove(position), `Reply ${position + 1} has no place now.`);
  }

  tie() {
    if (this.order.tie()) this.change(() => {}, "");
    else this.tell("Pick a reply first, then = and the one that ties with it.");
  }

  undoPick() {
    if (this.order.undo()) this.change(() => {}, "Taken back.");
    else this.tell("Nothing is picked yet. The key u reopens the item before.");
  }

  change(action, said) {
    action();
    this.drawOrder();
    this.say(`${said} ${this.orderInWords()} ${this.nextStep()}`);
  }

  orderInWords() {
    const { tiers } = this.order;
    if (!tiers.length) return "";
    const words = tiers.map((tier) => tier.map((position) => position + 1).join(" and "));
    return `The order is reply ${words.join(", then ")}.`;
  }

  toggle(panel) {
    this.open(this.panel === panel ? "" : panel);
  }

  open(panel) {
    const noted = this.panel === "more" && this.note.value !== this.state.note;
    this.panel = panel;
    this.draw();
    if (panel === "more") this.note.focus();
    else this.focus();
    if (panel) this.say(this.parts.top.textContent + this.parts.low.textContent);
    if (noted) this.send("note", { note: this.note.value });
  }
}

function render({ model, el }) {
  const view = new View(model, el);
  return () => view.dispose();
}

export default { render };
