"use strict";
// The data of the page: pieces that script tags bring, or that stand in the page itself; each is decoded once.
const MICS = (() => {
  const waiting = new Map(); // name -> what takes the text of a piece that is being loaded
  const pieces = new Map(); // name -> promise of its value, the oldest first
  const MOST_CASES = 12; // pieces of cases that are kept

  async function decode(text) {
    const raw = atob(text);
    const bytes = new Uint8Array(raw.length);
    for (let at = 0; at < raw.length; at += 1) bytes[at] = raw.charCodeAt(at);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return JSON.parse(await new Response(stream).text());
  }

  // What the page itself holds: all of it in a report of one file, nothing otherwise.
  const held = new Map([...document.querySelectorAll("script[data-name]")].map((one) => [one.dataset.name, one]));

  function request(name) {
    if (held.has(name)) return Promise.resolve(held.get(name).textContent);
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      waiting.set(name, resolve);
      script.onload = () => {
        script.remove();
        if (waiting.delete(name)) reject(new Error(`data/${name}.js holds other data`));
      };
      script.onerror = () => {
        script.remove();
        waiting.delete(name);
        reject(new Error(`data/${name}.js is not there: keep the files beside the page`));
      };
      script.src = `data/${name}.js`;
      document.head.append(script);
    });
  }

  function load(name) {
    if (!pieces.has(name)) {
      const piece = request(name).then(decode);
      piece.catch(() => pieces.delete(name));
      pieces.set(name, piece);
      const cases = [...pieces.keys()].filter((one) => one.startsWith("cases/"));
      if (cases.length > MOST_CASES) pieces.delete(cases[0]);
    }
    return pieces.get(name);
  }

  // What a script of data calls.
  function put(name, text) {
    const take = waiting.get(name);
    waiting.delete(name);
    if (take) take(text);
  }

  // The address of a picture: a file beside the page, or the one that the page holds.
  function locate(file) {
    return held.get(file)?.textContent ?? file;
  }

  const run = JSON.parse(document.getElementById("run").textContent);

  // The case with this number, of this side.
  async function loadCase(side, number) {
    const first = run.sides[side].first;
    let low = 0;
    let high = first.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (first[middle] <= number) low = middle;
      else high = middle - 1;
    }
    const cases = await load(`cases/${side}/${low}`);
    return cases[number - first[low]];
  }

  return { put, load, loadCase, locate, run };
})();
