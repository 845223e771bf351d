import i18n from "i18next";
import { expect, test } from "vitest";
import { inChinese, said, together } from "./said";
import catalogue from "./zh/said.json";

const gaps = (text: string) => [...new Set([...text.matchAll(/\{(\d)[=#]?\}/g)].map((gap) => gap[1]))].sort();

test("every text keeps its values in Chinese, and no text stands twice", () => {
  for (const [english, chinese] of [...Object.entries(catalogue.texts), ...Object.entries(catalogue.parts)]) {
    expect(chinese, english).not.toBe("");
    expect(gaps(chinese), english).toEqual(gaps(english));
  }
  expect(Object.keys(catalogue.texts).filter((text) => text in catalogue.parts)).toEqual([]);
});

test.each([
  ["Only a miner may do this.", "只有矿工可以这样做。"],
  ["There is no pool 'pol_1'.", "没有资源池“pol_1”。"],
  ["Choose one from the list of specifications.", "请从资源规格列表中选择。"],
  ["Pool 'lab' does not offer the specification 'big' for notebooks.", "资源池“lab”不为 Notebook 提供资源规格“big”。"],
  ["Field required", "此项必填"],
  ["Input should be 'private', 'group' or 'preset'", "应为“private”、“group”或“preset”"],
  ["String should have at least 10 characters", "至少 10 个字符"],
  [
    "price: write an amount of UNC such as 1.5, with at most six decimals and no sign",
    "price：请填写 UNC 金额，例如 1.5，最多六位小数，不带符号",
  ],
  [
    "Version 2 of the algorithm 'yolo' is in use by 1 notebook (of rita).",
    "算法“yolo”的版本 2 正在被使用：1 个 Notebook（属于 rita）。",
  ],
  [
    "The group 'red' is used by 1 pool ('for-red') and 2 notebooks ('first', 'second').",
    "用户组“red”正在被使用：1 个资源池（“for-red”）和 2 个 Notebook（“first”、“second”）。",
  ],
  [
    "Work runs on nodes that would change their pool: a (2 replicas of rita), b (1 replica of red).",
    "有任务在将要更换资源池的节点上运行：a（rita 的 2 个副本）、b（red 的 1 个副本）。",
  ],
  ["Not Found: see /api/v1/openapi.json for what there is.", "未找到：可用的接口见 /api/v1/openapi.json。"],
  ["The user 'rita' owns 1 algorithm and 2 datasets.", "用户“rita”拥有 1 个算法和 2 个数据集。"],
  [
    "In the archive 'a.zip': The path '../x' climbs out of its folder. Leave out '..'.",
    "压缩包“a.zip”中：路径“../x”超出了其文件夹。请去掉 '..'。",
  ],
  [
    "The storage quota is exceeded: 900 B of 1 KB are used, uploads under way counted, and this needs 101 B. Delete versions or uploads that you no longer need, or ask an operator for more. Then publish it again.",
    "已超出存储配额：已使用 900 B / 1 KB（含进行中的上传），而此内容需要 101 B。请删除不再需要的版本或上传内容，或向运营者申请提高配额。然后再次发布。",
  ],
  ["There is no custom resource 'cr_1'.", "没有自定义资源“cr_1”。"],
  ["Pool 'lab' is in use by work on node-1 (1 replica).", "资源池“lab”正在被使用：node-1 上的任务（1 个副本）。"],
  ["Write a positive quantity of cpu such as 0.5.", "请填写正的 CPU 数量，例如 0.5。"],
  ["chip c1: memory_bytes was left out: input should be a valid integer", "芯片 c1：memory_bytes 被忽略：应为整数"],
  [
    "needs 2 TPU and 2 Sophon on one node; no node of pool 'lab' has all of it together",
    "需要单个节点上有 2 TPU 和 2 Sophon；资源池“lab”中没有节点同时拥有全部",
  ],
  ["The user 'rita' has 2 notebooks ('a', 'b').", "用户“rita”有 2 个 Notebook（“a”、“b”）。"],
])("said in Chinese: %s", (english, chinese) => {
  expect(inChinese(english)).toBe(chinese);
});

test("texts within texts, joined ones and figures are said too", () => {
  const reason =
    "needs 0.5 CPU, 1GB memory and 2 TPU1684X on one node; no node of pool 'lab' has all of it free; " +
    "of its 3 nodes 1 is cordoned, 2 are not ready; 3 waiting before you";
  expect(inChinese(reason)).toBe(
    "需要单个节点上有 0.5 CPU、1GB 内存和 2 TPU1684X；资源池“lab”中没有节点同时空闲全部；" +
      "其 3 个节点中，1 个已停止调度、2 个未就绪；前面还有 3 个在等待",
  );
});

test("names and people's own words stay, also where they are words of ours", () => {
  expect(inChinese("Pool 'notebook' does not offer the specification 'lost' for notebooks.")).toBe(
    "资源池“notebook”不为 Notebook 提供资源规格“lost”。",
  );
  expect(inChinese("removed by miner")).toBe("由 miner 移除");
  expect(inChinese("stopped by the miner: lost and failed")).toBe("由矿工停止：lost and failed");
  expect(inChinese("The account is frozen: Log in first.")).toBe("账号已被冻结：Log in first.");
});

test("what is not known stays as it is", () => {
  for (const text of ["the fan is loud", "thanks, and good luck", "node", "价格: 1", " ", "{0} is {1}", "a; b"])
    expect(inChinese(text)).toBe(text);
});

test("long texts take no long time", () => {
  const begun = performance.now();
  for (const length of [2_900, 10_000])
    for (const piece of [
      "a",
      "waiting: ",
      "needs 1 on one node; ",
      " is ",
      "1 is lost, ",
      "(, ",
      ". ",
      " and ",
      "{0} ",
    ]) {
      const text = piece.repeat(length / piece.length);
      expect(inChinese(text).length).toBeGreaterThan(0);
      inChinese(`needs ${text}`);
      inChinese(`${text.slice(length / 2)} is in use by ${text.slice(length / 2)}.`);
    }
  expect(performance.now() - begun).toBeLessThan(15_000);
}, 30_000);

test("only who reads Chinese is told in Chinese", async () => {
  const [wrong, cure] = ["Field required", "Choose another name."];
  await i18n.init({ lng: "en" });
  expect(said(wrong)).toBe(wrong);
  expect(said(null)).toBe(undefined);
  expect(together(wrong, null, cure)).toBe("Field required. Choose another name.");
  expect(together()).toBe("");
  await i18n.changeLanguage("zh");
  expect(said(wrong)).toBe("此项必填");
  expect(together(wrong, cure)).toBe("此项必填。请换一个名称。");
});
