// Dragging in the ranking widget: a card, or a reply in the order, goes to a place in the order.

const DRAG_FROM = 6; // pixels that the pointer moves before a click becomes a drag

function startDrag(view, event, position) {
  if (event.button || event.target.closest("button.tie") || view.state.kept) return;
  const { clientX, clientY } = event;
  const stop = new AbortController();
  let ghost = null;
  const slotBelow = (at) =>
    document.elementFromPoint(at.clientX, at.clientY)?.closest(".rlhf-ranking .slot");
  const move = (at) => {
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
    stop.abort();
    if (!ghost) return;
    ghost.remove();
    view.root.classList.remove("dragging");
    // The click that follows a drag must not pick the card as well.
    const swallow = (click) => click.stopPropagation();
    window.addEventListener("click", swallow, { capture: true, once: true });
    setTimeout(() => window.removeEventListener("click", swallow, { capture: true }));
    const slot = at.type === "pointerup" ? slotBelow(at) : null;
    if (!slot || !view.slots.contains(slot)) return view.drawOrder();
    const place = Number(slot.dataset.place);
    view.change(() => view.order.moveTo(position, place), `Reply ${position + 1} moved.`);
  };
  const options = { signal: stop.signal };
  window.addEventListener("pointermove", move, options);
  window.addEventListener("pointerup", end, options);
  window.addEventListener("pointercancel", end, options);
}
