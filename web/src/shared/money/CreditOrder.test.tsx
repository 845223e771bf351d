import { screen, within } from "@testing-library/react";
import { expect, test } from "vitest";
import { dialog, gone } from "../../test/act";
import { refuse, type Sent, server } from "../../test/api";
import * as make from "../../test/make";
import { everyRefusalIsSeen } from "../../test/refusals";
import { show } from "../../test/show";
import { CreditOrder } from "./CreditOrder";

const PATH = "/api/v1/orders/{order_id}/credit";

async function begin() {
  const { user } = show(<CreditOrder order={make.order({ id: "or_1", workload: "first", cost: "1.500000" })} />);
  await user.click(await screen.findByRole("button", { name: "Credit" }));
  const one = await dialog();
  const window = within(one);
  const amount = window.getByLabelText("Amount (UNC)");
  const reason = window.getByLabelText("Reason");
  const send = () => user.click(window.getByRole("button", { name: "Credit" }));
  return { user, one, window, amount, reason, send };
}

test("it says who pays and how much was paid, and goes with its reason", async () => {
  server.on("post", PATH, make.order());
  const { user, one, window, amount, reason, send } = await begin();
  expect(window.getByText(/from the miner's earnings and the platform's fee.* 1.5 UNC were paid/)).toBeVisible();
  expect(amount).toHaveValue("1.500000");
  await user.clear(amount);
  await user.type(amount, "0.4");
  await user.type(reason, "The page showed nothing.");
  await send();
  await gone(one);
  expect(server.calls("post", PATH)[0]?.path).toEqual({ order_id: "or_1" });
  expect(server.sent("post", PATH)).toEqual({ amount: "0.4", reason: "The page showed nothing." });
});

test.each(["", "  "])("a reason is needed: %j is none", async (text) => {
  const { user, window, reason, send } = await begin();
  if (text) await user.type(reason, text);
  await send();
  expect(await window.findByText("This is needed")).toBeVisible();
  expect(server.calls("post", PATH)).toEqual([]);
});

test("more than was paid is refused at the amount, which stays", async () => {
  server.on(
    "post",
    PATH,
    refuse(409, {
      field: "amount",
      detail: "Only 1.5 UNC were paid for this order.",
      cure: "Give back at most 1.5 UNC.",
    }),
  );
  const { user, window, amount, reason, send } = await begin();
  await user.type(reason, "why");
  await send();
  expect(await window.findByText(/Only 1.5 UNC were paid for this order. Give back/)).toBeVisible();
  expect(amount).toHaveValue("1.500000");
});

const FIELDS: Record<keyof Sent<typeof PATH, "post">, true> = { amount: true, reason: true };

test("every refusal is seen", async () => {
  const { user, reason } = await begin();
  await user.type(reason, "why");
  await everyRefusalIsSeen(user, Object.keys(FIELDS), (refusal) => server.on("post", PATH, refusal), "Credit");
});

test.each([
  ["a renter", make.order(), make.session({ user: make.user({ roles: ["renter", "miner"] }) })],
  ["an order that runs", make.order({ state: "open" }), make.session()],
  ["an order that cost nothing", make.order({ cost: "0.000000" }), make.session()],
])("it is not offered: %s", async (_, order, as) => {
  show(
    <>
      <p>an order</p>
      <CreditOrder order={order} />
    </>,
    { as },
  );
  expect(await screen.findByText("an order")).toBeVisible();
  expect(screen.queryByRole("button", { name: "Credit" })).toBeNull();
});
