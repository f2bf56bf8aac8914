// Search, filters, sorting, details and themes of the catalog. Without it the page is a plain list.
"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const body = document.querySelector("tbody");
  const DAY = 86_400_000;
  const users = data.layers.map(() => 0);
  data.images.forEach((image) => image.layers.forEach((layer) => (users[layer] += 1)));
  const byName = new Map(data.images.map((image) => [image.name, image]));
  const rows = [...body.rows].map((row) => {
    const image = byName.get(row.dataset.name);
    return { row, image, words: null, can: row.dataset.can.split(" "), cell: row.querySelector(".number"), detail: null };
  });
  // Not before somebody searches: most visits only look.
  const words = (item) => {
    if (item.words) return item.words;
    const { row, image } = item;
    const layers = image.layers.map((layer) => data.layers[layer].slice(0, 2).join(" "));
    const all = [row.textContent, image.digest, ...image.tags, ...image.platforms, ...image.notes, ...layers];
    item.words = all.join(" ").toLowerCase();
    return item.words;
  };

  const make = (tag, attributes = {}, ...inside) => {
    const element = document.createElement(tag);
    Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
    element.append(...inside);
    return element;
  };
  const size = (bytes) => (bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e6).toFixed(1)} MB`);
  const total = (layers) => layers.reduce((sum, layer) => sum + data.layers[layer][2], 0);

  // Filters. What is chosen stands in the address, so that it can be passed on.
  const fields = ["q", "agent", "base", "capability", "age", "have"];
  const chosen = () => Object.fromEntries(fields.map((id) => [id, $(id).value.trim()]));
  const young = (row, age) => {
    if (age === "none") return !row.dataset.published;
    const days = row.dataset.day ? (Date.now() - Date.parse(row.dataset.day)) / DAY : NaN;
    return Number(age) > 0 ? days <= Number(age) : days > -Number(age);
  };
  const fits = (item, now, terms) => fitting(item.row, item.can, now) && terms.every((term) => words(item).includes(term));
  const fitting = (row, can, now) =>
    (!now.agent || row.dataset.agent === now.agent) &&
    (!now.base || row.dataset.base === now.base) &&
    (!now.capability || can.includes(now.capability)) &&
    (!now.age || young(row, now.age));

  let beside = "";
  const apply = () => {
    const now = chosen();
    const moved = now.have !== beside;
    beside = now.have;
    const terms = now.q.toLowerCase().split(/\s+/).filter(Boolean);
    const have = new Set(byName.get(now.have)?.layers ?? []);
    let shown = 0;
    for (const item of rows) {
      const visible = fits(item, now, terms);
      item.row.hidden = !visible;
      if (item.detail) item.detail.hidden = !visible;
      shown += visible;
      if (moved && item.image.layers.length) {
        item.cell.textContent = size(total(item.image.layers.filter((layer) => !have.has(layer))));
      }
      if (item.detail) item.detail.querySelectorAll("[data-layer]").forEach((part) => {
        part.classList.toggle("here", have.has(Number(part.dataset.layer)));
      });
    }
    $("count").textContent = `${shown} of ${rows.length} images` + (now.have ? `, sizes beside ${now.have}` : "");
    $("nothing").hidden = shown > 0;
    const kept = new URLSearchParams(Object.entries(now).filter(([, value]) => value)).toString();
    try {
      history.replaceState(null, "", `${location.pathname}${kept && `?${kept}`}${location.hash}`);
    } catch { /* a page on a disk may not change its address */ }
  };

  // Details: commands to copy, and the layers with how many images have each.
  const command = (words) => {
    const copy = make("button", { type: "button", "aria-label": `Copy: ${words}` }, "Copy");
    const code = make("code", { tabindex: "0" }, words);
    copy.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(words);
        copy.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        copy.textContent = "Press Ctrl+C";
      }
      setTimeout(() => (copy.textContent = "Copy"), 2000);
    });
    return make("div", { class: "command" }, code, copy);
  };
  const commands = (image) => {
    if (!image.repository) return [make("div", {}, make("h3", {}, "Build it"), command(`agc build ${image.name} -o docker`))];
    const exact = `${image.repository}@${image.digest}`;
    return [
      make("div", {}, make("h3", {}, "Pull exactly this one"), command(`docker pull ${exact}`), command(`podman pull ${exact}`)),
      image.verify.length
        ? make("div", {}, make("h3", {}, "Verify it"), ...image.verify.map(command))
        : make("div", {}, make("h3", {}, "Verify it, with the key of whoever published it"), command(`agc verify ${exact} --key cosign.pub`)),
    ];
  };
  const layers = (image) => {
    const kind = (layer) => `kind-${data.layers[layer][0].split("/")[0]}`;
    const stack = make("div", { class: "stack", "aria-hidden": "true" }, ...image.layers.map((layer) => {
      const part = make("span", { class: kind(layer), "data-layer": layer });
      part.style.flex = `${data.layers[layer][2]} 0 3px`;
      return part;
    }));
    const parts = image.layers.map((layer) => {
      const [component, version, bytes] = data.layers[layer];
      const others = users[layer] - 1;
      const shared = others ? `also in ${others} other${others > 1 ? "s" : ""}` : "only here";
      return make("li", { class: kind(layer) }, `${component} ${version} `, make("small", {}, `${size(bytes)}, ${shared}`));
    });
    const alone = total(image.layers.filter((layer) => users[layer] === 1));
    const own = alone ? `of which ${size(alone)} are in no other image` : "all of which other images have too";
    const title = `Layers: ${size(total(image.layers))}, ${own}`;
    return make("div", {}, make("h3", {}, title), stack, make("ul", { class: "parts" }, ...parts));
  };
  const facts = (image) => make("ul", { class: "facts" }, ...[
    image.platforms.length ? `Platforms: ${image.platforms.join(", ")}` : "",
    image.tags.length ? `Tags: ${image.tags.join(", ")}` : "",
    ...image.notes,
  ].filter(Boolean).map((words) => make("li", {}, words)));
  const toggle = (item, button) => {
    const open = button.getAttribute("aria-expanded") !== "true";
    button.setAttribute("aria-expanded", String(open));
    if (!open) {
      item.detail?.remove();
      item.detail = null;
      return;
    }
    const panel = make("div", { class: "panel" }, ...commands(item.image));
    if (item.image.layers.length) panel.append(layers(item.image));
    panel.append(facts(item.image));
    item.detail = make("tr", { class: "detail" }, make("td", { colspan: item.row.cells.length }, panel));
    item.row.after(item.detail);
    apply();
  };
  for (const item of rows) {
    const head = item.row.cells[0];
    const button = make("button", { type: "button", "aria-expanded": "false" }, head.textContent);
    button.addEventListener("click", () => toggle(item, button));
    head.replaceChildren(button);
  }

  // Sorting.
  const heads = [...document.querySelectorAll("thead [data-sort]")];
  for (const head of heads) {
    const key = head.dataset.sort;
    const button = make("button", { type: "button" }, head.textContent);
    const value = ({ row, image }) => (key === "size" ? total(image.layers) : row.dataset[key]);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((one) => one.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const order = [...rows].sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        const sign = x < y ? -1 : x > y ? 1 : 0;
        return (up ? sign : -sign) || (a.image.name < b.image.name ? -1 : 1);
      });
      body.append(...order.flatMap(({ row, detail }) => (detail ? [row, detail] : [row])));
    });
    head.replaceChildren(button);
  }

  // Keys: / searches, arrows go from image to image, Escape closes what is open, or empties the search.
  document.addEventListener("keydown", (event) => {
    const at = document.activeElement;
    const typing = at instanceof HTMLInputElement || at instanceof HTMLSelectElement;
    if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      $("q").focus();
    } else if (event.key === "Escape") {
      const row = at?.closest?.("tr");
      const item = rows.find((one) => one.row === row || (one.detail && one.detail === row));
      const button = item?.row.querySelector("th button");
      if (item?.detail) {
        toggle(item, button);
        button.focus();
      } else if (at === $("q")) {
        $("q").value = "";
        apply();
      }
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && (at === $("q") || at?.matches?.("tbody th button"))) {
      const buttons = [...body.querySelectorAll("tr:not([hidden]) th button")];
      const next = buttons[buttons.indexOf(at) + (event.key === "ArrowDown" ? 1 : -1)];
      if (next) {
        event.preventDefault();
        next.focus();
      }
    }
  });

  // Themes: that of the system, unless a person says otherwise.
  const themes = ["automatic", "light", "dark"];
  const stored = () => { try { return localStorage.getItem("theme"); } catch { return null; } };
  const wear = (theme) => {
    document.documentElement.toggleAttribute("data-theme", false);
    if (theme !== "automatic") document.documentElement.setAttribute("data-theme", theme);
    $("theme").textContent = `Theme: ${theme}`;
    $("theme").dataset.now = theme;
  };
  $("theme").addEventListener("click", () => {
    const theme = themes[(themes.indexOf($("theme").dataset.now) + 1) % themes.length];
    wear(theme);
    try { localStorage.setItem("theme", theme); } catch { /* it holds for this visit */ }
  });
  wear(themes.includes(stored()) ? stored() : "automatic");

  const asked = new URLSearchParams(location.search);
  fields.forEach((id) => { if (asked.has(id)) $(id).value = asked.get(id); });
  $("filters").addEventListener("input", apply);
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("filters").addEventListener("reset", () => setTimeout(apply));
  $("all").addEventListener("click", () => { $("filters").reset(); $("q").focus(); });
  ["filters", "theme"].forEach((id) => { $(id).hidden = false; });
  apply();
})();
