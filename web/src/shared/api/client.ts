import createClient from "openapi-fetch";
import { ApiError, type Problem } from "./problem";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];
export type Page<T> = { items: T[]; next_cursor?: string | null };
/** What every list understands. `sort` is one of the list's own names, which its columns say: `never` fits each. */
export type PageQuery = { limit?: number; cursor?: string; search?: string; sort?: never };

/** The most rows that one call may answer. */
export const MAX_ROWS = 500;

let csrfToken = "";
let onLoggedOut: () => void = () => {};

export const csrf = () => csrfToken;
export const setCsrf = (token: string) => {
  csrfToken = token;
};
/** What to do when any call answers that nobody is logged in. */
export const setOnLoggedOut = (handler: () => void) => {
  onLoggedOut = handler;
};

/** Keys of creating calls whose answer never came: sent again with the same key, they act once. */
const unanswered = new Map<string, string>();
const CREATES = /\/api\/v1\/(?!users|uploads|invitations|applications)[a-z-]+$/;

async function fetchWithHeaders(request: Request): Promise<Response> {
  if (request.method === "GET") return fetch(request);
  const headers = new Headers(request.headers);
  if (csrfToken) headers.set("X-CSRF-Token", csrfToken);
  if (request.method !== "POST" || !CREATES.test(request.url)) return fetch(new Request(request, { headers }));
  const call = request.url + (await request.clone().text());
  const key = unanswered.get(call) ?? randomKey();
  unanswered.set(call, key);
  headers.set("Idempotency-Key", key);
  const response = await fetch(new Request(request, { headers }));
  unanswered.delete(call);
  return response;
}

const randomKey = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(36)).join("");

export const api = createClient<paths>({
  baseUrl: globalThis.location?.origin ?? "http://localhost",
  fetch: fetchWithHeaders,
});

type Result<T> = { data?: T; error?: unknown; response: Response };

/** Unwrap a call's answer (JSON, where a list may answer CSV as well); throws an `ApiError` for a problem and for a server that does not answer. */
export async function ok<T>(call: Promise<Result<T>>): Promise<Exclude<T, string>> {
  let result: Result<T>;
  try {
    result = await call;
  } catch {
    throw new ApiError({ status: 0, title: "", detail: "", code: "unreachable" });
  }
  if (result.response.ok) return result.data as Exclude<T, string>;
  if (result.response.status === 401) onLoggedOut();
  throw new ApiError(asProblem(result.error, result.response));
}

function asProblem(error: unknown, response: Response): Problem {
  if (error && typeof error === "object" && "detail" in error) return error as Problem;
  return { status: response.status, title: response.statusText, detail: "", code: "unreachable" };
}

/** Fetch `path` as CSV and hand it to the browser as a download. */
export async function downloadCsv(path: string, query: Record<string, string>, name: string): Promise<void> {
  const url = `${path}?${new URLSearchParams(query)}`;
  const blob = await ok(
    fetch(url, { headers: { Accept: "text/csv" } }).then(async (response) =>
      response.ok ? { data: await response.blob(), response } : { error: await response.json(), response },
    ),
  );
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob as Blob);
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
