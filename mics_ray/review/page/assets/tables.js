"use strict";
// The tables of the overview: sorted by a click on a head, searched where they are long.
MICS.tables = (() => {
  const { make } = MICS.dom;
  const LONG = 8;

  function readCell(row, at) {
    const text = row.cells[at].textContent;
    const number = Number.parseFloat(text.replace(/[$,\s]/g, ""));
    return Number.isNaN(number) ? text : number;
  }

  function compare(a, b) {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return String(a).localeCompare(String(b), "en", { numeric: true });
  }

  function sortTable(table, at) {
    const heads = [...table.tHead.rows[0].cells];
    const down = heads[at].getAttribute("aria-sort") === "ascending";
    for (const head of heads) head.removeAttribute("aria-sort");
    heads[at].setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => compare(readCell(a, at), readCell(b, at)) * (down ? -1 : 1));
    table.tBodies[0].append(...rows);
  }

  function addSearch(table) {
    const title = table.closest("figure, section").querySelector("h2").textContent;
    const field = make("input", { type: "search", placeholder: "Search this table", "aria-label": `Search the table of ${title}` });
    field.addEventListener("input", () => {
      const wanted = field.value.toLowerCase();
      for (const row of table.tBodies[0].rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    });
    table.parentElement.before(field);
  }

  function enhance(table) {
    [...table.tHead.rows[0].cells].forEach((head, at) => {
      const button = make("button", { type: "button", class: "sort", onclick: () => sortTable(table, at) }, head.textContent);
      head.replaceChildren(button);
    });
    if (table.tBodies[0].rows.length > LONG) addSearch(table);
  }

  function start() {
    document.querySelectorAll("table.data").forEach(enhance);
    // On paper nothing can be opened.
    window.addEventListener("beforeprint", () => document.querySelectorAll("#overview details").forEach((one) => { one.open = true; }));
  }

  return { start };
})();
