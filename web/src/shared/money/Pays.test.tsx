import { screen, within } from "@testing-library/react";
import { beforeEach, expect, test } from "vitest";
import { choose, dialog, gone } from "../../test/act";
import { page, type Sent, server } from "../../test/api";
import * as make from "../../test/make";
import { everyRefusalIsSeen } from "../../test/refusals";
import { show } from "../../test/show";
import { Pays } from "./Pays";

const PATH = "/api/v1/wallets/{wallet_id}";
const lab = { id: "pool_lab", name: "lab", miner_name: "mira" };
const group = (over = {}) => make.wallet({ id: "wal_1", owner: "group", ...over });

beforeEach(() =>
  server.on(
    "get",
    "/api/v1/pools",
    page([make.pool(lab), make.pool({ id: "pool_far", name: "far", miner_name: "boris" })]),
  ),
);

async function begin(wallet = group({ pools: [lab], max_price: "2.000000" })) {
  const { user } = show(<Pays wallet={wallet} canChange />);
  await user.click(await screen.findByRole("button", { name: "Change: Where it pays" }));
  const one = await dialog();
  const window = within(one);
  return { user, one, window, send: () => user.click(window.getByRole("button", { name: "OK" })) };
}

test("it says in which pools it pays, and up to which price elsewhere", async () => {
  show(<Pays wallet={group({ pools: [lab], max_price: "2.000000" })} canChange={false} />);
  expect(await screen.findByText("lab · mira")).toBeVisible();
  expect(screen.getByText(/In other pools up to/)).toHaveTextContent("In other pools up to 2 UNC/hour");
  expect(screen.queryByRole("button", { name: /Change/ })).toBeNull();
});

test("where it pays nowhere, it says so", async () => {
  show(<Pays wallet={group()} canChange={false} />);
  expect(await screen.findByText("No pool is allowed at any price.")).toBeVisible();
  expect(screen.getByText("In no other pool.")).toBeVisible();
});

test("a manager allows another pool, and no other price", async () => {
  server.on("patch", PATH, group());
  const { user, one, window, send } = await begin();
  await choose(user, window.getByLabelText("Pools"), "far · boris");
  await user.clear(window.getByLabelText("Highest price in other pools (UNC per hour)"));
  await send();
  await gone(one);
  expect(server.calls("patch", PATH)[0]?.path).toEqual({ wallet_id: "wal_1" });
  expect(server.sent("patch", PATH)).toEqual({ pool_ids: ["pool_lab", "pool_far"], max_price: null });
});

test("a price that is none is refused before it is sent", async () => {
  const { user, window, send } = await begin(group());
  await user.type(window.getByLabelText("Highest price in other pools (UNC per hour)"), "1,5");
  await send();
  expect(await window.findByText(/An amount of UNC/)).toBeVisible();
  expect(server.calls("patch", PATH)).toEqual([]);
});

const FIELDS: Record<Exclude<keyof Sent<typeof PATH, "patch">, "low_balance">, true> = {
  pool_ids: true,
  max_price: true,
};

test("every refusal is seen", async () => {
  const { user } = await begin();
  await everyRefusalIsSeen(user, [...Object.keys(FIELDS), "pool_ids.0"], (refusal) =>
    server.on("patch", PATH, refusal),
  );
});
