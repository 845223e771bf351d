import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { en } from "./en";
import { zh } from "./zh";

type Tree = { [key: string]: string | Tree };

function flat(tree: Tree, prefix = ""): Map<string, string> {
  return new Map(
    Object.entries(tree).flatMap(([key, value]): [string, string][] =>
      typeof value === "string" ? [[prefix + key, value]] : [...flat(value, `${prefix}${key}.`)],
    ),
  );
}

const placeholders = (text: string) => [...text.matchAll(/{{(\w+)}}/g)].map((match) => match[1]).sort();
const [english, chinese] = [flat(en), flat(zh)];

test("both languages have the same keys", () => {
  expect([...chinese.keys()].sort()).toEqual([...english.keys()].sort());
});

test("no text is empty, and both languages fill in the same values", () => {
  for (const [key, text] of english) {
    expect(text, key).not.toBe("");
    expect(chinese.get(key), key).not.toBe("");
    expect(placeholders(chinese.get(key) ?? ""), key).toEqual(placeholders(text));
  }
});

test("every key that the pages name literally is there", () => {
  const source = join(import.meta.dirname, "../..");
  const files = readdirSync(source, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".tsx"));
  expect(files.length).toBeGreaterThan(20);
  for (const file of files)
    for (const [, key = ""] of readFileSync(join(source, file), "utf8").matchAll(/\bt\("([a-zA-Z_.]+)"/g))
      expect(english.has(key), `${file}: ${key}`).toBe(true);
});
