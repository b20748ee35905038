"use strict";
// What is shown is what the address says; keys and links only change the address.
(() => {
  const { make, say } = MICS.dom;
  const run = MICS.run;
  const view = MICS.caseView;
  const review = MICS.review; // null in a report
  const place = document.getElementById("case");
  let open = { id: null, sides: {} };
  let ticket = 0;

  function readAddress() {
    const words = location.hash.slice(1);
    return { section: words.startsWith("case=") || words === "cases" ? "cases" : "overview", parameters: new URLSearchParams(words.replace(/\+/g, "%2B")) };
  }

  function replaceAddress(hash) {
    history.replaceState(null, "", hash);
  }

  function showSection(name) {
    for (const one of ["overview", "cases"]) {
      document.getElementById(one).hidden = one !== name;
      const link = document.getElementById(`go-${one}`);
      if (one === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  function go(hash) {
    if (hash) location.hash = hash;
    else say("there is no further case in this list");
  }

  function drawButtons() {
    const button = (words, key, hash) => make("button", { type: "button", "aria-keyshortcuts": key, onclick: () => go(hash()) }, `${words} `, make("kbd", {}, key));
    return make("div", { class: "controls" },
      button("Previous", "p", () => MICS.list.step(-1)), make("span", { id: "place" }, MICS.list.describePlace()), button("Next", "n", () => MICS.list.step(1)),
      review ? null : button("Next outcome", "o", () => MICS.list.nextOutcome()), make("a", { class: "to-list", href: "#cases" }, "All cases"));
  }

  function drawSide(side, data, named) {
    const box = make("section", { class: "side", "aria-label": named || "The search" });
    if (named) box.append(make("h3", {}, named));
    box.append(view.drawHead(data));
    const trees = view.drawTrees(box, data, named ? `, ${named}` : "", (id) => {
      replaceAddress(`#case=${encodeURIComponent(open.id)}&node=${side === "a" ? "" : side}${id}`);
    });
    box.append(view.drawUsage(data));
    open.sides[side] = trees;
    return box;
  }

  // What models said is folded away where people judge: their mark is their own.
  function drawReview(data) {
    const search = make("details", { class: "search" }, make("summary", {}, "The search: tree, scores and votes ", make("kbd", {}, "s")), drawSide("a", data, ""));
    return [review.draw(data), search];
  }

  // The next case is there before it is asked for.
  function loadAhead() {
    const next = MICS.list.neighbour(1);
    if (next !== null) setTimeout(() => MICS.loadCase("a", next).catch(() => {}), 100);
  }

  async function openCase(id) {
    const mine = (ticket += 1);
    const number = await MICS.list.findCase(id);
    if (mine !== ticket) return false;
    open = { id, sides: {} };
    if (number < 0) {
      place.replaceChildren(make("p", { class: "warnings" }, "There is no case ", make("bdi", {}, id), " in this run. Search the list for it."));
      return false;
    }
    const other = run.against ? MICS.list.read(number, "other_number") : null;
    const [data, beside] = await Promise.all([MICS.loadCase("a", number), other === null ? null : MICS.loadCase("b", other), review?.open(id)]);
    if (mine !== ticket) return false;
    data.score = MICS.list.read(number, "score");
    MICS.list.choose(number);
    const head = make("section", { class: "card" }, make("h2", { id: "case-title", tabindex: "-1" }, "Case ", make("bdi", {}, data.name)), drawButtons(),
      make("div", { class: "case-head" }, view.drawPictures(data.pictures), view.drawFacts(data)));
    place.replaceChildren(head);
    if (review) place.append(...drawReview(data));
    else if (beside) {
      beside.score = MICS.list.read(number, "other_score");
      place.append(make("div", { class: "beside" }));
      place.lastChild.append(drawSide("a", data, run.name), drawSide("b", beside, run.against));
    } else {
      if (run.against) place.append(make("p", { class: "warnings" }, `${run.against} has no row of this case, or asks another question.`));
      place.append(drawSide("a", data, ""));
    }
    loadAhead();
    return true;
  }

  function showNode(words) {
    const [, side, number] = /^(b?)(\d+)$/.exec(words ?? "") ?? [];
    for (const [name, trees] of Object.entries(open.sides)) {
      const mine = number !== undefined && (side || "a") === name && trees.has(Number(number));
      trees.show(mine ? Number(number) : trees.start);
    }
  }

  async function route() {
    const { section, parameters } = readAddress();
    if (location.hash === "#main") return;
    showSection(section);
    const id = parameters.get("case");
    document.body.classList.toggle("has-case", section === "cases" && id !== null);
    if (section !== "cases") return;
    try {
      if (id === null || id !== open.id) review?.close();
      if (id !== null && id !== open.id && (await openCase(id))) {
        if (review) review.focus();
        else document.getElementById("case-title").focus();
      }
      if (id !== null && id === open.id) showNode(parameters.get("node"));
      if (id === null) {
        open = { id: null, sides: {} };
        place.replaceChildren(make("p", { class: "quiet" }, "Choose a case in the list."));
      }
    } catch (error) {
      place.replaceChildren(make("p", { class: "warnings", role: "alert" }, `This case cannot be shown: ${error.message}.`));
    }
  }

  // Beside the list a case stays open; where there is room for one of both, the list takes its place.
  async function goToList(id) {
    const element = document.getElementById(id);
    if (element.offsetParent === null) {
      location.hash = "#cases";
      await route();
    }
    element.focus();
  }

  const KEYS = {
    n: () => go(MICS.list.step(1)),
    p: () => go(MICS.list.step(-1)),
    o: () => go(MICS.list.nextOutcome()),
    t: () => {
      const folded = document.querySelector("#case details.search");
      if (folded) folded.open = true;
      open.sides.a?.focus();
    },
    l: () => goToList("list-title"),
    "/": () => goToList("search"),
    "?": () => document.getElementById("help").showModal(),
  };

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea, dialog[open]");
    if (typing || event.ctrlKey || event.altKey || event.metaKey) return;
    if (!review?.press(event.key)) {
      if (!KEYS[event.key] || (review && event.key === "o")) return;
      KEYS[event.key]();
    }
    event.preventDefault();
  });

  function readTheme() {
    try {
      return localStorage.getItem("mics-theme");
    } catch {
      return null; // a browser that keeps nothing for pages from the disk
    }
  }

  function setTheme(name) {
    if (name) document.documentElement.dataset.theme = name;
    try {
      if (name) localStorage.setItem("mics-theme", name);
    } catch {
      // shown all the same
    }
  }

  function turnTheme() {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
    setTheme(now === "dark" ? "light" : "dark");
  }

  setTheme(readTheme());
  document.getElementById("theme").addEventListener("click", turnTheme);
  document.getElementById("help-open").addEventListener("click", KEYS["?"]);
  MICS.tables.start();
  window.addEventListener("hashchange", route);
  if (typeof DecompressionStream === "undefined") {
    document.getElementById("main").prepend(make("p", { class: "warnings" }, "This browser is too old to show the cases: Chromium 80, Firefox 113, Safari 16.4 or later do."));
  } else {
    const begin = () => {
      route();
      MICS.list.start(() => {
        const said = document.getElementById("place");
        if (said) said.textContent = MICS.list.describePlace();
      }).catch((error) => { document.getElementById("list").replaceChildren(make("p", { class: "warnings", role: "alert" }, `The list cannot be shown: ${error.message}.`)); });
    };
    if (review) review.start().then(begin, (error) => { document.getElementById("main").prepend(make("p", { class: "warnings", role: "alert" }, `The marks cannot be read: ${error.message}.`)); });
    else begin();
  }
})();
