"use strict";
// One case: pictures, question, notes, gold answer, chain, tree, and the candidate that is looked at.
MICS.caseView = (() => {
  const { make, badge, formatScore } = MICS.dom;

  function text(tag, words, name = "text") {
    return make(tag, { class: name, dir: "auto" }, words);
  }

  function showPicture(picture, number) {
    const dialog = document.getElementById("picture");
    const image = dialog.querySelector("img");
    image.src = MICS.locate(picture.file);
    image.alt = `Picture ${number} in full: ${picture.name}`;
    dialog.showModal();
  }

  function drawPicture(picture, number) {
    if (!picture.file) return make("p", { class: "no-picture" }, `Picture ${number}, `, make("bdi", {}, picture.name), `: ${picture.problem}`);
    const image = make("img", { src: MICS.locate(picture.file), alt: "", loading: "lazy" });
    return make("button", { type: "button", class: "picture", "aria-label": `Picture ${number}, ${picture.name}: show in full`, onclick: () => showPicture(picture, number) }, image);
  }

  function drawPictures(pictures) {
    if (!pictures.length) return make("p", { class: "quiet" }, "This case has no pictures.");
    return make("div", { class: "pictures" }, ...pictures.map((one, at) => drawPicture(one, at + 1)));
  }

  function drawFacts(data) {
    const facts = [["Question", text("dd", data.question)]];
    if (data.context) facts.push(["Notes", text("dd", data.context)]);
    for (const note of data.notes ?? []) facts.push([note.label, text("dd", note.text)]);
    facts.push([data.answers.length > 1 ? "Gold answers" : "Gold answer", text("dd", data.answers.join("\n"), "text gold")]);
    if (data.context_names_answer) facts.push(["Note", make("dd", {}, "⚑ the notes name the diagnosis, or a part of it")]);
    return make("dl", { class: "facts" }, ...facts.map(([name, value]) => make("div", {}, make("dt", {}, name), value)));
  }

  function drawChain(data) {
    if (!data.steps.length) return make("p", { class: "quiet" }, "No chain was kept.");
    const steps = data.steps.map((step, at) => {
      const kinds = data.leaks.filter((leak) => leak.step === at + 1).map((leak) => leak.kind);
      const check = data.leak_checks.find((one) => one.step === at + 1);
      if (check && check.verdict !== "clean") kinds.push(`judge: ${check.verdict}`);
      const mark = kinds.length ? make("span", { class: "leak-mark" }, ` ⚑ leak flag: ${kinds.join(", ")}`) : null;
      return make("li", {}, text("span", step), mark);
    });
    return make("div", {}, make("ol", { class: "chain" }, ...steps), make("p", {}, make("strong", {}, "Final answer: "), text("span", data.final_answer)));
  }

  function drawVote(vote) {
    if (vote.verdict === "unasked") return make("p", { class: "vote" }, badge(vote.verdict), ` ${vote.intern}, temperature ${vote.temperature}`);
    const answer = vote.answer ? make("q", { dir: "auto" }, vote.answer) : make("em", {}, "no answer");
    const head = make("summary", {}, badge(vote.verdict), ` ${vote.intern}, temperature ${vote.temperature}: `, answer);
    const matched = vote.verdict === "right" && vote.answer && !vote.judge_reply;
    const reply = vote.judge_reply || (matched ? "(not asked: the answer is the gold answer word for word)" : "(none)");
    const body = make("div", { class: "vote-text" }, make("h5", {}, "The intern's text"), text("p", vote.text || "(none)"), make("h5", {}, "The judge's reply"), text("p", reply));
    const failure = vote.failure ? make("p", { class: "failure" }, `? ${vote.failure}`) : null;
    return make("details", { class: "vote" }, head, failure, body);
  }

  function drawChecks(node) {
    const lines = node.leaks.map((kind) => make("li", {}, `⚑ by its words: ${kind}`));
    for (const check of node.leak_checks) {
      lines.push(make("li", {}, `${check.verdict === "clean" ? "" : "⚑ "}the judge of step ${check.step}: ${check.verdict} `, text("span", check.reply), check.failure ? ` (${check.failure})` : ""));
    }
    return lines.length ? make("div", {}, make("h4", {}, "Leaks"), make("ul", {}, ...lines)) : null;
  }

  function drawNode(node) {
    const title = make("h3", { tabindex: "-1" }, `Round ${node.round}, ${node.mentor}${node.chosen ? " ★ chosen" : ""}`);
    const parts = [title, make("p", {}, MICS.tree.describe(node))];
    if (node.failure) parts.push(make("p", { class: "failure" }, `? ${node.failure}`));
    if (node.steps.length) parts.push(make("h4", {}, node.steps.length > 1 ? "Steps" : "Step"), ...node.steps.map((step) => text("p", step)));
    parts.push(drawChecks(node));
    if (node.votes.length) parts.push(make("h4", {}, "Votes"), ...node.votes.map(drawVote));
    if (node.rest) parts.push(make("details", {}, make("summary", {}, "What the mentor wrote after it"), text("p", node.rest)));
    return parts.filter(Boolean);
  }

  function drawUsage(data) {
    const tokens = (used) => `${used.calls} calls (${used.cached_calls} from the cache), ${used.prompt_tokens.toLocaleString("en")} tokens in, ${used.completion_tokens.toLocaleString("en")} out, $${used.cost_usd.toFixed(4)}`;
    const lines = data.usage.map((used) => make("li", {}, make("b", {}, used.model), `: ${tokens(used)}`));
    const made = `seed ${data.seed}, configuration ${data.config_digest}, code ${data.code_version}, row version ${data.schema_version}`;
    return make("details", {}, make("summary", {}, "What it took, and what made it"), make("ul", {}, ...lines), make("p", { class: "quiet" }, made));
  }

  function drawHead(data) {
    const words = [`MICS-Score ${formatScore(data.score)}`, `quality ${data.quality}`, `${data.rounds} round${data.rounds === 1 ? "" : "s"}`];
    if (data.attempts > 1) words.push(`${data.attempts} attempts`);
    words.push(`${data.seconds.toFixed(1)} s`, `$${data.cost_usd.toFixed(4)}`);
    return make("p", { class: "state" }, badge(data.outcome), make("span", {}, ` ${data.reason}. `), make("span", { class: "quiet" }, words.join(", ")));
  }

  // The trees of a case and the panel of the candidate that is looked at. `go(id)` is called when it changes.
  function drawTrees(place, data, named, go) {
    const trees = [];
    const panel = make("section", { class: "card node-panel", "aria-label": `Candidate${named}`, "aria-live": "off" });
    const column = make("div", { class: "trees" });
    const chain = make("section", { class: "card chain-panel" }, make("h3", {}, "The kept chain"), drawChain(data));
    const shown = make("div", { class: "tree-and-node" }, column, panel, chain);
    place.append(shown);
    if (!data.attempts_drawn.length) column.append(make("p", { class: "quiet" }, "No search was made, so there is no tree."));
    for (const attempt of data.attempts_drawn) {
      const name = data.attempts_drawn.length > 1 ? `Search tree, attempt ${attempt.number}${named}` : `Search tree${named}`;
      const box = make("div", { class: "card" }, make("h3", {}, name), make("p", { class: "quiet" }, "Score = right votes / known votes. ★ chosen: the path that was gone on with, thick lines."));
      column.append(box);
      trees.push(MICS.tree.draw(box, attempt, name, (node) => { show(node.id); go(node.id); }));
    }

    function show(id) {
      trees.forEach((one) => one.show(id));
      const tree = trees.find((one) => one.has(id));
      const words = trees.length ? "Choose a candidate in the tree to read its step and every vote on it." : "";
      panel.replaceChildren(...(tree ? drawNode(tree.get(id)) : [make("p", { class: "quiet" }, words)]));
    }

    show(null);
    // The last chosen candidate is where reading begins.
    const chosen = data.attempts_drawn.flatMap((attempt) => attempt.nodes).filter((node) => node.chosen).pop();
    return { show, start: chosen ? chosen.id : null, has: (id) => trees.some((one) => one.has(id)), focus: () => trees[trees.length - 1]?.focus() };
  }

  return { drawPictures, drawFacts, drawChain, drawHead, drawUsage, drawTrees, text };
})();
