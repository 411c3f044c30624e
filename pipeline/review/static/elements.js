// Small parts of pages. Text is always text, never markup.

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) made[key] = value;
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

// Words with commands between backticks.
export const withCode = (words) => words.split("`").map((part, index) => (index % 2 ? element("code", {}, part) : part));

export function percent(share) {
  return share === null || share === undefined ? "" : `${(100 * share).toFixed(share >= 0.9995 || share < 0.0005 ? 0 : 1)} %`;
}

export const thumbnail = (sha256) => `thumbnail/${sha256}`;
export const picture = (sha256) => `picture/${sha256}`;

export const heat = (sha256) => `heat/${sha256}`;

export function verdictWords(verdict) {
  if (!verdict) return "";
  return { label: verdict.label, reject: "rejected", cannot_tell: "cannot tell", differ: "readers differ" }[verdict.kind];
}
