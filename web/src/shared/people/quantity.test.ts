import { expect, test } from "vitest";
import { percent, quantity } from "./quantity";

test("quantities as the server writes them", () => {
  expect(quantity("8")).toBe(8);
  expect(quantity("0.5")).toBe(0.5);
  expect(quantity("32 GB")).toBe(32e9);
  expect(quantity("512MB")).toBe(512e6);
  expect(quantity("many")).toBeNull();
});

test("how full a quota is", () => {
  expect(percent("500MB", "1GB")).toBe(50);
  expect(percent(3, 2)).toBe(100);
  expect(percent(0, 0)).toBe(100);
  expect(percent("1", null)).toBe(0);
});
