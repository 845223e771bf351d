import i18n from "i18next";
import { expect, test } from "vitest";
import {
  addUnc,
  formatBytes,
  formatDuration,
  formatRelative,
  formatUnc,
  multiplyUnc,
  parseUnc,
  proposeSpecName,
} from "./format";

test("money keeps every decimal that counts and no other", () => {
  expect(formatUnc("1.500000")).toBe("1.5 UNC");
  expect(formatUnc("0.000001")).toBe("0.000001 UNC");
  expect(formatUnc("-1234567.25")).toBe("-1,234,567.25 UNC");
  expect(formatUnc("10")).toBe("10 UNC");
  expect(formatUnc("0")).toBe("0 UNC");
});

test("money is exact where a float is not", () => {
  expect(addUnc("0.1", "0.2")).toBe("0.3");
  expect(multiplyUnc("0.000001", 32)).toBe("0.000032");
  expect(addUnc("9007199254740993", "0.000001")).toBe("9007199254740993.000001");
});

test("what is no amount is refused", () => {
  for (const text of ["", "1,5", "1e3", "abc", "1.0000001"]) expect(() => parseUnc(text)).toThrow(RangeError);
});

test("sizes and durations", () => {
  expect(formatBytes(0)).toBe("0 B");
  expect(formatBytes(1_500_000_000)).toBe("1.5 GB");
  expect(formatBytes(123_456)).toBe("123 KB");
  expect(formatDuration(0.4)).toBe("0 s");
  expect(formatDuration(90)).toBe("1 min 30 s");
  expect(formatDuration(183_600)).toBe("2 d 3 h");
});

test("durations have the reader's units", async () => {
  await i18n.init({ lng: "zh" });
  expect(formatDuration(183_600)).toBe("2 天 3 小时");
  await i18n.changeLanguage("en");
});

test("moments in words", () => {
  const now = Date.parse("2030-01-01T00:00:00Z");
  expect(formatRelative("2029-12-31T23:57:00Z", "en", now)).toBe("3 minutes ago");
  expect(formatRelative("2030-01-01T02:00:00Z", "en", now)).toBe("in 2 hours");
  expect(formatRelative("2030-01-01T00:00:03Z", "en", now)).toBe("now");
});

test("a specification's name follows from its contents", () => {
  const items = [
    { resource: "cpu", quantity: "0.5" },
    { resource: "memory", quantity: "1 GB" },
    { resource: "TPU1684X", quantity: "1" },
    { resource: "sophgo.com/bm1684x", quantity: "2" },
    { resource: undefined, quantity: "1" },
  ];
  expect(proposeSpecName(items)).toBe("0.5CPU-1GB-1TPU1684X-2bm1684x");
});
