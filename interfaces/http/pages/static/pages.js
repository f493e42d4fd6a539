/* What a page gains with JavaScript: it is always new. Without it everything works, and the page is asked for again. */
"use strict";
(() => {
  const body = document.body;

  /* A form that somebody is filling in keeps what was typed, and the focus stays where it is. */
  const listFocusable = (part) => [...part.querySelectorAll("a, button, summary, input, select")];
  const describePlace = (part, one) => ({
    id: one.id, form: one.closest("details[id]")?.id, tag: one.tagName, at: listFocusable(part).indexOf(one), caret: one.selectionStart,
  });
  const findPlace = (part, place) =>
    (place.id && document.getElementById(place.id)) ||
    (place.form && document.getElementById(place.form)?.querySelector(place.tag)) ||
    listFocusable(part)[place.at];
  const rememberInput = (part) => ({
    open: [...part.querySelectorAll("details[open][id]")].map((one) => one.id),
    scrolls: [...part.querySelectorAll(".scroll[id]")].map((one) => [one.id, one.scrollTop]),
    values: [...part.querySelectorAll("input[id], select[id]")].map((one) => [one.id, one.value]),
    focus: part.contains(document.activeElement) ? describePlace(part, document.activeElement) : null,
  });

  const restoreInput = (part, kept) => {
    for (const id of kept.open) document.getElementById(id)?.setAttribute("open", "");
    for (const [id, value] of kept.values) {
      const field = document.getElementById(id);
      if (field && field.value !== value) field.value = value;
    }
    for (const [id, top] of kept.scrolls) document.getElementById(id)?.scrollTo({ top });
    if (!kept.focus) return;
    const again = findPlace(part, kept.focus);
    again?.focus({ preventScroll: true });
    if (again?.type === "text") again.setSelectionRange(kept.focus.caret, kept.focus.caret);
  };

  /* Ages run by themselves; what differs in nothing else is left alone, with what is selected in it. */
  const shown = new Map();
  const withoutAges = (part) => part.innerHTML.replace(/(<time[^>]*data-age[^>]*>)[^<]*/g, "$1");

  const replaceParts = (fresh) => {
    for (const part of document.querySelectorAll("[data-live]")) {
      const other = fresh.getElementById(part.id);
      if (!other || withoutAges(other) === shown.get(part.id)) continue;
      const kept = rememberInput(part);
      part.innerHTML = other.innerHTML;
      shown.set(part.id, withoutAges(other));
      restoreInput(part, kept);
    }
    updateAges();
  };

  /* A press counts where it began. A new part under the pointer or the key would get only its end, which does nothing. A press whose end is not seen, because it ended in another window, is not waited for. */
  const LONGEST_PRESS = 10000;
  let pressed = -Infinity;
  for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, () => { pressed = performance.now(); });
  for (const kind of ["pointerup", "pointercancel", "keyup", "blur"])
    addEventListener(kind, () => setTimeout(() => { pressed = -Infinity; }));  /* its click comes after it */
  const waitForRelease = async () => {
    while (performance.now() - pressed < LONGEST_PRESS) await new Promise((done) => setTimeout(done, 20));
  };

  let asking = false, again = false;
  const refresh = async () => {
    if (asking) { again = true; return; }
    asking = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, credentials: "same-origin" });
      if (answer.redirected || answer.status === 401) location.reload();
      else if (answer.ok) {
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
        await waitForRelease();
        replaceParts(fresh);
      }
      body.classList.toggle("stale", !answer.ok);
    } catch { body.classList.add("stale"); }
    asking = false;
    if (again) { again = false; refresh(); }
  };

  /* Ages and countdowns go on between two changes; the server's clock counts, not this machine's. */
  const skew = Date.parse(document.documentElement.dataset.now) - Date.now();
  const formatAge = (seconds) => {
    for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60]])
      if (seconds >= 2 * size) return `${Math.round(seconds / size)} ${unit}`;
    return `${Math.round(seconds)} s`;
  };
  const updateAges = () => {
    const now = Date.now() + skew;
    for (const one of document.querySelectorAll("time[data-age]")) {
      const seconds = (now - Date.parse(one.dateTime)) / 1000;
      if (one.dataset.age === "span") one.textContent = formatAge(Math.max(0, seconds));
      else one.textContent = seconds >= 0 ? `${formatAge(seconds)} ago` : `in ${formatAge(-seconds)}`;
    }
  };

  if (document.querySelector("[data-live]")) {
    for (const part of document.querySelectorAll("[data-live]")) shown.set(part.id, withoutAges(part));
    const stream = new EventSource("/live");
    stream.addEventListener("changed", refresh);
    stream.onopen = () => body.classList.remove("stale");
    stream.onerror = () => body.classList.add("stale");
    setInterval(refresh, 15000);
  }
  setInterval(updateAges, 1000);
})();
