"use strict";
// Elements of the page. Text goes in as text, never as HTML.
MICS.dom = (() => {
  // make("p", {class: "x", "aria-label": "y", onclick: f}, "text", otherElement)
  function make(name, attributes = {}, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else if (value === true) element.setAttribute(key, "");
      else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  function say(text) {
    document.getElementById("said").textContent = text;
  }

  const SIGNS = { solved: "✓", depth: "↓", dead_end: "✕", failed: "?", rejected: "–", right: "✓", wrong: "✕", unknown: "?", unasked: "·" };

  // A word with its sign, so that it is told apart without colour.
  function badge(word) {
    return make("span", { class: `badge is-${word}` }, `${SIGNS[word] ?? ""} ${word.replace("_", " ")}`);
  }

  function formatScore(score) {
    return score === null ? "–" : score.toFixed(2);
  }

  return { make, say, badge, formatScore };
})();
