// The keys of the ranking widget. Python puts this file before ranking.js.

function onKey(view, event) {
  event.stopPropagation();
  // With Caps Lock on, an s comes as S.
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if ((event.ctrlKey || event.metaKey) && key === "s") {
    event.preventDefault(); // else the browser offers to save the page
    return view.tell("Every answer is on the disk before the next item shows.");
  }
  if (event.ctrlKey || event.metaKey || event.altKey || key === "Tab") return;
  if (key === "Escape") return escape(view, event);
  if (event.target.matches("input")) return;
  if (event.target.matches("button") && ["Enter", " "].includes(key)) {
    if (event.repeat && key === "Enter") event.preventDefault(); // else each repeat is a click
    return;
  }
  const action = actionOf(view, key);
  if (!action) return;
  event.preventDefault();
  // A key that is held acts once: else one long u would take back an answer with each repeat.
  if (!event.repeat && !view.pending) action();
}

// Close what is open; after that give the keys back to the notebook.
function escape(view, event) {
  if (event.repeat) return;
  if (view.panel) return view.open("");
  view.root.blur();
  // The cell is the nearest element around that can have them.
  view.root.parentElement.closest("[tabindex]")?.focus({ preventScroll: true });
}

// What a key does now; undefined for all others.
function actionOf(view, key) {
  const { state, order } = view;
  if (key === "?") return () => view.toggle("keys");
  if (key === "g") return () => view.toggle("guidelines");
  if (state.canRetry) return key === "Enter" ? () => view.submit() : undefined;
  if (key === "u" && state.canUndo) return () => view.back();
  if (!state.replies) return undefined;
  if (view.panel === "skip" && REASONS[key - 1]) return () => view.skip(REASONS[key - 1]);
  if (/^[1-5]$/.test(key) && key <= order.size) return () => view.pick(key - 1);
  const actions = {
    "=": () => view.tie(),
    Backspace: () => view.undoPick(),
    Enter: () => view.submit(),
    s: () => view.toggle("skip"),
    f: () => view.send("flag", { name: "harmful" }),
    n: () => view.toggle("more"),
  };
  return actions[key];
}
