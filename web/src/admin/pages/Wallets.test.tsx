import { screen, within } from "@testing-library/react";
import { beforeEach, expect, test } from "vitest";
import { dialog, gone } from "../../test/act";
import { page, refuse, type Sent, server } from "../../test/api";
import * as make from "../../test/make";
import { everyRefusalIsSeen } from "../../test/refusals";
import { show } from "../../test/show";
import { Wallets } from "./Wallets";

const PATH = "/api/v1/recharges";

beforeEach(() => server.on("get", "/api/v1/wallets", page([make.wallet({ id: "wal_1", owner_name: "rita" })])));

async function begin(button: string) {
  const { user } = show(<Wallets />);
  await user.click(await screen.findByRole("button", { name: button }));
  const window = within(await dialog());
  return {
    user,
    window,
    amount: window.getByLabelText("Amount (UNC)"),
    send: () => user.click(window.getByRole("button", { name: "OK" })),
  };
}

test("a recharge says whose wallet it is and what is in it, and is booked as it was typed", async () => {
  server.on("post", PATH, make.recharge());
  const { user, window, amount, send } = await begin("Recharge");
  expect(window.getByText("Machine hours of rita")).toBeVisible();
  expect(window.getByText(/^Available:/)).toHaveTextContent("Available: 10 UNC");
  await user.type(amount, "2.000001");
  await user.type(window.getByLabelText("Note"), "for May");
  const one = await dialog();
  await send();
  await gone(one);
  expect(server.sent("post", PATH)).toEqual({
    wallet_id: "wal_1",
    kind: "recharge",
    amount: "2.000001",
    note: "for May",
  });
  expect(await screen.findByText("Booked")).toBeVisible();
});

test("a deduction is one", async () => {
  server.on("post", PATH, make.recharge());
  const { user, amount, send } = await begin("Deduct");
  await user.type(amount, "1");
  const one = await dialog();
  await send();
  await gone(one);
  expect(server.sent("post", PATH)?.kind).toBe("deduct");
});

test.each(["", "-5", "1,5", "1.1234567", "99999999999"])("the amount %j is refused before it is sent", async (text) => {
  const { user, window, amount, send } = await begin("Recharge");
  if (text) await user.type(amount, text);
  await send();
  expect(await window.findByText(text ? /An amount of UNC such as/ : "This is needed")).toBeVisible();
  expect(server.calls("post", PATH)).toEqual([]);
});

test("sent twice because no answer came, it is booked once: with the same key", async () => {
  server.on("post", PATH, () => {
    throw new TypeError("cut");
  });
  const { user, amount, send } = await begin("Recharge");
  await user.type(amount, "3");
  await send();
  await screen.findByText("The server cannot be reached.");
  server.on("post", PATH, make.recharge());
  const one = await dialog();
  await send();
  await gone(one);
  const [first, second] = server.calls("post", PATH).map(({ headers }) => headers.get("Idempotency-Key"));
  expect(first).toBeTruthy();
  expect(second).toBe(first);
});

test("the same recharge made again is another one", async () => {
  server.on("post", PATH, make.recharge());
  const { user, amount, send } = await begin("Recharge");
  await user.type(amount, "3");
  let one = await dialog();
  await send();
  await gone(one);
  await user.click(screen.getByRole("button", { name: "Recharge" }));
  one = await dialog();
  await user.type(within(one).getByLabelText("Amount (UNC)"), "3");
  await user.click(within(one).getByRole("button", { name: "OK" }));
  await gone(one);
  const [first, second] = server.calls("post", PATH).map(({ headers }) => headers.get("Idempotency-Key"));
  expect(second).not.toBe(first);
});

test("what would go below zero is refused at the amount, which stays", async () => {
  server.on("post", PATH, refuse(402, { field: "amount", detail: "The wallet has 10 UNC.", cure: "Take less." }));
  const { user, window, amount, send } = await begin("Deduct");
  await user.type(amount, "11");
  await send();
  expect(await window.findByText("The wallet has 10 UNC. Take less.")).toBeVisible();
  expect(amount).toHaveValue("11");
});

const FIELDS: Record<keyof Sent<typeof PATH, "post">, true> = {
  wallet_id: true,
  owner_id: true,
  kind: true,
  amount: true,
  note: true,
} as never;

test("every refusal is seen", async () => {
  const { user, amount } = await begin("Recharge");
  await user.type(amount, "1");
  await everyRefusalIsSeen(user, Object.keys(FIELDS), (refusal) => server.on("post", PATH, refusal));
});

test("a miner who may recharge others is offered no deduction, and nothing at their own wallet", async () => {
  const mira = make.user({ id: "usr_mira", username: "mira", roles: ["miner"] });
  const own = make.wallet({ owner_id: "usr_mira", owner_name: "mira" });
  server.on("get", "/api/v1/wallets", page([make.wallet({ owner_name: "rita" }), own]));
  const { user } = show(<Wallets />, { as: make.session({ user: mira, recharges: true }) });
  expect(await screen.findAllByRole("button", { name: "Recharge" })).toHaveLength(1);
  expect(screen.queryByRole("button", { name: "Deduct" })).toBeNull();
  await user.click(screen.getByRole("button", { name: "Recharge" }));
  expect(within(await dialog()).queryByText("Deduct")).toBeNull();
});

test("who may not recharge is offered neither", async () => {
  show(<Wallets />, { as: make.session({ recharges: false }) });
  expect(await screen.findByRole("button", { name: "rita" })).toBeVisible();
  expect(screen.queryByRole("button", { name: "Recharge" })).toBeNull();
  expect(screen.queryByRole("button", { name: "Deduct" })).toBeNull();
});
