import { said, together } from "../i18n/said";
import type { components } from "./schema";

/** RFC 9457 problem details as the server answers them. */
export interface Problem {
  status: number;
  title: string;
  detail: string;
  code: string;
  field?: string | null;
  cure?: string | null;
  errors?: { field: string; detail: string }[];
  /** With code `price_changed`: what it costs now, in UNC per hour. */
  price?: string | null;
  second_factor?: components["schemas"]["SecondFactorAsked"] | null;
}

/** A problem, said in the reader's language. */
export class ApiError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    const { title, detail, cure, errors } = problem;
    super(said(detail || title) || problem.code);
    this.problem = {
      ...problem,
      title: said(title),
      detail: said(detail),
      cure: said(cure),
      errors: errors?.map((one) => ({ ...one, detail: said(one.detail) })),
    };
  }
}

export type FieldPath = (string | number)[];

/** `items.0.quantity` → `["items", 0, "quantity"]`, as a form names its fields. */
export function fieldPath(field: string): FieldPath {
  return field.split(".").map((part) => (/^\d+$/.test(part) ? Number(part) : part));
}

/**
 * Sort a problem's errors into those that belong to one of a form's fields and those that belong nowhere.
 * `names` are the form's fields; `rename` maps the server's names to the form's where they differ.
 */
export function toFields(problem: Problem, names: FieldPath[], rename: Record<string, string> = {}) {
  const known = new Map(names.map((name) => [name.join("."), name]));
  const errors = problem.errors?.length
    ? problem.errors
    : problem.field
      ? [{ field: problem.field, detail: problem.detail }]
      : [];
  const fields = new Map<string, { name: FieldPath; errors: string[] }>();
  const rest: string[] = [];
  for (const error of errors) {
    const name = known.get(closest(rename[error.field] ?? error.field, known));
    if (!name) {
      rest.push(error.detail);
      continue;
    }
    const key = name.join(".");
    const text = errors.length === 1 ? together(error.detail, problem.cure) : error.detail;
    fields.set(key, { name, errors: [...(fields.get(key)?.errors ?? []), text] });
  }
  return { fields: [...fields.values()], rest: errors.length ? rest : [problem.detail] };
}

/** The field itself, or the nearest field around it: `user_ids.3` → `user_ids`. */
function closest(field: string, known: Map<string, FieldPath>): string {
  const parts = field.split(".");
  while (parts.length > 1 && !known.has(parts.join("."))) parts.pop();
  return parts.join(".");
}
