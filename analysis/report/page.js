// What a page does by itself: draws a figure when it is first seen, fills what is folded, and answers limits from the draws it carries.
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const NARROW = 560, OVERLAP = 1; // pixels
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Figures: one is drawn when it is first shown, so that a page of many opens at once.
  const isShown = (element) => !element.closest("details:not([open])");

  function draw(element) {
    if (element.classList.contains("plotly-graph-div") || !isShown(element)) return;
    const { data, layout, config } = JSON.parse(element.nextElementSibling.textContent);
    delete layout.height;
    if (element.clientWidth < NARROW) narrow(data, layout);
    element.classList.add("plotly-graph-div");
    Plotly.newPlot(element, data, layout, config);
    element.on("plotly_afterplot", () => part(element));
    part(element);
  }

  function narrow(data, layout) {
    layout.margin = { l: 44, r: 8, t: 62, b: 40 };
    layout.font.size = 12;
    layout.title.font.size = 15;
    layout.title.subtitle.font.size = 11;
    layout.legend.font.size = 10;
    layout.legend.y = -0.2;
    if (layout.coloraxis) layout.coloraxis.colorbar = { ...layout.coloraxis.colorbar, thickness: 8, tickfont: { size: 10 }, title: {} };
    if (layout.meta === "first") layout.showlegend = false;
  }

  // Of two texts that overlap the later one is hidden: what was chosen comes first, then other shapes, then ticks.
  function part(element) {
    const texts = [
      ...all(".annotation-text", element), ...all(".textpoint text", element), ...all(".xtick text", element), ...all(".ytick text", element),
    ];
    const kept = [];
    for (const text of texts) {
      text.style.visibility = "visible";
      const box = text.getBoundingClientRect();
      const hides = box.width > 0 && kept.some((other) =>
        box.left < other.right + OVERLAP && other.left < box.right + OVERLAP && box.top < other.bottom && other.top < box.bottom);
      if (hides) text.style.visibility = "hidden";
      else if (box.width > 0) kept.push(box);
    }
  }

  // What is folded: its figures are drawn and its long tables filled when it is opened.
  function fill(root) {
    for (const template of all("template.later", root)) if (isShown(template)) template.replaceWith(template.content);
    for (const element of all(".plot", root)) draw(element);
  }
  document.addEventListener("toggle", (event) => { if (event.target.open) fill(event.target); }, true);
  const unfold = (target) => {
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    const own = target && target.querySelector(":scope > details");
    if (own) own.open = true;
  };
  const toHash = () => { const target = document.getElementById(location.hash.slice(1)); if (target) { unfold(target); target.scrollIntoView(); } };
  addEventListener("hashchange", toHash);
  addEventListener("beforeprint", () => all("section > details").forEach((each) => { each.open = true; fill(each); }));

  // Limits: the rule and the probabilities of analysis/fronts/decision.py, over the same draws.
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const shorts = (text) => new Uint16Array(bytes(text).buffer);

  function opened(choice) {
    const counts = shorts(choice.counts), which = shorts(choice.which);
    const costs = choice.costs.map((cost) => {
      if (cost.exact) return Float64Array.from(which, (shape) => cost.exact[shape]);
      return Float64Array.from(shorts(cost.data), (step) => cost.low + cost.step * step);
    });
    return { ...choice, counts, which, costs };
  }

  const cost_of = (objective, value) => (objective.higher ? 1 - value : value);

  function decide(choice, limits) {
    const objectives = choice.objectives;
    const bounds = objectives.map((o) => (o.name in limits ? cost_of(o, limits[o.name]) : Infinity));
    const costs = choice.members.map((m) => m.values.map((value, place) => cost_of(objectives[place], value)));
    const within = choice.members.map((_, i) => i).filter((i) => costs[i].every((cost, place) => cost <= bounds[place]));
    if (!within.length) return { pick: null, best: 0, on_front: 0, ties: [], within };
    const least = (indices, place) => indices.reduce((a, b) => (costs[b][place] < costs[a][place] ? b : a));
    const top = least(within, 0);
    const alike = within.filter((i) => i === top || choice.members[top].ties.includes(choice.members[i].trial));
    const pick = least(alike, choice.second);
    const scaled = bounds.map((bound, place) => (objectives[place].log ? (bound > 0 ? Math.log(bound) : -Infinity) : bound));
    const shape = choice.shapes.indexOf(choice.members[pick].trial);
    let best = 0, on_front = 0, at = 0;
    for (const count of choice.counts) {
      let mine = -1, lowest = Infinity;
      for (const end = at + count; at < end; at++) {
        let inside = true;
        for (let place = 0; inside && place < scaled.length; place++) inside = choice.costs[place][at] <= scaled[place];
        if (!inside) continue;
        if (choice.costs[0][at] < lowest) lowest = choice.costs[0][at];
        if (choice.which[at] === shape) mine = at;
      }
      if (mine >= 0) { on_front++; if (choice.costs[0][mine] <= lowest) best++; }
    }
    const draws = choice.counts.length;
    const ties = alike.filter((i) => i !== pick).map((i) => choice.members[i].trial);
    return { pick: choice.members[pick].trial, best: best / draws, on_front: on_front / draws, ties, within };
  }

  const share = (value) => (value < 0.01 ? "<1%" : value > 0.99 ? ">99%" : `${Math.round(100 * value)}%`);
  const PREFIX = { n: 1e-9, "µ": 1e-6, u: 1e-6, m: 1e-3, k: 1e3, K: 1e3, M: 1e6, G: 1e9, T: 1e12, "%": 1e-2 };

  function number(text, unit) {
    const found = text.replaceAll(",", "").match(/^\s*(\d*\.?\d+(?:e[+-]?\d+)?)\s*(\S?)/i);
    if (!found) return null;
    return Number(found[1]) * (unit ? 1 : PREFIX[found[2]] ?? 1);
  }

  function limits_in(form) {
    const limits = {};
    for (const input of all("input", form)) {
      const value = number(input.value, input.dataset.unit);
      if (value !== null) limits[input.name] = value;
      input.setAttribute("aria-invalid", String(input.value.trim() !== "" && value === null));
    }
    return limits;
  }

  // A path, for Plotly takes no negative pixels of a circle on a logarithmic axis.
  function circle(r) {
    const k = 0.5523 * r;
    return `M${-r},0C${-r},${k} ${-k},${r} 0,${r}C${k},${r} ${r},${k} ${r},0C${r},${-k} ${k},${-r} 0,${-r}C${-k},${-r} ${-r},${-k} ${-r},0Z`;
  }

  function mark(choice, answer, limits) {
    const figure = document.getElementById(choice.figure.id);
    if (!figure || !figure.classList.contains("plotly-graph-div")) return;
    const { x, y } = choice.figure, ring = (trial, radius, line) => {
      const member = choice.members.find((each) => each.trial === trial);
      return { type: "path", xsizemode: "pixel", ysizemode: "pixel", xanchor: member.values[x], yanchor: member.values[y], path: circle(radius), line };
    };
    const bound = { color: css("--reference"), width: 1.5, dash: "dash" }, shapes = [];
    for (const [place, ends] of [[x, "x"], [y, "y"]]) {
      const limit = limits[choice.objectives[place].name];
      const other = ends === "x" ? "y" : "x";
      if (limit !== undefined) shapes.push({ type: "line", [`${ends}0`]: limit, [`${ends}1`]: limit, [`${other}ref`]: "paper", [`${other}0`]: 0, [`${other}1`]: 1, line: bound });
    }
    for (const trial of answer.ties) shapes.push(ring(trial, 10, { color: css("--front"), width: 1.5, dash: "dot" }));
    if (answer.pick !== null) shapes.push(ring(answer.pick, 11, { color: css("--front"), width: 3 }));
    Plotly.relayout(figure, { shapes });
  }

  function say(root, choice, answer, limited) {
    const member = choice.members.find((each) => each.trial === answer.pick);
    root.classList.toggle("none", !member);
    const set = (name, text) => all(`[data-say="${name}"]`, root).forEach((element) => { element.textContent = text; });
    const fill_in = (name, markup) => all(`[data-say="${name}"]`, root).forEach((element) => { element.innerHTML = markup; });
    set("what", member ? (limited ? "Recommended within these limits" : member.what) : "No shape on the front keeps to these limits");
    if (!member) return;
    fill_in("values", member.written);
    set("title", member.title);
    set("interval", member.interval);
    fill_in("command", member.command);
    set("on_front", share(answer.on_front));
    set("best", share(answer.best));
    fill_in("drawing", member.drawing || "");
    set("ties", answer.ties.length ? `Ties: ${answer.ties.slice(0, 6).map((trial) => `#${trial}`).join(", ")}${answer.ties.length > 6 ? ", …" : ""}.` : "");
  }

  function begin() {
    fill(document.body);
    toHash();
    const data = document.getElementById("decision");
    if (!data) return;
    const root = document.querySelector(".pick"), form = document.querySelector(".limits");
    const choice = opened(JSON.parse(data.textContent));
    const answer = () => {
      const limits = limits_in(form), answered = decide(choice, limits);
      say(root, choice, answered, Object.keys(limits).length > 0);
      mark(choice, answered, limits);
      return answered;
    };
    form.addEventListener("input", answer);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(answer));
    answer();
    window.archfront = { decide: (limits) => decide(choice, limits), answer };
  }
  begin();
})();
