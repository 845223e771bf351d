import { vi } from "vitest";
import type { components, paths } from "../shared/api/schema";

/**
 * The server as the pages see it: a double of `fetch` whose answers have the types of the OpenAPI file.
 *
 * What a test asks and nobody answers fails the test. The newest answer to a route counts.
 */

type Schemas = components["schemas"];
type Verb = "get" | "post" | "put" | "patch" | "delete";
type Operation<P extends keyof paths, V extends Verb> = NonNullable<paths[P][V]>;
type Served<P extends keyof paths> = { [V in Verb]: Operation<P, V> extends { responses: unknown } ? V : never }[Verb];
type Content<T> = T extends { content: { "application/json": infer Body } } ? Body : undefined;
type Success<O> = O extends { responses: infer R } ? R[Extract<keyof R, 200 | 201 | 202 | 204>] : never;
export type Answer<P extends keyof paths, V extends Verb> = Content<Success<Operation<P, V>>>;
export type Sent<P extends keyof paths, V extends Verb> =
  Operation<P, V> extends { requestBody?: infer B } ? Content<NonNullable<B>> : undefined;

export interface Call<Body = unknown> {
  path: Record<string, string>;
  query: URLSearchParams;
  headers: Headers;
  body: Body;
}

/** A refusal, as RFC 9457 says it. */
export class Refusal {
  constructor(readonly problem: Schemas["ProblemDetails"]) {}
}

/** The server is not there. */
export const UNREACHABLE = new TypeError("Failed to fetch");

type Result<T> = T | Refusal | typeof UNREACHABLE;
type Handler<T, Body> = Result<T> | ((call: Call<Body>) => Result<T> | Promise<Result<T>>);

interface Route {
  verb: string;
  template: string;
  pattern: RegExp;
  handler: Handler<unknown, never>;
}

let routes: Route[] = [];
let calls: (Call & { verb: string; template: string })[] = [];
let unanswered: string[] = [];

const pattern = (template: string) => new RegExp(`^${template.replace(/\{(\w+)\}/g, "(?<$1>[^/]+)")}$`);

export const server = {
  /** Answer `verb template` so: by a value, by a refusal, or by what a function makes of the call. */
  on<P extends keyof paths, V extends Served<P>>(
    verb: V,
    template: P,
    handler: Handler<Answer<P, V>, Sent<P, V>>,
  ): void {
    routes.unshift({ verb, template, pattern: pattern(template), handler: handler as Route["handler"] });
  },

  /** What was asked of `verb template`, the oldest first. */
  calls<P extends keyof paths, V extends Served<P>>(verb: V, template: P): Call<Sent<P, V>>[] {
    return calls.filter((call) => call.verb === verb && call.template === template) as Call<Sent<P, V>>[];
  },

  /** The last call's body. */
  sent<P extends keyof paths, V extends Served<P>>(verb: V, template: P): Sent<P, V> | undefined {
    return this.calls(verb, template).at(-1)?.body;
  },

  /** Answer `verb template` only when the test says so. */
  hold<P extends keyof paths, V extends Served<P>>(verb: V, template: P): (answer: Result<Answer<P, V>>) => void {
    let release: (answer: Result<Answer<P, V>>) => void = () => {};
    const answer = new Promise<Result<Answer<P, V>>>((resolve) => {
      release = resolve;
    });
    this.on(verb, template, () => answer);
    return release;
  },

  /** Begin with no answers; says what was asked and not answered since. */
  reset(): string[] {
    const open = unanswered;
    [routes, calls, unanswered] = [[], [], []];
    return open;
  },
};

async function answer(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const request = new Request(input instanceof Request ? input : new URL(input, window.location.href), init);
  const { pathname, searchParams: query } = new URL(request.url);
  const verb = request.method.toLowerCase();
  const route = routes.find((one) => one.verb === verb && one.pattern.test(pathname));
  if (!route) {
    unanswered.push(`${request.method} ${pathname}`);
    throw new TypeError(`Nobody answers ${request.method} ${pathname}`);
  }
  const text = await request.text();
  const call = {
    path: { ...route.pattern.exec(pathname)?.groups },
    query,
    headers: request.headers,
    body: (text ? JSON.parse(text) : undefined) as never,
  };
  calls.push({ ...call, verb, template: route.template });
  const result = typeof route.handler === "function" ? await route.handler(call) : route.handler;
  if (result === UNREACHABLE) throw result;
  if (result instanceof Refusal)
    return Response.json(result.problem, {
      status: result.problem.status,
      headers: { "Content-Type": "application/problem+json" },
    });
  return result === undefined ? new Response(null, { status: 204 }) : Response.json(result);
}

vi.stubGlobal("fetch", answer);

/** A list's page. */
export const page = <T>(items: T[], next_cursor: string | null = null) => ({ items, next_cursor });

/** A refusal as the server's `Problem`s write it; a field, a cure and a list of errors where the test says so. */
export function refuse(status: number, more: Partial<Schemas["ProblemDetails"]> = {}): Refusal {
  return new Refusal({
    type: "about:blank",
    title: "",
    detail: "It was refused.",
    code: "conflict",
    errors: [],
    ...more,
    status,
  });
}
