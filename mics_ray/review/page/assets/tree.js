"use strict";
// The tree of one attempt, drawn as a tree: candidates at the places that the data give, lines between them.
MICS.tree = (() => {
  const { make, formatScore } = MICS.dom;
  const GAP = { x: 14, y: 40 };
  const SIZE = { least: 90, most: 250, height: 124 };
  const SVG = "http://www.w3.org/2000/svg";

  function describe(node) {
    if (node.failure) return `${node.mentor}: no candidate, ${node.failure}`;
    const unknown = node.unknown ? `, ${node.unknown} unknown` : "";
    const score = node.unasked ? "no score" : `score ${formatScore(node.score)}`;
    const unasked = node.unasked ? `, ${node.unasked} not asked for: it could not be chosen any more` : "";
    return `${node.mentor}, ${score}: ${node.right} of ${node.known} known votes right${unknown}${unasked}`;
  }

  function label(node) {
    const marks = [];
    if (node.chosen) marks.push("chosen");
    if (node.leaks.length || node.leak_checks.some((check) => check.verdict === "leak")) marks.push("leak");
    return `round ${node.round}, ${describe(node)}${marks.length ? `, ${marks.join(", ")}` : ""}`;
  }

  function drawVotes(node) {
    const strip = make("span", { class: "votes", "aria-hidden": "true" });
    for (const vote of node.votes) strip.append(make("i", { class: `is-${vote.verdict}` }, { right: "✓", wrong: "✕", unknown: "?", unasked: "·" }[vote.verdict]));
    return strip;
  }

  function drawNode(node) {
    const top = make("span", { class: "top-line" }, make("b", {}, node.failure ? "no step" : formatScore(node.score)));
    if (node.chosen) top.append(make("span", { class: "chosen-mark" }, "★ chosen"));
    if (node.leaks.length || node.leak_checks.some((check) => check.verdict === "leak")) top.append(make("span", { class: "leak-mark" }, "⚑ leak"));
    const said = node.failure ? node.failure.split(":")[0] : node.steps.join(" ");
    return [top, make("span", { class: "mentor" }, node.mentor), make("span", { class: "said" }, said), drawVotes(node)];
  }

  // Draws into `place`; calls `choose(node, byKey)` when a person goes to a candidate. Returns {show(id), focus(), has(id)}.
  function draw(place, attempt, name, choose) {
    const nodes = new Map(attempt.nodes.map((node) => [node.id, node]));
    const items = new Map();
    const tree = make("div", { role: "tree", class: "tree", "aria-label": name });
    const lines = document.createElementNS(SVG, "svg");
    lines.setAttribute("aria-hidden", "true");
    const rounds = make("div", { class: "rounds", "aria-hidden": "true" });
    const frame = make("div", { class: "tree-frame scroll", tabindex: "-1" }, rounds, make("div", { class: "tree-ground" }, lines, tree));
    let shown = null;

    for (const node of attempt.nodes) {
      const beside = attempt.nodes.filter((one) => one.parent === node.parent);
      const item = make("div", {
        role: "treeitem", class: `node${node.chosen ? " chosen" : ""}${node.failure ? " lost" : ""}`, tabindex: "-1",
        "aria-level": node.row + 1, "aria-setsize": beside.length, "aria-posinset": beside.indexOf(node) + 1,
        "aria-selected": "false", "aria-label": label(node), onclick: () => { item.focus(); choose(node); },
      }, ...drawNode(node));
      items.set(node.id, item);
      tree.append(item);
    }

    function drawLine(node, width) {
      const above = nodes.get(node.parent);
      const from = [(above.column + 0.5) * (width + GAP.x) - GAP.x / 2, above.row * (SIZE.height + GAP.y) + SIZE.height];
      const to = [(node.column + 0.5) * (width + GAP.x) - GAP.x / 2, node.row * (SIZE.height + GAP.y)];
      const middle = (from[1] + to[1]) / 2;
      const line = document.createElementNS(SVG, "path");
      line.setAttribute("d", `M${from[0]} ${from[1]} C${from[0]} ${middle} ${to[0]} ${middle} ${to[0]} ${to[1]}`);
      line.setAttribute("class", node.chosen ? "edge chosen" : "edge");
      return line;
    }

    function arrange() {
      const room = frame.clientWidth - rounds.offsetWidth - 12;
      const width = Math.max(SIZE.least, Math.min(SIZE.most, Math.floor(room / attempt.columns - GAP.x)));
      const whole = [attempt.columns * (width + GAP.x) - GAP.x, attempt.rows * (SIZE.height + GAP.y) - GAP.y];
      lines.setAttribute("width", whole[0]);
      lines.setAttribute("height", whole[1]);
      tree.style.width = `${whole[0]}px`;
      tree.style.height = `${whole[1]}px`;
      for (const node of attempt.nodes) {
        const { style } = items.get(node.id);
        style.left = `${node.column * (width + GAP.x)}px`;
        style.top = `${node.row * (SIZE.height + GAP.y)}px`;
        style.width = `${width}px`;
        style.height = `${SIZE.height}px`;
      }
      // Chosen ones last: they lie on top.
      const below = attempt.nodes.filter((node) => node.parent !== null).sort((a, b) => a.chosen - b.chosen);
      lines.replaceChildren(...below.map((node) => drawLine(node, width)));
      const labels = [...new Set(attempt.nodes.map((node) => `${node.row} ${node.round}`))].map((one) => one.split(" "));
      rounds.replaceChildren(...labels.map(([row, number]) => {
        const text = make("span", {}, make("span", { class: "word" }, "round "), number);
        text.style.top = `${row * (SIZE.height + GAP.y) + SIZE.height / 2 - 10}px`;
        return text;
      }));
    }

    const inRow = (node) => attempt.nodes.filter((one) => one.row === node.row).sort((a, b) => a.column - b.column);
    const below = (node) => {
      const children = attempt.nodes.filter((one) => one.parent === node.id);
      return children.find((one) => one.chosen) ?? children[0];
    };
    const MOVES = {
      ArrowUp: (node) => nodes.get(node.parent),
      ArrowDown: below,
      ArrowLeft: (node) => inRow(node)[inRow(node).indexOf(node) - 1],
      ArrowRight: (node) => inRow(node)[inRow(node).indexOf(node) + 1],
      Home: () => attempt.nodes[0],
      End: () => attempt.nodes.filter((one) => one.chosen).pop() ?? attempt.nodes[attempt.nodes.length - 1],
    };

    tree.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.altKey || event.metaKey) return;
      const here = nodes.get(shown) ?? attempt.nodes[0];
      const next = MOVES[event.key]?.(here);
      if (MOVES[event.key]) event.preventDefault();
      if (next) {
        items.get(next.id).focus();
        choose(next);
      }
    });

    // The one that takes the Tab key, shown as chosen where `id` is of this tree.
    function show(id) {
      shown = nodes.has(id) ? id : null;
      const entry = shown ?? (attempt.nodes.find((one) => one.chosen) ?? attempt.nodes[0]).id;
      for (const [number, item] of items) {
        item.setAttribute("aria-selected", String(number === shown));
        item.tabIndex = number === entry ? 0 : -1;
      }
    }

    place.append(frame);
    show(null);
    arrange();
    new ResizeObserver(arrange).observe(place);
    return { show, has: (id) => nodes.has(id), get: (id) => nodes.get(id), focus: () => tree.querySelector('[tabindex="0"]').focus() };
  }

  return { draw, describe };
})();
