"use strict";
// A reviewer's marks, as the server has them. Null in a report.
MICS.marks = (() => {
  if (!MICS.run.review) return null;
  const cases = new Map(); // case id -> Map of step (0: the chain) -> {verdict, comment, version}
  const state = { done: 0, total: MICS.run.review.cases, next: null, undo: null };
  let listeners = [];
  let queue = Promise.resolve();

  class Unkept extends Error {}

  // One after the other: a mark answers what the one before it left.
  function inTurn(act) {
    const turn = queue.then(act);
    queue = turn.catch(() => {});
    return turn;
  }

  async function ask(path, body) {
    let response;
    try {
      const sent = body && { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
      response = await fetch(`api/${path}`, { cache: "no-store", ...sent });
    } catch {
      throw new Unkept("the review program does not answer. Start it again with the same command and go on at the address that it prints");
    }
    const told = await response.json().catch(() => ({}));
    if (!response.ok && response.status !== 409) throw new Unkept(told.error ?? `the review program answered ${response.status}`);
    take(told);
    return { ...told, conflict: response.status === 409 };
  }

  function take(told) {
    for (const [id, marks] of Object.entries(told.marks)) cases.set(id, new Map(marks.map((mark) => [mark.step ?? 0, mark])));
    Object.assign(state, { done: told.done, total: told.total, next: told.next, undo: told.undo });
    listeners.forEach((listener) => listener());
  }

  const NONE = { verdict: null, comment: "", version: 0 };
  const read = (id, step) => cases.get(id)?.get(step) ?? NONE;

  // `change` holds verdict, comment or both; what it lacks stays as it is.
  function set(id, step, change) {
    const { verdict, comment, version } = { ...read(id, step), ...change };
    return ask("mark", { case_id: id, step: step || null, verdict, comment, answers: version });
  }

  function undo() {
    return state.undo ? ask("undo", { number: state.undo.number }) : Promise.resolve(null);
  }

  const refresh = (id) => ask(id === undefined ? "marks" : `marks?case=${encodeURIComponent(id)}`);
  const count = (id) => [...(cases.get(id)?.values() ?? [])].filter((mark) => mark.verdict !== null).length;

  // What the list shows of a case.
  function describe(id) {
    const chain = read(id, 0).verdict;
    const steps = count(id) - (chain ? 1 : 0);
    return [chain ? `${chain}ed` : "", steps ? `${steps} steps` : ""].filter(Boolean).join(", ");
  }

  return { state, read, set, undo, refresh, count, describe, inTurn, listen: (listener) => { listeners = [...listeners, listener]; } };
})();
