"use strict";
// The list of cases: read piece by piece, kept by columns, searched, filtered and sorted by row numbers alone.
MICS.list = (() => {
  const { make, badge, formatScore, say } = MICS.dom;
  const run = MICS.run;
  const side = run.sides.a;
  const PAGE = 50;
  const chunks = []; // columns of each piece
  let order = null; // row numbers of what is shown; null: all, as the run wrote them
  let page = 0;
  let sorted = null; // [column, 1 or -1]
  let current = -1; // the row number of the case that is open
  let parts = {};
  let change = () => {};

  const HEADS = [
    ["id", "Case"], ["outcome", "Outcome"], ["score", "Score"], ["rounds", "Rounds"], ["quality", "Quality"],
    ["flagged", "Leak"], ["cost_usd", "Cost"], ["seconds", "Time"],
  ];
  const FIGURES = ["score", "cost_usd", "seconds", "other_score"];
  if (run.against) HEADS.push(["other_outcome", run.against], ["other_score", "Its score"]);
  // Where people judge, nothing that a model said of a chain stands beside it.
  if (run.review) HEADS.splice(1, HEADS.length, ["marked", "Your marks"]);

  function read(number, column) {
    const chunk = chunks[Math.floor(number / run.list_entries)];
    if (column === "marked") return chunk && MICS.marks.describe(chunk.id[number % run.list_entries]);
    return chunk ? chunk[column][number % run.list_entries] : undefined;
  }

  const known = () => chunks.reduce((total, chunk) => total + chunk.id.length, 0);
  const count = () => (order ? order.length : side.count);
  const rowAt = (place) => (order ? order[place] : place);
  const placeOf = (number) => (order ? order.indexOf(number) : number);

  // All pieces, one after the other, so that the page is never held up.
  async function readAll(eachPiece) {
    for (let at = 0; at < side.lists; at += 1) {
      if (!chunks[at]) chunks[at] = await MICS.load(`list/a/${at}`);
      eachPiece();
    }
  }

  // The row number of the case with this id; -1 where there is none.
  async function findCase(id) {
    for (let at = 0; at < side.lists; at += 1) {
      if (!chunks[at]) chunks[at] = await MICS.load(`list/a/${at}`);
      const place = chunks[at].id.indexOf(id);
      if (place >= 0) return at * run.list_entries + place;
    }
    return -1;
  }

  const FILTERS = {
    "": () => true,
    kept: (number) => read(number, "score") !== null,
    flagged: (number) => read(number, "flagged"),
    open: (number) => !MICS.marks.read(read(number, "id"), 0).verdict,
    differs: (number) => read(number, "other_outcome") && read(number, "other_outcome") !== read(number, "outcome"),
  };

  function matches(number, wanted, filter) {
    if (!(FILTERS[filter] ?? ((one) => read(one, "outcome") === filter))(number)) return false;
    if (!wanted) return true;
    return `${read(number, "id")}\n${read(number, "question")}`.toLowerCase().includes(wanted);
  }

  function compare(a, b, column, turn) {
    const one = read(a, column);
    const other = read(b, column);
    // What has no value stands last, either way.
    if (one === null || other === null) return (one === null) - (other === null);
    if (typeof one === "string") return turn * (one < other ? -1 : one > other ? 1 : 0);
    return turn * (one - other);
  }

  function arrange() {
    const wanted = parts.search.value.trim().toLowerCase();
    const filter = parts.filter.value;
    if (!wanted && !filter && !sorted) order = null;
    else {
      order = [];
      for (let number = 0; number < known(); number += 1) if (matches(number, wanted, filter)) order.push(number);
      if (sorted) order.sort((a, b) => compare(a, b, ...sorted) || a - b);
    }
  }

  function update(first = true) {
    arrange();
    if (first) page = 0;
    draw();
  }

  function sortBy(column) {
    const turn = sorted && sorted[0] === column ? -sorted[1] : 1;
    sorted = [column, turn];
    update();
    say(`sorted by ${column}, ${turn > 0 ? "ascending" : "descending"}`);
  }

  const name = (number) => read(number, "name") || read(number, "id");

  // Beside a case there is room for the first of them.
  const kind = (column) => (["id", "outcome", "score", "other_outcome", "marked"].includes(column) ? "" : "more");

  function drawCell(number, column) {
    const value = read(number, column);
    if (column === "id") {
      const link = make("a", { href: address(number), title: read(number, "question") }, make("bdi", {}, name(number)));
      return make("th", { scope: "row" }, link);
    }
    if (column.endsWith("outcome")) return make("td", {}, value ? badge(value) : "–");
    if (column.endsWith("score")) return make("td", { class: `figure ${kind(column)}` }, formatScore(value ?? null));
    if (column === "flagged") return make("td", { class: kind(column) }, value ? "⚑ yes" : "no");
    if (column === "cost_usd") return make("td", { class: "figure more" }, `$${value.toFixed(4)}`);
    if (column === "seconds") return make("td", { class: "figure more" }, `${value.toFixed(1)} s`);
    return make("td", { class: kind(column) }, String(value));
  }

  function drawRow(number) {
    const row = make("tr", { "data-number": number, "aria-current": number === current ? "true" : null });
    row.append(...HEADS.map(([column]) => drawCell(number, column)));
    // The link is for keys and screen readers; the whole row is a larger target for the mouse.
    row.addEventListener("click", (event) => { if (!event.target.closest("a")) location.hash = address(number); });
    return row;
  }

  function draw() {
    const pages = Math.max(1, Math.ceil(count() / PAGE));
    page = Math.min(page, pages - 1);
    const rows = [];
    for (let at = page * PAGE; at < Math.min(count(), (page + 1) * PAGE); at += 1) {
      if (read(rowAt(at), "id") !== undefined) rows.push(drawRow(rowAt(at)));
    }
    parts.body.replaceChildren(...rows);
    parts.heads.forEach(([column, head]) => {
      if (sorted && sorted[0] === column) head.setAttribute("aria-sort", sorted[1] > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    const reading = known() < side.count ? ` (reading the list: ${known().toLocaleString("en")} so far)` : "";
    parts.pages.textContent = `Page ${page + 1} of ${pages}, ${count().toLocaleString("en")} cases${reading}`;
    parts.before.disabled = page === 0;
    parts.after.disabled = page >= pages - 1;
    change();
  }

  function turnPage(by) {
    page += by;
    draw();
    parts.body.closest(".scroll").scrollTop = 0;
  }

  function address(number) {
    return `#case=${encodeURIComponent(read(number, "id"))}`;
  }

  function step(by) {
    const number = neighbour(by);
    return number === null ? null : address(number);
  }

  function nextOutcome() {
    const place = placeOf(current);
    for (let at = Math.max(0, place + 1); at < count(); at += 1) {
      if (read(rowAt(at), "outcome") !== read(current, "outcome")) return read(rowAt(at), "id") === undefined ? null : address(rowAt(at));
    }
    return null;
  }

  function markCurrent() {
    parts.body.querySelector("[aria-current]")?.removeAttribute("aria-current");
    const row = parts.body.querySelector(`[data-number="${current}"]`);
    row?.setAttribute("aria-current", "true");
    // The list alone, and once the case is drawn: the page must not move under the reader, nor wait for the list.
    requestAnimationFrame(() => {
      const frame = parts.body.closest(".scroll");
      if (row && frame) frame.scrollTop = Math.max(0, row.offsetTop - frame.clientHeight / 2);
    });
  }

  function choose(number) {
    current = number;
    const place = placeOf(number);
    const there = place < 0 ? page : Math.floor(place / PAGE);
    if (there !== page || !parts.body.rows.length) {
      page = there;
      draw();
    }
    markCurrent();
    change();
  }

  // The row number of the case that stands so many places on; null at the ends.
  function neighbour(by) {
    const place = placeOf(current);
    const next = place < 0 ? 0 : place + by;
    return next >= 0 && next < count() && read(rowAt(next), "id") !== undefined ? rowAt(next) : null;
  }

  function describePlace() {
    const place = placeOf(current);
    return place < 0 ? "" : `${(place + 1).toLocaleString("en")} of ${count().toLocaleString("en")}`;
  }

  function build() {
    const options = run.review
      ? [["", "All chains"], ["open", "without an accept or reject"]]
      : [["", "All cases"], ...run.outcomes.map((one) => [one, one.replace("_", " ")]), ["kept", "with a kept chain"], ["flagged", "with a leak flag"]];
    if (run.against) options.push(["differs", `another outcome in ${run.against}`]);
    parts.search = make("input", { type: "search", id: "search", placeholder: "Search id and question", "aria-label": "Search cases", "aria-keyshortcuts": "/" });
    parts.filter = make("select", { "aria-label": "Which cases" }, ...options.map(([value, text]) => make("option", { value }, text)));
    parts.heads = HEADS.map(([column, text]) => [column, make("th", { scope: "col", class: `${kind(column)} ${FIGURES.includes(column) ? "figure" : ""}` }, make("button", { type: "button", class: "sort", onclick: () => sortBy(column) }, text))]);
    parts.body = make("tbody");
    parts.pages = make("span", { class: "pages" });
    parts.before = make("button", { type: "button", onclick: () => turnPage(-1) }, "Previous page");
    parts.after = make("button", { type: "button", onclick: () => turnPage(1) }, "Next page");
    const table = make("table", {}, make("caption", { class: "unseen" }, "Cases of the run"), make("thead", {}, make("tr", {}, ...parts.heads.map(([, head]) => head))), parts.body);
    document.getElementById("list").replaceChildren(
      make("h2", { tabindex: "-1", id: "list-title" }, "Cases"),
      make("div", { class: "controls" }, parts.search, parts.filter),
      make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "List of cases" }, table),
      make("div", { class: "controls" }, parts.before, parts.pages, parts.after),
    );
    let timer = 0;
    parts.search.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(update, 120); });
    parts.filter.addEventListener("change", () => update());
  }

  // Shows the first page as soon as its piece is there, then reads on.
  async function start(changed) {
    change = changed;
    build();
    let at = 0;
    await readAll(() => {
      at += 1;
      const whole = at === side.lists;
      if (order === null && !whole && at > 1) parts.pages.textContent = `${count().toLocaleString("en")} cases (reading the list: ${known().toLocaleString("en")} so far)`;
      else if (at === 1 || whole) update(false);
    });
  }

  // What the page shows of a case has changed: its marks.
  function redrawRow(id) {
    const row = [...(parts.body?.rows ?? [])].find((one) => read(Number(one.dataset.number), "id") === id);
    if (row) row.lastChild.textContent = read(Number(row.dataset.number), "marked");
  }

  return { start, redrawRow, findCase, choose, neighbour, step, nextOutcome, describePlace, read };
})();
