// What a page does by itself: draws a figure when it is first seen, fills what is folded, and answers limits from the draws it carries.
"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const NARROW = 560, OVERLAP = 1; // pixels
  const LONGEST_NOTE = 56; // letters of a figure's second line on a phone
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Figures: one is drawn when it is first shown, so that a page of many opens at once.
  const isShown = (element) => !element.closest("details:not([open]), [hidden]");

  function draw(element) {
    if (element.classList.contains("plotly-graph-div") || !isShown(element)) return;
    const { data, layout, config } = JSON.parse(element.nextElementSibling.textContent);
    delete layout.height;
    if (element.clientWidth < NARROW) narrow(data, layout);
    element.classList.add("plotly-graph-div");
    Plotly.newPlot(element, data, layout, config);
    element.on("plotly_afterplot", () => part(element));
    part(element);
    explain_figure(element);
  }

  function narrow(data, layout) {
    layout.margin = { l: 44, r: 8, t: 62, b: 40 };
    layout.font.size = 12;
    layout.title.font.size = 15;
    layout.title.subtitle.font.size = 11;
    layout.legend.font.size = 10;
    layout.legend.y = -0.2;
    for (const axis of [layout.xaxis, layout.yaxis]) {
      axis.title.font = { size: 11 };
      axis.tickangle = 0; // ticks that overlap are hidden
    }
    const note = layout.title.subtitle.text, at = note.lastIndexOf("; ", LONGEST_NOTE);
    if (note.length > LONGEST_NOTE && at > 0) {
      layout.title.subtitle.text = `${note.slice(0, at + 1)}<br>${note.slice(at + 2)}`;
      layout.margin.t += 20;
    }
    for (const arrow of layout.annotations ?? []) if (Math.abs(arrow.ax) > 36) arrow.ax = 36 * Math.sign(arrow.ax); // its room is part of the axis
    if (layout.meta === "parallel") {
      layout.xaxis.tickangle = 90;
      layout.xaxis.ticktext = layout.xaxis.ticktext.map((text) => text.split("<br>")[0]);
      layout.margin.b = 96;
      layout.showlegend = false; // the caption says which lines stand out
    }
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
    for (const table of all("table", root)) if (isShown(table)) sortable(table);
    explain(root);
  }

  // Tables: a heading sorts, a field above filters by words and by comparisons such as latency<20.
  const text_of = (row, column) => row.cells[column].textContent.trim();
  const SIZES = { kB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12, nJ: 1e-9, "µJ": 1e-6, mJ: 1e-3, million: 1e6, billion: 1e9, trillion: 1e12 };

  function value_of(text) {
    const found = text.replaceAll(",", "").match(/^[#<>]?\s*([-+]?\d+(?:\.\d+)?(?:e[+-]?\d+)?)\s*([a-zµ]+)?/i);
    return found ? Number(found[1]) * (SIZES[found[2]] ?? 1) : null;
  }

  function sortable(table) {
    const heads = all("thead th", table), body = table.tBodies[0];
    if (table.dataset.sorts || !body || body.rows.length < 2) return;
    table.dataset.sorts = "true";
    const sort = (column) => {
      const sign = heads[column].getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach((head) => head.removeAttribute("aria-sort"));
      heads[column].setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const keyed = [...body.rows].map((row) => [text_of(row, column), value_of(text_of(row, column)), row]);
      const numeric = keyed.some(([, value]) => value !== null);
      const last = ([text, value]) => (numeric ? value === null : text === "" || text === "–");
      keyed.sort((a, b) => last(a) - last(b) || sign * (numeric ? a[1] - b[1] : a[0].localeCompare(b[0])));
      body.append(...keyed.map(([, , row]) => row));
    };
    heads.forEach((head, column) => {
      head.tabIndex = 0;
      head.addEventListener("click", () => sort(column));
      head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(column); });
    });
    if (body.rows.length > 8) filter(table, heads, body);
  }

  function filter(table, heads, body) {
    const input = document.createElement("input");
    input.className = "filter";
    input.placeholder = "Filter: words, or latency<20";
    input.setAttribute("aria-label", "Filter the table");
    table.closest(".scroll").before(input);
    const names = heads.map((head) => head.textContent.toLowerCase());
    input.addEventListener("input", () => {
      const asked = input.value.toLowerCase().split(/\s+/).filter(Boolean).map((word) => {
        const found = word.match(/^([^<>]+)([<>])(-?[\d.]+)(kb|mb|gb)?$/);
        const column = found ? names.findIndex((name) => name.startsWith(found[1])) : -1;
        if (column < 0) return (row) => row.textContent.toLowerCase().includes(word);
        const bound = Number(found[3]) * ({ kb: 1e3, mb: 1e6, gb: 1e9 }[found[4]] ?? 1);
        return (row) => { const value = value_of(text_of(row, column)); return value !== null && (found[2] === "<" ? value < bound : value > bound); };
      });
      for (const row of body.rows) row.hidden = !asked.every((holds) => holds(row));
    });
  }

  // Terms: in what is shown, the first time that a sentence names one, it has its meaning as a tooltip.
  const glossary = JSON.parse(document.getElementById("glossary").textContent);
  const lower = Object.fromEntries(Object.entries(glossary).map(([word, text]) => [word.toLowerCase(), text]));
  const quote = (word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const spelled = Object.keys(lower).sort((a, b) => b.length - a.length).map(quote).join("|");

  function explain(root) {
    for (const element of all("p, figcaption, summary, .axis-words", root)) {
      if (element.dataset.explained || element.closest("[title], #terms") || !isShown(element) && element.tagName !== "SUMMARY") continue;
      element.dataset.explained = "true";
      const pattern = new RegExp(`(?<![\\w-])(?:${spelled})(?![\\w-])`, "gi"), seen = new Set();
      for (const node of [...element.childNodes]) {
        if (node.nodeType !== Node.TEXT_NODE) continue;
        const parts = [];
        let at = 0;
        for (const found of node.textContent.matchAll(pattern)) {
          const word = found[0].toLowerCase();
          if (seen.has(word)) continue;
          seen.add(word);
          const term = document.createElement("abbr");
          term.textContent = found[0];
          term.title = lower[word];
          parts.push(node.textContent.slice(at, found.index), term);
          at = found.index + found[0].length;
        }
        if (parts.length) node.replaceWith(...parts, node.textContent.slice(at));
      }
    }
  }

  // Titles of axes and the legend of a figure are explained by the terms in them.
  function explain_figure(element) {
    const pattern = new RegExp(`(?<![\\w-])(?:${spelled})(?![\\w-])`, "i");
    const pairs = [...all(".xtitle, .ytitle", element).map((text) => [text, text]), ...all(".traces", element).map((each) => [each.querySelector(".legendtext"), each.querySelector(".legendtoggle")])];
    for (const [text, target] of pairs) {
      const found = text && target && !target.querySelector("title") && text.textContent.match(pattern);
      if (!found) continue;
      const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
      title.textContent = lower[found[0].toLowerCase()];
      target.style.pointerEvents = "all";
      target.append(title);
    }
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
  const PREFIX = { n: 1e-9, "µ": 1e-6, u: 1e-6, m: 1e-3, k: 1e3, K: 1e3, M: 1e6, G: 1e9, T: 1e12 };
  const WORDS = { "": 1, "%": 1e-2, million: 1e6, billion: 1e9, trillion: 1e12 };
  const TIMES = { "": 1, ns: 1e-6, "µs": 1e-3, us: 1e-3, ms: 1, s: 1e3, min: 6e4 }; // in ms

  // A number as people write it, in the objective's unit; null where its unit is not understood, or a comma parts no thousands.
  function number(text, unit) {
    const found = text.trim().replaceAll("\u03bc", "µ").match(/^(\d{1,3}(?:,\d{3})+(?:\.\d+)?|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)\s*(.*)$/i);
    if (!found) return null;
    const [, digits, suffix] = found, prefixed = suffix.match(/^([nµumkKMGT]?)(?:B|J|FLOPs?)?$/);
    const known = unit === "ms" ? TIMES : WORDS;
    const times = Object.hasOwn(known, suffix) ? known[suffix] : unit || !prefixed ? null : PREFIX[prefixed[1]] ?? 1;
    return times === null ? null : Number(digits.replaceAll(",", "")) * times;
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
    all('[data-say="title"]', root).forEach((element) => { element.title = member.shape; });
    set("interval", member.interval);
    fill_in("command", member.command);
    set("on_front", share(answer.on_front));
    set("best", share(answer.best));
    fill_in("drawing", member.drawing);
    set("ties", answer.ties.length ? `Ties: ${answer.ties.slice(0, 6).map((trial) => `#${trial}`).join(", ")}${answer.ties.length > 6 ? ", …" : "."}` : "");
  }

  // Another device: its figure in place of the one before, and the worst value of its front as the hint of each limit.
  function turn_to(device, choice, form) {
    for (const each of all(".front > [data-device]")) each.hidden = each.dataset.device !== device;
    fill(document.querySelector(".front"));
    for (const objective of choice.objectives) form.elements[objective.name].placeholder = objective.worst;
  }

  function begin() {
    fill(document.body);
    toHash();
    const data = document.getElementById("decision");
    if (!data) return;
    const root = document.querySelector(".pick"), form = document.querySelector(".limits");
    const choices = { "": opened(JSON.parse(data.textContent)) }, chosen = form.elements.device;
    const choice_of = (device) => (choices[device] ??= opened(JSON.parse(document.querySelector(`.decision[data-device="${device}"]`).textContent)));
    const answer = () => {
      const device = chosen ? chosen.value : "", choice = choice_of(device), limits = limits_in(form), answered = decide(choice, limits);
      if (chosen) turn_to(device, choice, form);
      say(root, choice, answered, Object.keys(limits).length > 0);
      mark(choice, answered, limits);
      return answered;
    };
    form.addEventListener("input", answer);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", () => setTimeout(answer));
    answer();
    window.archfront = { decide: (limits, device = "") => decide(choice_of(device), limits), answer, limits: () => limits_in(form) };
  }
  begin();
})();
