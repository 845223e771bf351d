import i18n from "i18next";
import catalogue from "./zh/said.json";

/**
 * What the server says, in the reader's language.
 *
 * The server writes English with its values filled in: `Pool 'lab' has no nodes`. `zh/said.json` holds its templates,
 * `Pool {0} has no nodes`, and their Chinese. Values are said too, unless the Chinese marks one as a name or as a
 * person's own words: `{0=}`; `{0#}` takes nothing but a figure. Templates under `parts` stand only within others.
 * What no template fits stays as it is.
 */
export function said(text: string): string;
export function said(text: string | null | undefined): string | undefined;
export function said(text: string | null | undefined): string | undefined {
  if (!text || i18n.language !== "zh") return text ?? undefined;
  return inChinese(text);
}

/** Several texts as one, in the reader's language: what is wrong, and the cure. */
export function together(...texts: (string | null | undefined)[]): string {
  const [stop, space] = i18n.language === "zh" ? ["。", ""] : [".", " "];
  return texts
    .flatMap((text) => said(text) || [])
    .reduce((out, text) => (out ? `${out}${/[.!?。？！]$/.test(out) ? "" : stop}${space}${text}` : text), "");
}

export function inChinese(text: string): string {
  let known = memory.get(text);
  if (known === undefined) {
    known = (text.length > LONGEST ? undefined : say(text, 0)) ?? text;
    if (memory.size >= MOST_REMEMBERED) memory.clear();
    memory.set(text, known);
  }
  return known;
}

/** Longer ones are no texts of the server's. */
const LONGEST = 3000;
const MOST_REMEMBERED = 1000;
const memory = new Map<string, string>();

interface Template {
  /** What stands before, between and after the values. */
  literals: string[];
  chinese: string;
  /** The values that are figures. */
  figures: number[];
}

const sentences = new Map(Object.entries(catalogue.texts));
const everything = new Map([...sentences, ...Object.entries(catalogue.parts)]);

/** The most specific ones first. */
function templates(texts: Map<string, string>): Template[] {
  const letters = ({ literals }: Template) => literals.join("").length;
  return [...texts]
    .map(([english, chinese]) => ({
      literals: english.split(/\{\d\}/),
      chinese,
      figures: [...chinese.matchAll(/\{(\d)#\}/g)].map((gap) => Number(gap[1])),
    }))
    .filter(({ literals }) => literals.length > 1)
    .sort((one, other) => letters(other) - letters(one));
}

const [SENTENCES, EVERYTHING] = [templates(sentences), templates(everything)];

/** How deep values lie within values; deeper ones stay English. */
const DEEPEST = 6;
const OUTER_JOINTS: [string | RegExp, string][] = [
  [/(?<=[.!?]) /, ""],
  ["; ", "；"],
  [": ", "："],
];
/** Only within a text, where a person's own words may not be; and not within brackets. */
const INNER_JOINTS: typeof OUTER_JOINTS = [
  [/, (?![^()]*\))/, "、"],
  [/ and (?![^()]*\))/, "和"],
  [/ or (?![^()]*\))/, "或"],
];
/** What begins with a value does not begin with a whole text. */
const STOP = /[;.] /;
const QUOTED = /^'[^']*'$|^"[^"]*"$/;
const FIGURE = /^-?\d\S*$/;
const FIGURE_FIRST = /^(-?\d\S*) (.+)$/s;

/** The Chinese of a text, or of a value at this depth within one; undefined when nothing of it is known. */
function say(text: string, depth: number): string | undefined {
  if (depth > DEEPEST) return undefined;
  const bare = text.trim();
  if (depth && QUOTED.test(bare)) return `“${bare.slice(1, -1)}”`;
  const list = depth ? joined(bare, depth) : undefined;
  if (list?.whole) return list.text;
  return whole(bare, depth) ?? otherwise(bare, depth) ?? after(bare, depth) ?? (list ?? joined(bare, depth))?.text;
}

function whole(text: string, depth: number): string | undefined {
  const exact = (depth ? everything : sentences).get(text);
  if (exact !== undefined) return exact;
  for (const { literals, chinese, figures } of depth ? EVERYTHING : SENTENCES) {
    const values = match(text, literals);
    if (!values || (!literals[0] && STOP.test(values[0] ?? ""))) continue;
    if (figures.every((place) => FIGURE.test(values[place] ?? ""))) return fill(chinese, values, depth);
  }
  return undefined;
}

/** A text that was made a sentence, or a part of one: with a stop, with another first letter. */
function otherwise(text: string, depth: number): string | undefined {
  const bare = text.replace(/\.$/, "");
  const [first = "", rest = ""] = [bare.slice(0, 1), bare.slice(1)];
  const turned = (first === first.toUpperCase() ? first.toLowerCase() : first.toUpperCase()) + rest;
  for (const form of new Set([bare, turned, `${turned}.`])) {
    const known = form === text ? undefined : whole(form, depth);
    if (known) return bare === text || known.endsWith("。") ? known : `${known}。`;
  }
  return undefined;
}

/** The values that fill a template's gaps to make `text`. Linear: each literal is looked for once, from the left. */
function match(text: string, literals: string[]): string[] | undefined {
  const first = literals[0] ?? "";
  const last = literals[literals.length - 1] ?? "";
  if (!text.startsWith(first) || !text.endsWith(last)) return undefined;
  const end = text.length - last.length;
  const values: string[] = [];
  let from = first.length;
  for (const literal of literals.slice(1, -1)) {
    const at = next(text, literal, from);
    if (at < 0) return undefined;
    values.push(text.slice(from, at));
    from = at + literal.length;
  }
  if (from > end) return undefined;
  return [...values, text.slice(from, end)];
}

/** Where a literal comes next; a mere space ends a word that is known, such as `custom resource`, else any. */
function next(text: string, literal: string, from: number): number {
  const at = text.indexOf(literal, from);
  const second = literal === " " ? text.indexOf(literal, at + 1) : -1;
  return second > 0 && everything.has(text.slice(from, second)) ? second : at;
}

function fill(chinese: string, values: string[], depth: number): string {
  let out = "";
  for (const piece of chinese.split(/(\{\d[=#]?\})/)) {
    const gap = /^\{(\d)([=#]?)\}$/.exec(piece);
    if (!gap) {
      out = beside(out, piece);
      continue;
    }
    const value = values[Number(gap[1])] ?? "";
    out = beside(out, gap[2] === "=" ? own(value) : (say(value, depth + 1) ?? own(value)));
  }
  return out;
}

/** A person's own words, after the server's colon or stop. */
function own(value: string): string {
  if (value === ".") return "。";
  return value.replace(/^: /, "：").replace(QUOTED, (quoted) => `“${quoted.slice(1, -1)}”`);
}

/** Two pieces of a text: a space stands between Chinese and Latin letters or figures, and nowhere else beside Chinese. */
function beside(left: string, right: string): string {
  if (!left || !right) return left + right;
  const [before, after] = [left.trimEnd(), right.trimStart()];
  const [a, b] = [before.slice(-1), after.slice(0, 1)];
  if ((HAN.test(a) && LATIN.test(b)) || (LATIN.test(a) && HAN.test(b))) return `${before} ${after}`;
  if (WIDE.test(a) || WIDE.test(b)) return before + after;
  return left + right;
}

const HAN = /\p{Script=Han}/u;
const LATIN = /[\p{Script=Latin}\d]/u;
const WIDE = /[\p{Script=Han}“”。、，：；？！（）]/u;

/** `3 notebooks`, `2GB memory`, `3 TPU1684X`: a figure before what is known, or within a text before a name. */
function after(text: string, depth: number): string | undefined {
  const figure = FIGURE_FIRST.exec(text);
  if (!figure) return undefined;
  const [, count = "", what = ""] = figure;
  const noun = everything.get(what) ?? everything.get(what.replace(/s$/, ""));
  if (noun && /^\d+$/.test(count)) return beside(`${count} 个`, noun);
  const rest = whole(what, Math.max(depth, 1));
  if (rest) return beside(count, rest);
  return depth && !what.includes(" ") ? text : undefined;
}

/** Several texts in one; `whole` when all of them are known. */
function joined(text: string, depth: number): { text: string; whole: boolean } | undefined {
  for (const [english, chinese] of depth ? [...OUTER_JOINTS, ...INNER_JOINTS] : OUTER_JOINTS) {
    const pieces = text.split(english);
    const known = pieces.length > 1 ? pieces.map((piece) => say(piece, depth)) : [];
    if (known.every((one) => one === undefined)) continue;
    return {
      text: known
        .map((one, place) => one ?? own(pieces[place] ?? ""))
        .reduce((out, piece) => beside(beside(out, chinese || (out.endsWith("。") ? "" : " ")), piece)),
      whole: known.every((one) => one !== undefined),
    };
  }
  return undefined;
}
