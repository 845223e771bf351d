import { screen, within } from "@testing-library/react";
import { expect, test } from "vitest";
import * as make from "../../test/make";
import { show } from "../../test/show";
import { NodeChips } from "./NodeDetailChips";

const NOT_RESET = "Not reset between tenants";

const row = async (serial: string) => within((await screen.findByText(serial)).closest("tr") as HTMLElement);

test("a chip whose driver has no way to reset it says so, and no other", async () => {
  const labels = { "utcloud.io/memory-not-cleared": "A100, BM1684X" };
  const chips = [
    make.chip({ serial: "S1" }),
    make.chip({ index: 1, model: "A100", serial: "S2" }),
    make.chip({ index: 2, model: "BM1688", serial: "S3", simulated: true }),
  ];
  const { user } = show(<NodeChips node={{ ...make.node({ labels }), chips }} />);
  expect((await row("S1")).getByText(NOT_RESET)).toBeVisible();
  expect((await row("S2")).getByText(NOT_RESET)).toBeVisible();
  expect((await row("S3")).queryByText(NOT_RESET)).toBeNull();
  await user.hover((await row("S1")).getByText(NOT_RESET));
  expect(await screen.findByText(/the next may read/)).toBeInTheDocument();
});

test("nothing is said where all can be reset", async () => {
  show(<NodeChips node={{ ...make.node(), chips: [make.chip({ serial: "S1" })] }} />);
  await row("S1");
  expect(screen.queryByText(NOT_RESET)).toBeNull();
});
