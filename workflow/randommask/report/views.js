// Draws the views of `views.py`: dots or cells, what is pointed at, and filters.
"use strict";

const ink = (name) =>
  getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function control(box, label, input) {
  const around = document.createElement("label");
  around.append(label + " ", input);
  box.append(around);
  return input;
}

function choice(box, label, options) {
  const select = document.createElement("select");
  options.forEach((text, value) => select.add(new Option(text, value)));
  return control(box, label, select);
}

function input(box, label, attributes) {
  return control(box, label, Object.assign(document.createElement("input"), attributes));
}

// A canvas as wide as it is shown, sharp on fine screens; gives its side in CSS pixels.
function prepare(canvas) {
  const side = canvas.clientWidth;
  const scale = window.devicePixelRatio || 1;
  canvas.width = canvas.height = Math.round(side * scale);
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, side, side);
  return [pen, side];
}

function embeddings(view, told, canvas, output) {
  const box = view.querySelector(".controls");
  const encoder = choice(box, "encoder", told.encoders.map((one) => one.label));
  const step = choice(box, "step", []);
  const pairs = ["any", ...Object.keys(told.colours)];
  const center = choice(box, "centre", pairs);
  const letters = input(box, "letters", { type: "search", size: 8 });
  let placed = [];

  function steps() {
    const found = Object.keys(told.encoders[encoder.value].steps);
    step.replaceChildren(...found.map((n) => new Option(Number(n).toLocaleString("en"), n)));
    step.value = found[found.length - 1];
  }

  function draw(pointed = -1) {
    const one = told.encoders[encoder.value];
    const [xs, ys] = one.steps[step.value];
    const [pen, side] = prepare(canvas);
    const all = Object.values(one.steps);
    const reach = Math.max(...all.flat(2).map(Math.abs)) * 1.05;
    const at = (value) => ((value + reach) / (2 * reach)) * side;
    let wanted = /./;
    const typed = letters.value.toUpperCase().replace(/[^ACGTN]/g, "");
    if (typed) wanted = new RegExp(typed.replace(/N/g, "."));
    const pair = pairs[center.value];
    const kept = (i) =>
      (pair === "any" || one.centers[i] === pair) && wanted.test(one.kmers[i]);
    placed = [];
    const size = Math.max(1.6, Math.min(5, 90 / Math.sqrt(xs.length)));
    for (const shown of [false, true]) {
      xs.forEach((x, i) => {
        if (kept(i) !== shown) return;
        pen.beginPath();
        pen.globalAlpha = shown ? 1 : 0.25;
        pen.fillStyle = shown ? told.colours[one.centers[i]] : ink("--soft");
        pen.arc(at(x), side - at(ys[i]), shown ? size : size * 0.6, 0, 7);
        pen.fill();
        // a thin edge, so that dark dots are seen on dark paper
        if (shown) {
          pen.strokeStyle = ink(i === pointed ? "--ink" : "--line");
          pen.lineWidth = i === pointed ? 2.5 : 0.5;
          pen.stroke();
          placed.push([at(x), side - at(ys[i]), i]);
        }
      });
    }
    pen.globalAlpha = 1;
    const told_of = pointed < 0 ? "" : `${one.kmers[pointed]}, centre ${one.centers[pointed]}; `;
    output.textContent = `${told_of}${placed.length} of ${xs.length} k-mers`;
  }

  function point(x, y) {
    let best = -1;
    let least = 144;
    for (const [px, py, i] of placed) {
      const far = (px - x) ** 2 + (py - y) ** 2;
      if (far < least) [least, best] = [far, i];
    }
    draw(best);
  }

  encoder.onchange = () => { steps(); draw(); };
  for (const one of [step, center]) one.onchange = () => draw();
  letters.oninput = () => draw();
  steps();
  return [draw, point];
}

function attention(view, told, canvas, output) {
  const box = view.querySelector(".controls");
  const encoder = choice(box, "encoder", told.encoders.map((one) => one.label));
  const layer = choice(box, "layer", []);
  const least = input(box, "hide below", { type: "range", min: 0, max: 60, value: 0 });
  const maps = told.encoders.map((one) => {
    const bytes = Uint8Array.from(atob(one.map), (c) => c.charCodeAt(0));
    return new Uint16Array(bytes.buffer);
  });
  const share = (value) => `${(100 * value).toFixed(value < 0.01 ? 2 : 1)} %`;

  function layers() {
    const count = told.encoders[encoder.value].shape[0];
    const before = Number(layer.value);
    layer.replaceChildren(...Array.from({ length: count }, (_, n) => new Option(n + 1, n)));
    layer.value = Math.min(before, count - 1);
  }

  function value(row, column) {
    const tokens = told.encoders[encoder.value].shape[1];
    const start = layer.value * tokens * tokens;
    return maps[encoder.value][start + row * tokens + column] / 65535;
  }

  function name(position, tokens) {
    if (position === 0) return "[CLS]";
    return position === tokens - 1 ? "[SEP]" : `token ${position}`;
  }

  function draw(row = -1, column = -1) {
    const tokens = told.encoders[encoder.value].shape[1];
    const [pen, side] = prepare(canvas);
    const cell = side / tokens;
    const floor = least.value ? 10 ** (least.value / 20 - 3) : 0;
    const hidden = Number(least.value) === 0 ? 0 : floor;
    pen.fillStyle = ink("--link");
    for (let r = 0; r < tokens; r++) {
      for (let c = 0; c < tokens; c++) {
        const v = value(r, c);
        if (v < hidden || v <= 0) continue;
        // from a share of 0.1 % on, on a logarithmic scale, as the figure has it
        pen.globalAlpha = Math.max(0, Math.min(1, 1 + Math.log10(v) / 3));
        pen.fillRect(c * cell, r * cell, cell + 0.5, cell + 0.5);
      }
    }
    pen.globalAlpha = 1;
    let said = `layer ${Number(layer.value) + 1}; shares of at least ${share(hidden)}`;
    if (row >= 0 && row < tokens && column >= 0 && column < tokens) {
      pen.strokeStyle = ink("--ink");
      pen.lineWidth = 2;
      pen.strokeRect(column * cell, row * cell, cell, cell);
      said = `${name(row, tokens)} looks at ${name(column, tokens)}: ${share(value(row, column))}`;
    }
    output.textContent = said;
  }

  encoder.onchange = () => { layers(); draw(); };
  layer.onchange = () => draw();
  least.oninput = () => draw();
  layers();
  return [draw, (x, y) => {
    const cell = canvas.clientWidth / told.encoders[encoder.value].shape[1];
    draw(Math.floor(y / cell), Math.floor(x / cell));
  }];
}

for (const view of document.querySelectorAll("[data-view]")) {
  const told = JSON.parse(view.querySelector('script[type="application/json"]').textContent);
  const canvas = view.querySelector("canvas");
  const output = view.querySelector("output");
  const kinds = { embeddings, attention };
  const [draw, point] = kinds[view.dataset.view](view, told, canvas, output);
  canvas.addEventListener("pointermove", (event) => point(event.offsetX, event.offsetY));
  canvas.addEventListener("pointerleave", () => draw());
  new ResizeObserver(() => draw()).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());
}
