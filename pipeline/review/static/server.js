// Asks the server. Addresses are relative to the page, so that it may stand below another server's.

const OWN = "nightshift-page";

// A name of this tab: it stays the same when the page is loaded again, so that it gets its own images back.
export const tab = sessionStorage.getItem(OWN) ?? crypto.randomUUID();
sessionStorage.setItem(OWN, tab);

export class Refused extends Error {
  constructor(words, status) {
    super(words);
    this.status = status;
  }
}

let headers = {}; // name the review: at this address may be another one by now

export function of(review) { headers = { "X-Nightshift-Review": review }; }

export async function ask(path, values = {}) {
  const query = new URLSearchParams(values).toString();
  return answer(await fetch(query ? `${path}?${query}` : path, { headers }));
}

export async function say(path, body) {
  return answer(await fetch(path, {
    method: "POST", headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify(body),
  }));
}

async function answer(response) {
  if (response.ok) return response.json();
  const text = await response.text();
  let words = text;
  try { words = JSON.parse(text).error ?? JSON.parse(text).detail ?? text; } catch { /* not JSON: the text itself */ }
  if (Array.isArray(words)) words = words.map((one) => one.msg).join("; "); // a value that is not valid
  throw new Refused(`${words}`.trim() || `it answered ${response.status}`, response.status);
}
