"use strict";
// The chain that is marked, step by step. Null in a report.
MICS.review = (() => {
  const marks = MICS.marks;
  if (!marks) return null;
  const { make, say } = MICS.dom;
  const STEP = [["right", "r", "✓"], ["wrong", "w", "✕"], ["unsure", "u", "?"]];
  const CHAIN = [["accept", "a", "✓"], ["reject", "x", "✕"]];
  const drafts = new Map(); // comments of cases that were left before they could be kept
  let shown = null; // {data, steps, items, at, place}

  const verdictsOf = (step) => (step ? STEP : CHAIN);
  const nameOf = (step) => (step ? `Step ${step}` : "The chain as a whole");

  function drawItem(data, step) {
    const text = step ? data.steps[step - 1] : data.final_answer;
    const buttons = verdictsOf(step).map(([verdict, key, sign]) => make("button", {
      type: "button", "data-verdict": verdict, "aria-pressed": "false", "aria-keyshortcuts": key, onclick: () => act(() => mark(step, verdict)),
    }, `${sign} ${verdict} `, make("kbd", {}, key)));
    const comment = make("textarea", { rows: "2", maxlength: "10000", "aria-label": `Comment on ${nameOf(step).toLowerCase()}`, hidden: true, dir: "auto" });
    comment.addEventListener("change", () => act(() => keepComment(step)));
    comment.addEventListener("keydown", (event) => { if (event.key === "Escape") leaveComment(event, step); });
    const more = make("button", { type: "button", "aria-keyshortcuts": "c", onclick: () => act(() => openComment(step)) }, "comment ", make("kbd", {}, "c"));
    const note = make("p", { class: "failure", role: "alert" });
    const head = step ? "" : "Final answer: ";
    const item = make("li", { class: "mark-item", tabindex: "-1", "aria-label": nameOf(step), "data-step": step },
      make("p", {}, make("strong", {}, step ? "" : head), make("span", { class: "text", dir: "auto" }, text)),
      make("div", { class: "controls", role: "group", "aria-label": `Your mark: ${nameOf(step).toLowerCase()}` }, ...buttons, more), comment, note);
    item.addEventListener("focusin", () => { if (shown) setPlace(step, false); });
    return { item, buttons, comment, note };
  }

  function draw(data) {
    const steps = [...data.steps.map((_, at) => at + 1), 0];
    const items = new Map(steps.map((step) => [step, drawItem(data, step)]));
    const place = make("p", { class: "quiet", id: "review-place" });
    const button = (words, key, what) => make("button", { type: "button", "aria-keyshortcuts": key, onclick: () => act(what) }, `${words} `, make("kbd", {}, key));
    const chain = items.get(0).item;
    const box = make("section", { class: "card review", "aria-label": "Your review" },
      make("h3", {}, "Your review"), place,
      make("ol", { class: "mark-list" }, ...steps.filter(Boolean).map((step) => items.get(step).item)), make("ul", { class: "mark-list whole" }, chain),
      make("div", { class: "controls" }, button("Undo the last mark", "z", undo), button("Next open chain", "g", goOn)));
    shown = { data, steps, items, place, at: steps[0] };
    for (const [step, { comment }] of items) comment.value = drafts.get(nameDraft(step)) ?? marks.read(data.id, step).comment;
    const open = steps.find((step) => !marks.read(data.id, step).verdict);
    shown.at = open ?? steps[0];
    update();
    return box;
  }

  // Shows what stands. A comment that is being written is left alone.
  function update() {
    document.getElementById("done").textContent = describeProgress();
    if (!shown) return;
    const { data, items } = shown;
    MICS.list.redrawRow(data.id);
    for (const [step, { item, buttons, comment }] of items) {
      const { verdict, comment: kept } = marks.read(data.id, step);
      buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.verdict === verdict)));
      if (comment.value === comment.dataset.kept) comment.value = kept;
      comment.dataset.kept = kept;
      if (kept || comment.value) comment.hidden = false;
      if (step === shown.at) item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    }
    const given = shown.steps.filter((step) => step && marks.read(data.id, step).verdict).length;
    shown.place.textContent = `${given} of ${data.steps.length} steps marked here. ${describeProgress()}`;
  }

  function describeProgress() {
    const { done, total } = marks.state;
    return `${done.toLocaleString("en")} of ${total.toLocaleString("en")} chains done.${done === total ? " Thank you: nothing is left." : ""}`;
  }

  const nameDraft = (step) => `${shown.data.id}\n${step}`;

  const isDirty = (step) => {
    const { comment } = shown.items.get(step);
    return comment.value !== comment.dataset.kept;
  };

  function setPlace(step, focus = true) {
    shown.at = step;
    update();
    if (!focus) return;
    const { item } = shown.items.get(step);
    item.focus({ preventScroll: true });
    item.scrollIntoView({ block: "nearest" });
  }

  // One after the other, in the order of the keys; what fails is said and stays said until something is kept.
  function act(what) {
    return marks.inTurn(async () => {
      const name = shown ? ` (case ${shown.data.name})` : "";
      try {
        await what();
      } catch (error) {
        warn(`NOT KEPT${name}: ${error.message}.`);
      }
    });
  }

  function warn(text) {
    const place = document.getElementById("review-warning");
    place.textContent = text;
    place.hidden = !text;
  }

  const quote = (mark) => `${mark.verdict ?? "no verdict"}${mark.comment ? `, “${mark.comment}”` : ""}`;

  // Sends a change; false where another window has marked this meanwhile, which is shown and not overwritten, and where
  // the reader has gone on to another case.
  async function send(step, change) {
    const here = shown;
    const draft = nameDraft(step);
    const told = await marks.set(here.data.id, step, change);
    warn("");
    const now = marks.read(here.data.id, step);
    here.items.get(step).note.textContent = told.conflict ? `Not kept: another window of yours has marked this meanwhile (${quote(now)}). Mark again to replace that.` : "";
    if (!told.conflict) drafts.delete(draft);
    else if (shown !== here) warn(`NOT KEPT (case ${here.data.name}): another window of yours has marked this meanwhile (${quote(now)}).`);
    return !told.conflict && shown === here;
  }

  async function mark(step, verdict) {
    setPlace(step, false);
    const comment = isDirty(step) ? { comment: shown.items.get(step).comment.value } : {};
    if (!(await send(step, { verdict, ...comment }))) return;
    say(`${nameOf(step)}: ${verdict}. ${describeProgress()}`);
    const left = shown.steps.filter((one) => !marks.read(shown.data.id, one).verdict);
    if (!left.length) goOn();
    else if (step === 0) setPlace(left[0]);
    else setPlace(shown.steps[shown.steps.indexOf(step) + 1]);
  }

  function markHere(verdict) {
    const step = CHAIN.some(([word]) => word === verdict) ? 0 : shown.at;
    if (step === 0 && STEP.some(([word]) => word === verdict)) return say("the chain as a whole is accepted (a) or rejected (x)");
    return mark(step, verdict);
  }

  function openComment(step) {
    setPlace(step, false);
    const { comment } = shown.items.get(step);
    comment.hidden = false;
    comment.focus();
  }

  async function keepComment(step) {
    const { comment } = shown.items.get(step);
    if (!isDirty(step)) return;
    if (await send(step, { comment: comment.value })) say("comment kept");
  }

  function leaveComment(event, step) {
    event.preventDefault();
    act(async () => {
      await keepComment(step);
      setPlace(step);
    });
  }

  async function undo() {
    const last = marks.state.undo;
    if (!last) return say("nothing to undo");
    const told = await marks.undo();
    warn(told.conflict ? "NOT UNDONE: another window of yours has marked this meanwhile." : "");
    if (told.conflict) return null;
    say(`undone: the mark on ${nameOf(last.step ?? 0).toLowerCase()} of case ${last.case_id}`);
    if (shown && last.case_id === shown.data.id) {
      const { comment } = shown.items.get(last.step ?? 0);
      comment.value = comment.dataset.kept;
      setPlace(last.step ?? 0);
    } else location.hash = `#case=${encodeURIComponent(last.case_id)}`;
    return null;
  }

  function goOn() {
    const { next } = marks.state;
    location.hash = next === null ? "#overview" : `#case=${encodeURIComponent(next)}`;
  }

  function move(by) {
    const next = shown.steps[shown.steps.indexOf(shown.at) + by];
    if (next !== undefined) setPlace(next);
  }

  const keys = {
    r: () => markHere("right"), w: () => markHere("wrong"), u: () => markHere("unsure"), a: () => markHere("accept"), x: () => markHere("reject"),
    c: () => openComment(shown.at), z: undo, j: () => move(1), k: () => move(-1), g: goOn,
    s: () => { const box = document.querySelector("#case details.search"); box.open = !box.open; },
  };

  function press(key) {
    if (!keys[key]) return false;
    if (shown || key === "g" || key === "z") act(keys[key]);
    return true;
  }

  // The marks before the first case is drawn; then the next open chain.
  async function start() {
    await marks.refresh();
    marks.listen(update);
    update();
    if (!location.hash) goOn();
  }

  function close() {
    if (!shown) return;
    for (const step of shown.steps.filter(isDirty)) drafts.set(nameDraft(step), shown.items.get(step).comment.value);
    shown = null;
  }

  // Before a case is shown: another window may have marked it.
  const open = (id) => marks.inTurn(() => marks.refresh(id));

  window.addEventListener("focus", () => { if (shown) act(() => marks.refresh(shown.data.id)); });
  window.addEventListener("beforeunload", (event) => { if (drafts.size || (shown && shown.steps.some(isDirty))) event.preventDefault(); });

  return { draw, start, open, close, press, focus: () => setPlace(shown.at) };
})();
