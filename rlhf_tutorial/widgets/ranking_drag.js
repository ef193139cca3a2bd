// Dragging in the ranking widget: a card, or a reply in the order, goes to a place in the order.

const DRAG_FROM = 6; // pixels that the pointer moves before a click becomes a drag

function startDrag(view, event, position) {
  if (!event.isPrimary || event.button || isOnScrollbar(event)) return;
  if (event.target.closest("button.tie") || view.state.kept) return;
  const { clientX, clientY, pointerId } = event;
  const stop = new AbortController();
  let ghost = null;
  // The place that a drop would give the reply. Below the last that is filled it is the next one,
  // and a reply that has a place already gets none there.
  const slotBelow = (at) => {
    const slot = document.elementFromPoint(at.clientX, at.clientY)?.closest(".slot");
    if (!view.slots.contains(slot)) return null;
    if (!slot.matches(".empty")) return slot;
    return view.order.rank(position) < 0 ? view.slots.querySelector(".empty") : null;
  };
  const move = (at) => {
    if (at.pointerId !== pointerId) return; // another finger, or a mouse beside the finger
    if (!at.buttons) return end(at); // let go where the page was not told, as outside the window
    const far = Math.hypot(at.clientX - clientX, at.clientY - clientY) > DRAG_FROM;
    if (!ghost && !far) return;
    if (!ghost) {
      ghost = make("div", { class: "rlhf-ranking-ghost" }, String(position + 1));
      document.body.append(ghost); // "fixed" is off below an element that is transformed
      view.root.classList.add("dragging");
    }
    ghost.style.left = `${at.clientX}px`;
    ghost.style.top = `${at.clientY}px`;
    const below = slotBelow(at);
    for (const slot of view.slots.children) slot.classList.toggle("target", slot === below);
  };
  const end = (at) => {
    if (at.pointerId !== pointerId) return;
    stop.abort();
    if (!ghost) return;
    ghost.remove();
    view.root.classList.remove("dragging");
    // The click that follows a drag must not pick the card as well.
    const swallow = (click) => click.stopPropagation();
    window.addEventListener("click", swallow, { capture: true, once: true });
    setTimeout(() => window.removeEventListener("click", swallow, { capture: true }));
    const slot = at.type === "pointerup" ? slotBelow(at) : null;
    const place = Number(slot?.dataset.place);
    if (!slot || place === view.order.rank(position)) return view.drawOrder();
    view.change(() => view.order.moveTo(position, place), `Reply ${position + 1} moved.`);
  };
  const options = { signal: stop.signal };
  window.addEventListener("pointermove", move, options);
  window.addEventListener("pointerup", end, options);
  window.addEventListener("pointercancel", end, options);
}

// A scrollbar may stand on either side, by the direction of the text; it belongs to the element,
// but not to its inner width.
function isOnScrollbar({ target, clientX }) {
  const x = clientX - target.getBoundingClientRect().left - target.clientLeft;
  return target.matches(".words") && (x < 0 || x >= target.clientWidth);
}
