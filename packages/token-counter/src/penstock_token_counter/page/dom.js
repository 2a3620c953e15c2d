// Small changes to the document, made only where something changes.

export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export const make = (name, properties = {}) => Object.assign(document.createElement(name), properties);

/** Puts texts where `data-field` names them. */
export function fill(root, fields) {
  for (const [field, text] of Object.entries(fields)) put(root.querySelector(`[data-field="${field}"]`), text);
}

export function width(element, part, all) {
  element.style.setProperty("--share", `${Math.min(100, (100 * part) / Math.max(1, all))}%`);
}

/** A table row whose first cell is its heading, and whose others are numbers. */
export function row([heading, ...numbers]) {
  const made = make("tr");
  made.append(make("th", { scope: "row", textContent: heading }));
  made.append(...numbers.map((text) => make("td", { className: "number", textContent: text })));
  return made;
}
