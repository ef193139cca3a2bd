// What the ranking widget looks like: each function draws one part of a view from its state.
//
// Python puts this file before ranking.js. Texts go in as text nodes, so that a reply is never
// markup.

const KEYS = [
  ["1 to 5", "take this reply as the next best"],
  ["=", "the next pick ties with the last one"],
  ["Backspace", "take the last pick back"],
  ["Enter", "submit the order"],
  ["s", "skip this item, with a reason"],
  ["u", "reopen the item before"],
  ["f", "flag as harmful"],
  ["n", "note, and thumbs for each guideline"],
  ["g", "show or hide the guidelines"],
  ["?", "show or hide these keys"],
  ["Esc", "close what is open, then back to the notebook"],
];
const REASONS = [
  "I cannot tell which is better",
  "None of the replies is any good",
  "The prompt makes no sense",
  "I would rather not rank this",
];
const ORDINALS = ["1st", "2nd", "3rd", "4th", "5th"];

// An element with attributes, event listeners (onclick: ...) and children; texts stay texts.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("aria-")) element.setAttribute(name, String(value));
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function button(label, key, onclick, more = {}) {
  const keys = key ? [make("kbd", { "aria-hidden": "true" }, key)] : [];
  const name = more["aria-label"] ?? (key || label); // finds the button again when it is redrawn
  const all = { type: "button", onclick, "data-name": name, ...more };
  return make("button", all, make("span", {}, label), ...keys);
}

// Runs of a text as Python cut them; what is hidden or steers stands as a visible escape.
function written(pieces) {
  return pieces.map(([text, hidden]) =>
    hidden ? make("span", { class: "escape", title: "a hidden character" }, text) : text,
  );
}

const plain = (pieces) => pieces.map(([text]) => text).join("");

function drawHead(view) {
  const { state } = view;
  const bar = { class: "bar", role: "progressbar", "aria-label": "items done" };
  const limits = { "aria-valuemin": 0, "aria-valuemax": state.total, "aria-valuenow": state.done };
  const fill = make("span");
  fill.style.width = `${(100 * state.done) / Math.max(1, state.total)}%`;
  const panelButton = (name, label, key) =>
    button(label, key, () => view.toggle(name), { "aria-expanded": view.panel === name });
  return [
    make(
      "div",
      { class: "row" },
      make("span", { class: "how-far" }, state.progress),
      view.seconds,
      make("span", { class: "gap" }),
      panelButton("guidelines", "Guidelines", "g"),
      panelButton("keys", "Keys", "?"),
    ),
    make("div", { ...bar, ...limits }, fill),
  ];
}

function drawGuidelines(view) {
  const about = view.model.get("guidelines");
  const example = (sign, word, text) =>
    make("li", {}, make("b", {}, `${sign} `, make("span", { class: "for-readers" }, word)), text);
  const cards = about.axes.map(({ axis, rule, better, worse }) =>
    make(
      "section",
      {},
      make("h4", {}, axis),
      make("p", {}, rule),
      make("ul", {}, example("✓", "better: ", better), example("✗", "worse: ", worse)),
    ),
  );
  return [make("div", { class: "axes" }, ...cards), make("p", { class: "quiet" }, about.harmful)];
}

function drawKeys() {
  const rows = KEYS.map(([key, does]) =>
    make("div", {}, make("dt", {}, make("kbd", {}, key)), make("dd", {}, does)),
  );
  return [make("dl", { class: "keys" }, ...rows)];
}

function drawSkip(view) {
  const reasons = REASONS.map((reason, index) =>
    button(reason, String(index + 1), () => view.skip(reason)),
  );
  return [
    make("h4", {}, "Why skip this item?"),
    make("div", { class: "row" }, ...reasons),
    make("form", { class: "row", onsubmit: (event) => (event.preventDefault(), view.skip(view.reason.value)) },
      make("label", {}, make("span", {}, "In your words"), view.reason),
      make("button", { type: "submit" }, "Skip"),
    ),
  ];
}

function drawMore(view) {
  const { flags } = view.state;
  const thumb = (axis, sign, word) => {
    const name = `${axis}${sign}`;
    const about = { "aria-pressed": flags.includes(name), "aria-label": `${axis} ${word}` };
    return button(word, "", () => view.send("flag", { name }), about);
  };
  const thumbs = view.model
    .get("guidelines")
    .axes.map(({ axis }) =>
      make("span", { class: "thumbs" }, axis, thumb(axis, "+", "good"), thumb(axis, "-", "poor")),
    );
  return [
    make("form", { class: "row", onsubmit: (event) => (event.preventDefault(), view.open("")) },
      make("label", {}, make("span", {}, "Note"), view.note),
      make("button", { type: "submit" }, "Done"),
    ),
    make("h4", {}, "The reply that you put first"),
    make("div", { class: "row" }, ...thumbs),
  ];
}

// Above the prompt what helps to read, below the replies what asks for words.
const PANELS = {
  top: { guidelines: ["Guidelines", drawGuidelines], keys: ["Keys", drawKeys] },
  low: { skip: ["Skip", drawSkip], more: ["Note and thumbs", drawMore] },
};

function drawPanel(view, where) {
  const [label, draw] = PANELS[where][view.panel] ?? [];
  if (!draw || (where === "low" && !view.state.replies)) return [];
  const about = { class: `open ${view.panel}`, role: "group", "aria-label": label };
  return [make("div", about, ...draw(view))];
}

function drawPrompt(view) {
  const { prompt } = view.state;
  return prompt.map(({ role, pieces }, index) =>
    make(
      "div",
      { class: index === prompt.length - 1 ? "prompt" : "prompt earlier" },
      prompt.length > 1 ? make("span", { class: "role" }, role) : "",
      make("div", { class: "words", dir: "auto" }, ...written(pieces)),
    ),
  );
}

function drawCard(view, pieces, position) {
  const pick = make(
    "button",
    { type: "button", class: "number", onclick: (event) => (event.stopPropagation(), view.pickOrRemove(position)) },
    String(position + 1),
  );
  return make(
    "li",
    {
      class: "card",
      onpointerdown: (event) => startDrag(view, event, position),
      onclick: () => view.pickOrRemove(position),
    },
    pick,
    make("div", { class: "words", dir: "auto" }, ...written(pieces)),
    make("span", { class: "rank", "aria-hidden": "true" }),
  );
}

// The rank on each card, as it is now; cards stay where they are.
function markCard(view, card, position) {
  const place = view.order.rank(position);
  const rank = place < 0 ? "" : ORDINALS[place] + (view.order.isTied(position) ? " =" : "");
  card.classList.toggle("placed", place >= 0);
  card.classList.toggle("best", place === 0);
  card.querySelector(".rank").textContent = rank;
  const said = place < 0 ? "take as the next best" : `${rank.replace("=", "tied")}, take out again`;
  const pick = card.querySelector(".number");
  pick.setAttribute("aria-label", `Reply ${position + 1}: ${said}`);
  pick.setAttribute("aria-pressed", place >= 0);
}

function drawSlots(view) {
  const { order, state } = view;
  const slots = order.tiers.flatMap((tier, index) =>
    tier.map((position, within) => drawSlot(view, position, index, within)),
  );
  // Places fill from the best down, so only the next one has a name: see startDrag.
  for (let place = slots.length; place < order.size; place += 1) {
    const word = place === 0 ? "best" : place === order.size - 1 ? "last" : "";
    const name = place === order.placed.length ? [make("span", { class: "rank" }, ORDINALS[place]), word] : [];
    slots.push(make("li", { class: "slot empty", "data-place": place }, ...name));
  }
  return state.replies ? slots : [];
}

function drawSlot(view, position, tier, within) {
  const { order, state } = view;
  const place = order.rank(position);
  const words = plain(state.replies[position]).slice(0, 80);
  const tied = within > 0;
  const act = tied ? () => order.part(position) : () => order.tieAt(tier);
  const tie = make(
    "button",
    {
      type: "button",
      class: "tie",
      "data-name": `tie ${position}`,
      "aria-pressed": tied,
      "aria-label": `Reply ${position + 1}: tied with the one above`,
      title: tied ? "part from the one above" : "tie with the one above",
      onclick: () => view.change(act, tied ? "Parted." : "Tied."),
    },
    "=",
  );
  return make(
    "li",
    { class: tied ? "slot tied" : "slot", "data-place": place, onpointerdown: (event) => startDrag(view, event, position) },
    make("span", { class: "rank" }, ORDINALS[place]),
    make("span", { class: "number" }, String(position + 1)),
    make("span", { class: "excerpt", dir: "auto" }, words),
    tier + within > 0 ? tie : "",
  );
}

function drawFoot(view) {
  const { state } = view;
  const isAsking = Boolean(state.replies) && !state.canRetry;
  const isFlagged = state.flags?.includes("harmful");
  const more = state.note || state.flags?.some((flag) => flag !== "harmful");
  view.submitButton = button("Submit", "Enter", () => view.submit(), { class: "main" });
  const previous = button("Previous", "u", () => view.back(), { disabled: !state.canUndo || state.kept });
  if (!isAsking) return state.canRetry ? [] : [previous];
  return [
    view.submitButton,
    button("Undo pick", "⌫", () => view.undoPick(), { "aria-keyshortcuts": "Backspace" }),
    make("span", { class: "gap" }),
    button(more ? "Note ✓" : "Note", "n", () => view.toggle("more"), { "aria-expanded": view.panel === "more" }),
    button(isFlagged ? "Harmful ✓" : "Harmful", "f", () => view.send("flag", { name: "harmful" }), {
      class: "flag",
      "aria-pressed": Boolean(isFlagged),
    }),
    button("Skip", "s", () => view.toggle("skip"), { "aria-expanded": view.panel === "skip" }),
    previous,
  ];
}

function drawError(view) {
  const { state } = view;
  if (!state.error) return [];
  const kept = state.kept ? " Your answer is kept here until it is saved." : "";
  const again = state.canRetry ? [button("Try again", "Enter", () => view.send("retry"), { class: "main" })] : [];
  return [make("div", { class: "error", role: "alert" }, make("p", {}, state.error, make("b", {}, kept)), ...again)];
}
